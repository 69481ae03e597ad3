"""draft-ietf-httpapi-idempotency-key-header over real sockets, in each lane."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.client import connected
from tests.support.gateway import Rig, rig, token, until
from tests.support.origin import Received, answer

TABLE = """
version: 1
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
defaults: {auth: test, compress: {codings: [gzip], min_size: 10B, types: [text/plain]}, body_max: 1MiB}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes:
- {id: writes, match: /writes, to: origin, idempotency: optional}
- {id: strict, match: /strict, to: origin, idempotency: {mode: required, for: 1h}}
- {id: moved, match: /moved/*, to: origin, idempotency: optional, rewrite: {strip: /moved}}
- {id: batch, match: /batch, batch: {max: 5}}
"""
AUTH = {"Authorization": f"Bearer {token('t1')}"}
KEYED = {**AUTH, "Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


async def post(r: Rig, body: bytes = b'{"a": 1}', headers: dict[str, str] = KEYED, path: str = "/writes") -> Any:
    return await r.exchange("POST", path, headers, body=body)


async def numbered(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    text = b"made by %s" % received.request_line.split(b" ")[0]
    number = received.connection
    writer.write(
        b"HTTP/1.1 201 Created\r\nLocation: /made/%d\r\nX-Twice: a\r\nX-Twice: b\r\nContent-Length: %d\r\n\r\n%s"
        % (number, len(text), text)
    )


async def test_2_6_the_same_request_gets_the_first_reply_once_more() -> None:
    async with rig(TABLE, numbered) as r:
        first = await post(r)
        again = await post(r)
        assert len(r.origin.requests) == 1
        assert first.status == again.status == 201
        assert first.body == again.body == b"made by POST"
        assert first.get("Location") == again.get("Location")
        assert again.get_all("X-Twice") == ["a", "b"]
        assert (first.get("Idempotency-Replayed"), again.get("Idempotency-Replayed")) == (None, "true")
        assert first.get("X-Request-Id") != again.get("X-Request-Id")
        assert r.origin.last.get("idempotency-key") == KEYED["Idempotency-Key"], "the upstream may know keys as well"
        lines = await r.gateway.log_lines(2)
        assert [line["verdicts"]["idempotency"] for line in lines] == ["first", "replayed"]
        for verdict in ("first", "replayed"):
            name = "gateway_idempotency_verdicts_total"
            assert r.gateway.metric(name, route="writes", verdict=verdict) == 1


async def test_2_7_another_payload_under_the_key_is_422_and_a_missing_key_400() -> None:
    async with rig(TABLE) as r:
        await post(r)
        assert (await post(r, b"other")).json["code"] == "idempotency_key_reused"
        assert (await post(r, headers=AUTH, path="/strict")).json["code"] == "idempotency_key_missing"
        assert len(r.origin.requests) == 1


async def test_2_7_a_request_under_way_is_409() -> None:
    release = asyncio.Event()

    async def held(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await answer(b"done")(received, reader, writer)

    async with rig(TABLE, held) as r, connected(r.gateway.port) as other:
        first = asyncio.ensure_future(post(r))
        await until(lambda: bool(r.origin.requests))
        reply = await other.request("POST", "/writes", KEYED, body=b'{"a": 1}')
        assert (reply.status, reply.json["code"], reply.get("Retry-After")) == (409, "idempotency_in_flight", "1")
        release.set()
        assert (await first).body == b"done"
        assert (await other.request("POST", "/writes", KEYED, body=b'{"a": 1}')).body == b"done"
        assert len(r.origin.requests) == 1


async def test_of_a_hundred_at_once_one_reaches_the_upstream() -> None:
    async with rig(TABLE) as r:

        async def one() -> int:
            async with connected(r.gateway.port) as client:
                return (await client.request("POST", "/writes", KEYED, body=b"{}")).status

        statuses = await asyncio.gather(*(one() for _ in range(100)))
        assert set(statuses) <= {200, 409}
        assert 200 in statuses
        assert len(r.origin.requests) == 1


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_that_streams_through_has_its_fingerprint_as_well(is_chunked: bool) -> None:
    body = bytes(range(256)) * 1000  # more than is taken whole before it is forwarded

    def request(content: bytes) -> bytes:
        lines = [f"{name}: {value}" for name, value in {"Host": "a", **KEYED}.items()]
        framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(content)}"
        if is_chunked:
            content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
        return "\r\n".join(["POST /writes HTTP/1.1", *lines, framing, "", ""]).encode() + content

    async with rig(TABLE) as r:
        first = await r.send(request(body), "POST")
        assert (first.status, first.get("Idempotency-Replayed")) == (200, None)
        assert r.origin.last.body == body
        again = await r.send(request(body), "POST")
        assert (again.status, again.get("Idempotency-Replayed")) == (200, "true")
        other = await r.send(request(body[:-1] + b"!"), "POST")
        assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")
        assert len(r.origin.requests) == 1
        lines = await r.gateway.log_lines(3)
        assert {line["bytes_in"] for line in lines} == {len(body)}


async def test_a_replayed_reply_comes_in_the_coding_of_who_asks_for_it() -> None:
    text = b"long enough to be worth it " * 10
    async with rig(TABLE, answer(text, headers=("Content-Type: text/plain",))) as r:
        first = await post(r, headers={**KEYED, "Accept-Encoding": "gzip"})
        plain = await post(r)
        packed = await post(r, headers={**KEYED, "Accept-Encoding": "gzip"})
        assert first.get("Content-Encoding") == packed.get("Content-Encoding") == "gzip"
        assert plain.get("Content-Encoding") is None
        assert plain.body == text
        assert packed.get("Idempotency-Replayed") == "true"
        assert len(r.origin.requests) == 1


async def test_a_location_is_replayed_as_the_client_sees_it() -> None:
    async with rig(TABLE, answer(status="201 Created", headers=("Location: /things/7",))) as r:
        replies = [await post(r, path="/moved/things") for _ in range(2)]
        assert [reply.get("Location") for reply in replies] == ["/moved/things/7"] * 2


async def test_a_5xx_frees_the_key_and_a_4xx_is_the_answer() -> None:
    async with rig(TABLE, answer(b"oops", "503 Service Unavailable")) as r:
        assert (await post(r)).status == 503
        r.origin.script = answer(b"no", "422 Unprocessable Content")
        assert (await post(r)).body == b"no"
        r.origin.script = answer(b"yes")
        assert (await post(r)).body == b"no"
        assert len(r.origin.requests) == 2


async def test_a_part_of_a_batch_has_a_key_of_its_own() -> None:
    async with rig(TABLE) as r:
        part = {"id": 1, "method": "POST", "path": "/writes", "body": {}, "headers": {"Idempotency-Key": "k"}}
        replies = [
            await r.exchange("POST", "/batch", AUTH, body=json.dumps({"requests": [part]}).encode()) for _ in range(2)
        ]
        marks = [reply.json["responses"][0]["headers"].get("idempotency-replayed") for reply in replies]
        assert marks == [None, "true"]
        assert len(r.origin.requests) == 1
