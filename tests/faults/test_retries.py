"""What is tried again, and what never is (RFC 9110 section 9.2.2)."""

import asyncio

import pytest

from tests.support.client import connected
from tests.support.gateway import rig, running_gateway
from tests.support.origin import Received, Script, answer, raw, running_origin

RETRYING = """
version: 1
defaults: {auth: none, retry: {attempts: 3, on: [connect, reset, timeout, 503], budget: 100%}, timeout: {total: 2s}}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes:
- {id: all, match: /*, to: origin}
- {id: once, match: /once, to: origin, retry: none}
- {id: keyed, match: /keyed, to: origin, idempotency: optional}
- {id: brief, match: /brief, to: origin, retry: {attempts: 3, on: ["500"]}}
"""
TWO = RETRYING.replace('["${env:ORIGIN}"]', '["http://127.0.0.1:1", "${env:ORIGIN}"]')


def failing(times: int, fault: Script) -> Script:
    """Fails that often, then answers."""
    left = [times]

    async def script(*arguments: object) -> None:
        left[0] -= 1
        await (fault if left[0] >= 0 else answer(b"at last"))(*arguments)  # type: ignore[arg-type]

    return script


FAULTS = {"503": answer(b"no", "503 Service Unavailable"), "reset": raw(b"", close=True)}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_an_idempotent_method_is_tried_again(fault: str, method: str) -> None:
    async with rig(RETRYING, failing(2, FAULTS[fault])) as r:
        reply = await r.exchange(method, "/")
        assert reply.status == 200
        assert len(r.origin.requests) == 3
        assert (await r.gateway.log_lines())[0]["attempts"] == 3
        assert r.gateway.metric("gateway_upstream_attempts_total", outcome=fault) == 2
        assert r.gateway.metric("gateway_upstream_attempts_total", outcome="ok") == 1
        assert r.gateway.metric("gateway_upstream_retries_total", upstream="origin", cause=fault) == 2


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_method_that_does_more_the_second_time_is_never_tried_again(fault: str, method: str) -> None:
    async with rig(RETRYING, failing(2, FAULTS[fault])) as r:
        reply = await r.exchange(method, "/", body=b"x")
        assert reply.status == (503 if fault == "503" else 502)
        assert len(r.origin.requests) == 1


async def test_no_more_than_attempts_are_made() -> None:
    async with rig(RETRYING, failing(9, FAULTS["503"])) as r:
        reply = await r.exchange("GET", "/")
        assert (reply.status, reply.body) == (503, b"no")
        assert len(r.origin.requests) == 3


async def test_what_is_not_listed_is_not_tried_again() -> None:
    async with rig(RETRYING, failing(1, answer(b"broken", "500 Oops"))) as r:
        assert (await r.exchange("GET", "/")).body == b"broken"
        assert len(r.origin.requests) == 1


async def test_a_route_without_retry_tries_once() -> None:
    async with rig(RETRYING, failing(1, FAULTS["503"])) as r:
        assert (await r.exchange("GET", "/once")).status == 503
        assert len(r.origin.requests) == 1


async def test_a_get_with_a_body_is_sent_again_with_its_body() -> None:
    async with rig(RETRYING, failing(1, FAULTS["503"])) as r:
        assert (await r.exchange("GET", "/", body=b"query")).status == 200
        assert [request.body for request in r.origin.requests] == [b"query", b"query"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("size", [5, 300_000])
async def test_a_refused_connect_goes_to_another_endpoint_whatever_the_method(method: str, size: int) -> None:
    async with running_origin() as origin, running_gateway(TWO, {"ORIGIN": origin.url}) as gateway:
        async with connected(gateway.port) as client:
            for _ in range(6):
                reply = await client.request(method, "/", body=b"x" * size)
                assert reply.status == 200
        assert [len(request.body) for request in origin.requests] == [size] * 6


async def test_a_failed_attempt_goes_to_another_endpoint() -> None:
    async with running_origin(answer(b"bad", "503 No")) as bad, running_origin() as good:
        table = RETRYING.replace('["${env:ORIGIN}"]', '["${env:BAD}", "${env:GOOD}"]')
        async with running_gateway(table, {"BAD": bad.url, "GOOD": good.url}) as gateway:
            async with connected(gateway.port) as client:
                for _ in range(10):
                    assert (await client.request("GET", "/")).status == 200
            assert len(good.requests) == 10
            assert 0 < len(bad.requests) <= 10


async def test_the_budget_ends_retries_of_an_upstream_that_fails_all_the_time() -> None:
    table = RETRYING.replace("budget: 100%", "budget: 10%").replace("attempts: 3", "attempts: 2")
    async with rig(table, answer(b"no", "503 No")) as r:
        for _ in range(100):
            assert (await r.exchange("GET", "/")).status == 503
        # Ten that were saved up, then one in ten.
        assert 115 <= len(r.origin.requests) <= 122


async def test_a_reply_that_streams_and_is_tried_again_is_let_go() -> None:
    slow_503 = raw(b"HTTP/1.1 503 No\r\nContent-Length: 100000\r\n\r\nxx")
    async with rig(RETRYING, failing(1, slow_503)) as r:
        assert (await r.exchange("GET", "/")).body == b"at last"
        await r.origin.closed.wait()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_request_with_a_key_is_tried_again_with_its_key(fault: str, method: str) -> None:
    async with rig(RETRYING, failing(1, FAULTS[fault])) as r:
        reply = await r.exchange(method, "/keyed", {"Idempotency-Key": "k1"}, body=b"x")
        assert reply.status == 200
        assert [request.get("idempotency-key") for request in r.origin.requests] == ["k1", "k1"]
    async with rig(RETRYING, failing(1, FAULTS[fault])) as r:
        assert (await r.exchange(method, "/keyed", body=b"x")).status >= 502
        # A key that the route does not look at is no promise of the upstream's.
        r.origin.script = failing(1, FAULTS[fault])
        assert (await r.exchange(method, "/", {"Idempotency-Key": "k1"}, body=b"x")).status >= 502
        assert len(r.origin.requests) == 2


async def test_a_refused_connect_to_the_only_endpoint_is_tried_as_often_as_attempts_say_whatever_on_lists() -> None:
    async with rig(RETRYING, environ={"ORIGIN": "http://127.0.0.1:1"}) as r:
        for path in ("/", "/brief"):
            assert (await r.exchange("POST", path)).json["code"] == "upstream_unreachable"
        assert [line["attempts"] for line in await r.gateway.log_lines(2)] == [3, 3]
        assert (await r.exchange("POST", "/once")).status == 502
        assert (await r.gateway.log_lines(3))[2]["attempts"] == 1


async def test_rfc9110_10_2_3_a_503_is_tried_again_when_it_says_and_not_at_all_after_the_deadline() -> None:
    loop = asyncio.get_running_loop()
    busy = answer(b"busy", "503 Busy", ("Retry-After: 1",))
    async with rig(RETRYING, failing(1, busy)) as r:
        started_s = loop.time()
        assert (await r.exchange("GET", "/")).body == b"at last"
        assert loop.time() - started_s >= 1.0
    async with rig(RETRYING, answer(b"busy", "503 Busy", ("Retry-After: 2",))) as r:
        started_s = loop.time()
        reply = await r.exchange("GET", "/")
        assert (reply.body, reply.get("Retry-After")) == (b"busy", "2")
        assert loop.time() - started_s < 1.0
        assert len(r.origin.requests) == 1


async def test_all_attempts_together_have_the_routes_time() -> None:
    table = RETRYING.replace("total: 2s", "total: 300ms").replace("attempts: 3", "attempts: 10")
    loop = asyncio.get_running_loop()

    async def slow(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.12)
        await answer(b"no", "503 No")(received, reader, writer)

    async with rig(table, slow) as r:
        started_s = loop.time()
        assert (await r.exchange("GET", "/")).status in (503, 504)
        assert loop.time() - started_s < 1.0, "ten of them take longer"
        assert len(r.origin.requests) <= 3
