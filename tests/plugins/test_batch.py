import asyncio
import json
import logging
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.identity import Identity
from gateway.plugin_api import BodyStream, Exchange, Reply
from plugins.batch import BODY_MAX, Batch
from tests.support.plugins import LentServices, Pieces, build, exchange, reply

GET = {"id": 1, "path": "/api/v1/crm/contacts"}


async def run(services: LentServices, *requests: Any, policy: Any = None, **more: Any) -> list[Any]:
    """The parts of the answer."""
    made = exchange("POST", "/api/v1/batch", body=json.dumps({"requests": requests}).encode(), **more)
    answer = await build(Batch, policy or {}, services).on_request(made)
    assert answer.status == 200
    assert answer.headers.get(b"content-type") == b"application/json"
    assert isinstance(answer.body, bytes)
    responses = json.loads(answer.body)
    assert list(responses) == ["responses"]
    return list(responses["responses"])


def json_reply(value: Any, status: int = 200) -> Reply:
    return reply(status, {"Content-Type": "application/json"}, json.dumps(value).encode())


async def test_each_part_is_an_exchange_of_the_same_caller() -> None:
    services = LentServices()
    services.on_dispatch = lambda child: json_reply({"at": child.target}, 201)
    identity = Identity(tenant="t1", user="u1", plan="pro", scopes=frozenset(), claims={}, credential="jwt:payaid")
    parent = exchange(
        "POST",
        "/api/v1/batch",
        {"Host": "api.example", "Authorization": "Bearer abc", "Cookie": "a=b", "Accept-Encoding": "br"},
        json.dumps(
            {
                "requests": [
                    {"id": "a", "method": "GET", "path": "/api/v1/crm/contacts?limit=2"},
                    {
                        "id": 2,
                        "method": "POST",
                        "path": "/api/v1/hr/employees",
                        "headers": {"X-A": "1"},
                        "body": {"n": 1},
                    },
                ]
            }
        ).encode(),
        scheme="https",
        authority="api.example",
        peer_ip="10.0.0.1",
        client_ip="203.0.113.9",
        is_trusted_peer=True,
        traceparent=b"00-aa-bb-01",
    )
    parent.identity = identity
    answer = await build(Batch, {}, services).on_request(parent)
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == {
        "responses": [
            {
                "id": "a",
                "status": 201,
                "headers": {"content-type": "application/json"},
                "body": {"at": "/api/v1/crm/contacts?limit=2"},
            },
            {
                "id": 2,
                "status": 201,
                "headers": {"content-type": "application/json"},
                "body": {"at": "/api/v1/hr/employees"},
            },
        ]
    }
    get, post = services.dispatched
    for child in (get, post):
        assert child.parent is parent
        assert child.identity is identity
        assert (child.scheme, child.authority) == ("https", "api.example")
        assert (child.peer_ip, child.client_ip, child.is_trusted_peer) == ("10.0.0.1", "203.0.113.9", True)
        assert child.traceparent == b"00-aa-bb-01"
        assert child.started_s == services.clock_s
    assert [child.request_id for child in services.dispatched] == ["r1.1", "r1.2"]
    assert get.headers.lines == [(b"host", b"api.example"), (b"authorization", b"Bearer abc")]
    assert get.body == b""
    assert post.body == b'{"n":1}'
    assert dict(post.headers) == {
        b"host": b"api.example",
        b"authorization": b"Bearer abc",
        b"x-a": b"1",
        b"content-type": b"application/json",
        b"content-length": b"7",
    }
    assert parent.verdicts == {"batch": "2/2"}


async def test_at_most_parallel_parts_run_at_once_and_answers_keep_the_order() -> None:
    services = LentServices()
    running: list[str] = []
    most = 0
    gates = {f"/{n}": asyncio.Event() for n in range(6)}

    async def dispatch(child: Exchange) -> Reply:
        nonlocal most
        running.append(child.target)
        most = max(most, len(running))
        if len(running) == 3 or len(services.dispatched) == 6:
            # The last that came in goes first.
            gates[running[-1]].set()
        await gates[child.target].wait()
        running.remove(child.target)
        for target in running[-1:]:
            gates[target].set()
        return json_reply(child.target)

    services.on_dispatch = dispatch
    answers = await run(services, *[{"id": n, "path": f"/{n}"} for n in range(6)], policy={"parallel": 3})
    assert [answer["body"] for answer in answers] == [f"/{n}" for n in range(6)]
    assert most == 3


async def test_one_that_fails_leaves_the_others_whole(caplog: pytest.LogCaptureFixture) -> None:
    services = LentServices()

    def dispatch(child: Exchange) -> Reply:
        if child.target == "/raises":
            raise RuntimeError("with a secret")
        if child.target == "/refused":
            raise GatewayError(errors.RATE_LIMITED, "Too many.")
        return json_reply({}, 404 if child.target == "/missing" else 200)

    services.on_dispatch = dispatch
    with caplog.at_level(logging.ERROR):
        answers = await run(
            services, *[{"id": path, "path": path} for path in ("/raises", "/refused", "/missing", "/fine")]
        )
    assert [answer["status"] for answer in answers] == [500, 429, 404, 200]
    assert answers[0]["body"]["code"] == "internal_error"
    assert "secret" not in json.dumps(answers)
    assert answers[1]["body"] == {
        "type": "urn:gateway:error:rate_limited",
        "title": "Too many requests",
        "status": 429,
        "detail": "Too many.",
        "code": "rate_limited",
        "source": "policy",
        "route": None,
        "request_id": "r1.2",
    }


async def test_what_is_late_gets_504_and_is_stopped() -> None:
    services = LentServices()
    stopped = []

    async def dispatch(child: Exchange) -> Reply:
        if child.target == "/quick":
            return json_reply("done")
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(child.target)
        return json_reply("never")

    services.on_dispatch = dispatch
    paths = ["/quick", "/slow", "/slower", "/waiting"]
    answers = await run(services, *[{"id": p, "path": p} for p in paths], policy={"parallel": 2, "deadline": "20ms"})
    assert [answer["status"] for answer in answers] == [200, 504, 504, 504]
    assert answers[3]["body"]["code"] == "batch_deadline"
    assert answers[3]["body"]["request_id"] == "r1.4"
    assert sorted(stopped) == ["/slow", "/slower"]
    assert [child.target for child in services.dispatched] == ["/quick", "/slow", "/slower"]


async def test_nothing_runs_on_when_the_client_has_gone() -> None:
    services = LentServices()
    started, stopped = asyncio.Event(), asyncio.Event()

    async def dispatch(child: Exchange) -> Reply:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return json_reply("never")

    services.on_dispatch = dispatch
    task = asyncio.create_task(run(services, GET))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped.is_set()


@pytest.mark.parametrize(
    ("part", "word"),
    [
        ({"path": "http://evil.example/"}, "one slash"),
        ({"path": "//evil.example/"}, "one slash"),
        ({"path": "api/x"}, "one slash"),
        ({"path": ""}, "one slash"),
        ({"path": "/a b"}, "percent-encoded"),
        ({"path": "/a HTTP/1.1\r\nHost: evil"}, "percent-encoded"),
        ({"path": "/a?q=é"}, "percent-encoded"),
        ({"path": "/a#b"}, "percent-encoded"),
        ({"path": "/" + "a" * 8192}, "longer"),
        ({"path": "/metrics"}, "operators"),
        ({"path": "/config/?x=1"}, "operators"),
        ({"path": "/%72eadyz"}, "operators"),
        ({"method": "OPTIONS"}, "may be"),
        ({"method": "CONNECT"}, "may be"),
        ({"method": "get"}, "may be"),
        ({"body": {}}, "GET has none"),
        ({"method": "POST", "headers": {"Content-Type": "text/csv"}, "body": {"a": 1}}, "must be a text"),
        ({"method": "POST", "headers": {"Content-Type": "text/csv"}, "body": "\ud800"}, "surrogate"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "twice"),
        ({"headers": {"X A": "1"}}, "not a header name"),
        ({"headers": {"X-A": "1\r\nX-Tenant-Id: t2"}}, "line breaks"),
        ({"headers": {"X-A": "\ud800"}}, "surrogate"),
        ({"headers": {"X-A": "a" * 20_000}}, "more than 16384 bytes"),
        *[
            ({"headers": {name: "x"}}, "cannot be given")
            for name in (
                "Host",
                "Authorization",
                "Cookie",
                "Content-Length",
                "Transfer-Encoding",
                "Connection",
                "Upgrade",
                "TE",
                "Expect",
                "Accept-Encoding",
                "Forwarded",
                "X-Forwarded-For",
                "x_forwarded_host",
                "X-Tenant-Id",
                "X_Tenant-Id",
                "X-Scopes",
                "X-Request-Id",
                "X-Real-IP",
            )
        ],
    ],
)
async def test_a_part_that_may_not_be_is_refused_alone(part: dict[str, Any], word: str) -> None:
    services = LentServices()
    refused, fine = await run(services, GET | {"id": "bad"} | part, GET)
    assert refused["status"] == 400
    assert refused["headers"] == {"content-type": "application/problem+json"}
    assert refused["body"]["code"] == "batch_part_refused"
    assert word in refused["body"]["detail"]
    assert refused["body"]["detail"].startswith("requests[0].")
    assert fine["status"] == 200
    assert len(services.dispatched) == 1


async def test_an_ambiguous_path_is_left_to_the_parts_own_pipeline() -> None:
    services = LentServices()
    await run(services, GET | {"path": "/a/..;/metrics"})
    assert [child.target for child in services.dispatched] == ["/a/..;/metrics"]


async def test_a_batch_is_not_part_of_a_batch() -> None:
    child = exchange("POST", "/api/v1/batch", body=b'{"requests": []}', parent=exchange())
    with pytest.raises(GatewayError) as caught:
        await build(Batch, {}).on_request(child)
    assert caught.value.kind is errors.BATCH_PART_REFUSED


async def test_only_post() -> None:
    with pytest.raises(GatewayError) as caught:
        await build(Batch, {}).on_request(exchange("GET"))
    assert caught.value.kind is errors.METHOD_NOT_ALLOWED
    assert caught.value.headers == ((b"allow", b"POST"),)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"requests": [{"id": 1, "path": "/", "body": NaN}]}', "NaN is not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"[]", 'must be {"requests": [...]}'),
        (b'{"requests": {}}', 'must be {"requests": [...]}'),
        (b'{"requests": []}', "requests is empty"),
        (b'{"requests": [], "parallel": 9}', '"parallel" is not a key'),
        (b'{"requests": [1]}', "requests[0] must be an object"),
        (b'{"requests": [{"id": 1, "path": "/", "url": "/"}]}', 'requests[0]: "url" is not a key'),
        (b'{"requests": [{"path": "/"}]}', "requests[0].id must be"),
        (b'{"requests": [{"id": true, "path": "/"}]}', "requests[0].id must be"),
        (b'{"requests": [{"id": 1.5, "path": "/"}]}', "requests[0].id must be"),
        (b'{"requests": [{"id": 1, "path": "/"}, {"id": 1, "path": "/"}]}', "requests[1].id: 1 stands twice"),
        (b'{"requests": [{"id": 1}]}', "requests[0].path must be a text"),
        (b'{"requests": [{"id": 1, "path": "/", "method": null}]}', "requests[0].method must be a text"),
        (b'{"requests": [{"id": 1, "path": "/", "headers": []}]}', "requests[0].headers must be"),
        (b'{"requests": [{"id": 1, "path": "/", "headers": {"a": 1}}]}', "requests[0].headers must be"),
        (b'{"requests": [%s]}' % b",".join([b'{"id": 1, "path": "/"}'] * 3), "at most 2"),
    ],
)
async def test_a_batch_that_cannot_be_read_says_where(body: bytes, message: str) -> None:
    services = LentServices()
    with pytest.raises(GatewayError) as caught:
        await build(Batch, {"max": 2}, services).on_request(exchange("POST", body=body))
    assert caught.value.kind is errors.BATCH_INVALID
    assert message in caught.value.detail
    assert services.dispatched == []


@pytest.mark.parametrize(
    "body",
    [
        b" " * (BODY_MAX + 1),
        Pieces(length=BODY_MAX + 1),
        Pieces(b" " * BODY_MAX, b" "),
    ],
)
async def test_a_batch_over_a_mebibyte_is_refused(body: bytes | BodyStream) -> None:
    with pytest.raises(GatewayError) as caught:
        await build(Batch, {}).on_request(exchange("POST", body=body))
    assert caught.value.kind is errors.BODY_TOO_LARGE


async def test_a_body_in_pieces_is_read_whole() -> None:
    text = json.dumps({"requests": [GET]}).encode()
    answer = await build(Batch, {}).on_request(exchange("POST", body=Pieces(text[:9], text[9:])))
    assert answer.status == 200


async def test_large_json_is_read_and_joined_off_the_loop() -> None:
    services = LentServices()
    services.on_dispatch = lambda child: json_reply("x" * 200_000)
    part = {"id": 1, "method": "POST", "path": "/", "body": "x" * 200_000}
    assert len((await run(services, part))[0]["body"]) == 200_000
    assert services.in_thread == ["read_parts", "join_replies"]


@pytest.mark.parametrize(
    ("policy", "message"),
    [({"max": 0}, "greater"), ({"max": 101}, "less"), ({"parallel": 0}, "greater"), ({"deadline": 10}, "duration")],
)
def test_a_policy_that_cannot_work_is_refused(policy: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(Batch, policy)
