"""RFC 9110 sections 10.1.1 and 15.2: replies before the reply, and bodies that wait to be asked for."""

import asyncio

import pytest

from gateway.proxy import client_connection
from tests.support.gateway import rig, until
from tests.support.origin import Received, answer, raw

EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EXPECTING = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
PROTECTED = """
version: 1
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes:
- {id: protected, match: /protected, to: origin, auth: test}
- {id: small, match: /small, to: origin, auth: none, body_max: 3B}
- {id: local, match: /local, respond: {text: here}, auth: none}
"""


async def test_rfc9110_15_2_interim_replies_are_passed_on_before_the_reply() -> None:
    go_on = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(EARLY)
        await go_on.wait()
        writer.write(EARLY + WHOLE)

    async with rig(script=script) as r:
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        early = await r.client.read_head()
        assert early.status == 103
        assert early.get("Link") == "</a.css>; rel=preload"
        assert early.get("X-Hop") is None
        go_on.set()
        assert (await r.client.read_head()).status == 103
        reply = await r.client.read_reply()
        assert (reply.status, reply.body) == (200, b"ok")


async def test_rfc9110_15_2_interim_replies_are_not_for_http10() -> None:
    async with rig(script=raw(EARLY + WHOLE)) as r:
        r.client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await r.client.read_head()).status == 200


@pytest.mark.parametrize("unasked", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"])
async def test_rfc9110_15_2_any_number_of_interim_replies_ends_in_the_reply(unasked: bytes) -> None:
    async with rig(script=raw(unasked * 5 + WHOLE)) as r:
        for _ in range(2):
            assert (await r.exchange("GET", "/")).body == b"ok"
        assert r.origin.connections == 1


async def test_rfc9110_15_2_1_a_100_of_the_upstream_is_not_passed_to_a_client_that_did_not_wait() -> None:
    async with rig(script=raw(b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE)) as r:
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        assert (await r.client.read_head()).status == 200


async def test_rfc9110_10_1_1_the_body_is_asked_for_when_it_is_wanted() -> None:
    async with rig() as r:
        r.client.send(EXPECTING)
        head = await r.client.read_head()
        assert (head.status, head.lines) == (100, [])
        r.client.send(b"body")
        assert (await r.client.read_reply()).status == 200
        assert r.origin.last.body == b"body"
        assert r.origin.last.get("expect") is None
        assert (await r.exchange("GET", "/")).status == 200


async def test_rfc9110_10_1_1_a_body_that_came_at_once_is_not_asked_for() -> None:
    async with rig() as r:
        r.client.send(EXPECTING + b"body")
        assert (await r.client.read_head()).status == 200


@pytest.mark.parametrize(("path", "status"), [("/protected", 401), ("/small", 413), ("/nowhere", 404), ("/local", 200)])
async def test_rfc9110_10_1_1_a_request_that_needs_no_body_never_makes_the_client_send_it(
    path: str, status: int
) -> None:
    async with rig(PROTECTED) as r:
        r.client.send(EXPECTING.replace(b"POST /", b"POST " + path.encode()))
        head = await r.client.read_head()
        assert head.status == status
        # What the client does next cannot be known, so the connection ends.
        assert head.get("Connection") == "close"
        assert r.origin.requests == []


async def test_rfc9110_10_1_1_an_unreachable_upstream_never_makes_the_client_send_the_body() -> None:
    async with rig(PROTECTED.replace("${env:ORIGIN}", "http://127.0.0.1:1")) as r:
        r.client.send(EXPECTING.replace(b"POST /", b"POST /small").replace(b"4", b"3"))
        assert (await r.client.read_head()).status == 502


async def test_rfc9110_10_1_1_an_http10_client_is_never_asked_for_its_body() -> None:
    async with rig() as r:
        r.client.send(EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0"))
        await until(lambda: bool(r.origin.requests))
        r.client.send(b"body")
        assert (await r.client.read_head()).status == 200
        assert r.origin.last.body == b"body"


async def test_rfc9110_10_1_1_an_unknown_expectation_is_417() -> None:
    async with rig() as r:
        reply = await r.exchange("POST", "/", {"Expect": "a-miracle"}, body=b"x")
        assert (reply.status, reply.json["code"]) == (417, "expectation_failed")
        assert r.origin.requests == []


async def test_an_early_reply_ends_the_upload_and_reaches_the_client() -> None:
    async with rig(script=answer(b"too large", "413 Content Too Large", close=True)) as r:
        r.origin.read_body = False
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 100_000)
        reply = await r.client.read_reply()
        assert (reply.status, reply.body) == (413, b"too large")
        assert reply.get("Connection") == "close"


@pytest.mark.parametrize(
    "lines",
    [
        b"Expect: x",
        b"Expect:",
        b"Expect: 100-continue, x",
        b"Expect: x\r\nExpect: 100-continue",
        b"Expect: 100-continue\r\nExpect: x",
        b"Expect: 100-continue;q=1",
    ],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_rfc9110_10_1_1_an_unknown_expectation_is_417_and_ends_the_connection(
    lines: bytes, version: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The body that was announced never comes, and is waited for so long.
    monkeypatch.setattr(client_connection, "_LINGER_S", 0.1)
    async with rig() as r:
        r.client.send(b"POST / HTTP/" + version + b"\r\nHost: a\r\nContent-Length: 4\r\n" + lines + b"\r\n\r\n")
        reply = await r.client.read_reply()
        assert (reply.status, reply.json["code"]) == (417, "expectation_failed")
        assert reply.get("Connection") == "close"
        assert await r.client.is_closed()
        assert r.origin.requests == []


async def test_rfc9110_10_1_1_an_expectation_of_http10_is_not_answered() -> None:
    async with rig() as r:
        r.client.send(EXPECTING.replace(b"1.1", b"1.0") + b"body")
        assert (await r.client.read_head()).status == 200
        assert r.origin.last.body == b"body"
