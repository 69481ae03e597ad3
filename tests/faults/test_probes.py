"""Hazard: a probe says well of what is not, waits for ever, or takes a connection that requests need."""

import asyncio
import random

import pytest

from gateway.core.health import HealthRule
from gateway.observe.metrics import WorkerMetrics
from gateway.upstreams.prober import probe
from gateway.upstreams.registry import Endpoint, Registry, TlsShape, UpstreamShape
from tests.support.certificates import Authority
from tests.support.origin import Script, answer, deaf_endpoint, greeting_endpoint, raw, running_origin

# A lane has no part in it.
pytestmark = pytest.mark.parametrize("each_lane", ["fast"], indirect=True)

RULE = HealthRule("/health/ready", every_s=5.0, timeout_s=2.0, healthy_after=2, unhealthy_after=3)
SHORT = HealthRule("/", every_s=5.0, timeout_s=0.05, healthy_after=2, unhealthy_after=3)


NAMED = TlsShape(server_name="crm.internal")


def endpoint_of(url: str, tls: TlsShape = NAMED) -> Endpoint:
    registry = Registry(asyncio.get_running_loop(), random.Random(1), WorkerMetrics())
    return registry.upstream(UpstreamShape("crm", ((url, 1),), "round_robin", 1, 60.0, tls)).endpoints[0]


async def never(*arguments: object) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (answer(b"fine"), ""),
        (answer(b"", "204 No Content"), ""),
        (answer(b"", "307 Elsewhere", ("Location: /",)), ""),
        (answer(b"x" * 100_000), ""),
        (raw(b"HTTP/1.0 200 OK\r\n\r\n", close=True), ""),
        (answer(b"no", "503 Not Ready"), "status 503"),
        (answer(b"no", "404 Not Found"), "status 404"),
        (raw(b"", close=True), "it closed the connection without an answer"),
        (raw(b"220 mail.example ESMTP\r\n", close=True), "its answer is no HTTP"),
        (raw(b"HTTP/1.1 ok\r\n", close=True), "its answer is no HTTP"),
        (raw(b"x" * 9000), "its answer is no HTTP"),
    ],
)
async def test_what_a_probe_says_of_an_answer(script: Script, expected: str) -> None:
    async with running_origin(script) as origin:
        assert await probe(endpoint_of(origin.url), RULE) == expected
        assert origin.last.request_line == b"GET /health/ready HTTP/1.1"
        assert origin.last.get("host") == f"127.0.0.1:{origin.port}"


async def test_a_probe_has_a_connection_of_its_own_and_ends_it() -> None:
    async with running_origin() as origin:
        endpoint = endpoint_of(origin.url)
        assert endpoint.pool.reserve()  # the only one of the pool
        assert await probe(endpoint, RULE) == ""
        assert endpoint.pool.open == 1
        await origin.closed.wait()


async def test_nobody_there() -> None:
    assert await probe(endpoint_of("http://127.0.0.1:1"), RULE) == "connection refused"


async def test_one_that_hangs_is_waited_for_no_longer_than_the_timeout() -> None:
    async with running_origin(never) as origin:
        assert await probe(endpoint_of(origin.url), SHORT) == "no answer within 0.05 s"
    with deaf_endpoint() as url:
        assert await probe(endpoint_of(url), SHORT) == "no answer within 0.05 s"


async def test_a_name_that_nobody_knows() -> None:
    assert (await probe(endpoint_of("http://no-such-host.invalid"), RULE)).startswith("no connection: ")


async def test_over_tls_the_certificate_counts() -> None:
    authority = Authority()
    async with running_origin(tls=authority.server_context(authority.issue("crm.internal"))) as origin:
        good = TlsShape(ca=authority.pem, server_name="crm.internal")
        assert await probe(endpoint_of(origin.url, good), RULE) == ""
        assert (await probe(endpoint_of(origin.url), RULE)).startswith("TLS failed: ")
    async with greeting_endpoint() as url:
        assert (await probe(endpoint_of(url), RULE)).startswith("TLS failed: ")
