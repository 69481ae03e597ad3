"""Hazard: a trial that clients feel, that repeats what it must not, or that goes on without end."""

import asyncio
import time
from typing import Any

import pytest

from gateway.config.mirroring import AT_ONCE_MAX, BODY_MAX, MirrorTap
from tests.support.client import connected
from tests.support.gateway import Rig, rig, token, until
from tests.support.origin import Received, answer, deaf_endpoint, raw, running_origin

TABLE = """
version: 1
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
defaults: {auth: none, limit: none}
upstreams:
  real: {endpoints: ["${env:ORIGIN}"]}
  trial: {endpoints: ["${env:TRIAL}"]}
routes:
- {id: all, match: /all/*, to: real, mirror: {to: trial, percent: 100%}, rewrite: {strip: /all}}
- {id: none, match: /none, to: real, mirror: {to: trial, percent: 0%}}
- {id: known, match: /known, auth: test, to: real, mirror: {to: trial, percent: 100%}, cache: {ttl: 60s, scope: tenant}}
- {id: failing, match: /failing, to: real, mirror: {to: trial, percent: 100%}, fault: {status: 503}}
- {id: both, match: /both, auth: test, split: [{to: real, weight: 1}], mirror: {to: trial, percent: 100%}}
"""

pytestmark = pytest.mark.usefixtures("each_lane")


def counted(r: Rig, result: str, **more: str) -> float:
    return r.gateway.metric("gateway_mirror_requests_total", upstream="trial", result=result, **more)


def header_lines(received: Received) -> list[tuple[str, str]]:
    """What both upstreams get alike."""
    lines = [line.partition(": ") for line in received.head.decode().split("\r\n")[1:] if line]
    own = ("host", "x-request-id", "x-gateway-mirror", "x-request-timeout-ms")
    return [(name, value) for name, _, value in lines if name not in own]


class Stuck:
    """An origin that answers nobody until `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def script(self, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def test_the_trial_gets_the_same_request_and_the_client_the_real_reply() -> None:
    async with running_origin(answer(b"trial")) as trial, rig(TABLE, answer(b"real"), {"TRIAL": trial.url}) as r:
        headers = {"X-A": "b", "X-Gateway-Mirror": "forged", "X_Gateway_Mirror": "forged", "Idempotency-Key": "1"}
        reply = await r.exchange("POST", "/all/x?y=1", headers, b"body")
        assert (reply.status, reply.body) == (200, b"real")
        await until(lambda: counted(r, "sent") == 1)
        (real,), (copy,) = r.origin.requests, trial.requests
        assert copy.request_line == real.request_line == b"POST /x?y=1 HTTP/1.1"
        assert copy.body == real.body == b"body"
        assert header_lines(copy) == header_lines(real)
        assert (real.get("x-gateway-mirror"), copy.get_all("x-gateway-mirror")) == (None, ["all"])
        assert copy.get("x-request-id") == f"{real.get('x-request-id')}.mirror"
        assert b"forged" not in copy.head + real.head
        (line,) = await r.gateway.log_lines()
        assert (line["verdicts"], line["attempts"], line["bytes_out"]) == ({"mirror": "copied"}, 1, 4)
        assert r.gateway.metric("gateway_upstream_seconds_count", upstream="real") == 1
        assert r.gateway.metric("gateway_upstream_seconds_count", upstream="trial") == 0
        assert r.gateway.metric("gateway_requests_total") == 1
        shares = {row["upstream"]: row["shares"] for row in r.gateway.serving.upstreams()}
        assert (shares["real"], shares["trial"][:2]) == (["both: 100%"], ["all: copies of 100%", "none: copies of 0%"])


async def test_whoever_the_caller_is_the_trial_is_told_as_well() -> None:
    async with running_origin() as trial, rig(TABLE, answer(b"real"), {"TRIAL": trial.url}) as r:
        await r.exchange("GET", "/both", {"Authorization": f"Bearer {token()}"})
        await until(lambda: counted(r, "sent") == 1)
        assert (trial.last.get("x-tenant-id"), trial.last.get("x-user-id")) == ("t1", "u1")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (answer(status="500 Broken"), "status"),
        (raw(b"nonsense", close=True), "upstream_bad_reply"),
        (raw(b"", close=True), "upstream_reset"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", close=True), "upstream_reset"),
    ],
    ids=["500", "no HTTP", "nothing", "half"],
)
async def test_what_becomes_of_the_copy_is_the_operators_affair_alone(reply: Any, reason: str) -> None:
    async with running_origin(reply) as trial, rig(TABLE, answer(b"real"), {"TRIAL": trial.url}) as r:
        got = await r.exchange("GET", "/all/x")
        assert (got.status, got.body) == (200, b"real")
        await until(lambda: counted(r, "failed", reason=reason) == 1)
        assert (await r.exchange("GET", "/all/x")).body == b"real"
        assert r.gateway.metric("gateway_errors_total") == 0


async def test_a_trial_that_cannot_be_reached_holds_up_nobody() -> None:
    with deaf_endpoint() as url:
        async with rig(TABLE, answer(b"real"), {"TRIAL": url}) as r:
            began_s = time.monotonic()
            for _ in range(20):
                assert (await r.exchange("GET", "/all/x")).body == b"real"
            assert time.monotonic() - began_s < 1.0
            await until(lambda: counted(r, "failed", reason="upstream_connect_timeout") == 20)


async def test_the_budget_of_the_real_upstream_is_not_touched_and_a_copy_is_sent_once() -> None:
    retrying = TABLE.replace("auth: none, limit", "retry: {attempts: 3, on: [503], budget: 50%}, auth: none, limit")
    async with (
        running_origin(answer(status="503 Busy")) as trial,
        rig(retrying, answer(b"real"), {"TRIAL": trial.url}) as r,
    ):
        policy = r.gateway.serving.current.serving[1].policies["all"]
        assert policy.legs is not None
        for number in range(8):
            assert (await r.exchange("GET", "/all/x")).status == 200
            await until(lambda: counted(r, "failed", reason="status") == number + 1)  # noqa: B023
        alone = policy.legs["real"].upstream.retry_budget.tokens
        assert len(trial.requests) == 8
        plain = retrying.replace(", mirror: {to: trial, percent: 100%}, rewrite", ", rewrite")
        async with rig(plain, answer(b"real"), {"TRIAL": trial.url}) as other:
            for _ in range(8):
                await other.exchange("GET", "/all/x")
            expected = other.gateway.serving.current.serving[1].policies["all"].upstream.retry_budget.tokens
        assert alone == expected
        assert r.gateway.metric("gateway_upstream_retries_total") == 0


async def test_there_are_only_so_many_at_once_and_they_end_with_the_gateway() -> None:
    stuck = Stuck()
    async with running_origin(stuck.script) as trial, rig(TABLE, answer(b"real"), {"TRIAL": trial.url}) as r:
        for _ in range(AT_ONCE_MAX + 5):
            assert (await r.exchange("GET", "/all/x")).body == b"real"
        await until(lambda: len(trial.requests) == AT_ONCE_MAX)
        assert counted(r, "dropped", reason="too_many") == 5
        began_s = time.monotonic()
        await r.gateway.drain()
        assert time.monotonic() - began_s < 1.5
        assert counted(r, "dropped", reason="shutdown") == AT_ONCE_MAX
        stuck.go.set()
        await until(lambda: not trial.open_connections)


async def test_places_are_free_again_when_copies_have_ended() -> None:
    stuck = Stuck()
    async with running_origin(stuck.script) as trial, rig(TABLE, answer(b"real"), {"TRIAL": trial.url}) as r:
        for _ in range(AT_ONCE_MAX):
            await r.exchange("GET", "/all/x")
        await until(lambda: len(trial.requests) == AT_ONCE_MAX)
        stuck.go.set()
        await until(lambda: counted(r, "sent") == AT_ONCE_MAX)
        await r.exchange("GET", "/all/x")
        await until(lambda: counted(r, "sent") == AT_ONCE_MAX + 1)
        assert counted(r, "dropped") == 0


async def test_a_body_that_is_too_large_or_streams_is_not_copied_and_is_counted() -> None:
    async with running_origin() as trial, rig(TABLE, answer(b"real"), {"TRIAL": trial.url}) as r:
        assert (await r.exchange("PUT", "/all/x", body=b"x" * BODY_MAX)).body == b"real"
        await until(lambda: counted(r, "sent") == 1)
        assert len(trial.last.body) == BODY_MAX
        assert (await r.exchange("PUT", "/all/x", body=b"x" * (BODY_MAX + 1))).body == b"real"
        r.client.send(b"PUT /all/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        await until(lambda: len(r.origin.requests) == 3)
        r.client.send(b"0\r\n\r\n")
        assert (await r.client.read_reply()).body == b"real"
        await until(lambda: counted(r, "dropped") == 2)
        assert counted(r, "dropped", reason="streaming") + counted(r, "dropped", reason="body_size") == 2
        assert len(trial.requests) == 1
        assert [line["verdicts"]["mirror"] for line in await r.gateway.log_lines(3)] == ["copied", "dropped", "dropped"]


async def test_an_upgrade_is_not_copied() -> None:
    switch = raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello")
    async with running_origin() as trial, rig(TABLE, switch, {"TRIAL": trial.url}) as r:
        async with connected(r.gateway.port) as client:
            reply = await client.request("GET", "/all/ws", {"Connection": "Upgrade", "Upgrade": "websocket"})
            assert (reply.status, await client.reader.readexactly(5)) == (101, b"hello")
        await until(lambda: counted(r, "dropped", reason="upgrade") == 1)
        assert trial.requests == []


async def test_what_does_not_go_to_the_upstream_is_not_copied_nor_are_shares_of_nothing() -> None:
    async with running_origin() as trial, rig(TABLE, answer(b"real"), {"TRIAL": trial.url}) as r:
        caller = {"Authorization": f"Bearer {token()}"}
        assert (await r.exchange("GET", "/known")).status == 401
        assert (await r.exchange("GET", "/known", caller)).body == b"real"
        assert (await r.exchange("GET", "/known", caller)).body == b"real"
        assert (await r.exchange("GET", "/none")).body == b"real"
        assert (await r.exchange("GET", "/failing")).status == 503
        await until(lambda: counted(r, "sent") == 1)
        assert (len(r.origin.requests), len(trial.requests)) == (2, 1)
        verdicts = [line["verdicts"].get("mirror") for line in await r.gateway.log_lines(5)]
        assert verdicts == [None, "copied", None, None, None]


async def test_what_the_gateway_asks_ahead_for_nobody_is_not_copied() -> None:
    text = TABLE.replace("scope: tenant}}", "scope: tenant, warm: ['/known?ahead']}}")
    async with running_origin() as trial, rig(text, answer(b"real"), {"TRIAL": trial.url}) as r:
        await r.exchange("GET", "/known", {"Authorization": f"Bearer {token()}"})
        verdicts = {line["request_id"][-5:] == ".warm": line["verdicts"] for line in await r.gateway.log_lines(2)}
        assert (verdicts[False].get("mirror"), verdicts[True].get("mirror")) == ("copied", None)
        await until(lambda: counted(r, "sent") == 1)
        assert (len(r.origin.requests), len(trial.requests)) == (2, 1)


async def test_a_trial_that_its_breaker_shuts_off_is_asked_nothing() -> None:
    text = TABLE.replace('["${env:TRIAL}"]', '["${env:TRIAL}"], breaker: {min: 4, open: 60s}')
    async with (
        running_origin(answer(status="503 Busy")) as trial,
        rig(text, answer(b"real"), {"TRIAL": trial.url}) as r,
    ):
        for number in range(8):
            assert (await r.exchange("GET", "/all/x")).body == b"real"
            await until(lambda: counted(r, "failed") + counted(r, "dropped") == number + 1)  # noqa: B023
        assert (counted(r, "failed"), counted(r, "dropped", reason="upstream_circuit_open")) == (4, 4)
        assert len(trial.requests) == 4


async def test_a_reply_without_end_ends_with_the_time_limit_and_in_little_memory() -> None:
    async def endless(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"5\r\nagain\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    text = TABLE.replace("rewrite: {strip: /all}}", "timeout: {total: 200ms}}")
    async with running_origin(endless) as trial, rig(text, answer(b"real"), {"TRIAL": trial.url}) as r:
        assert (await r.exchange("GET", "/all/x")).body == b"real"
        await until(lambda: counted(r, "failed", reason="upstream_timeout") == 1)
        await until(lambda: not trial.open_connections)


async def test_shares_are_drawn_by_lot() -> None:
    async with (
        running_origin() as trial,
        rig(
            TABLE.replace("percent: 100%}, rewrite", "percent: 25%}, rewrite"), answer(b"real"), {"TRIAL": trial.url}
        ) as r,
    ):
        (route,) = [each for each in r.gateway.serving.current.snapshot.routes if each.info.id == "all"]
        (tap,) = [plugin for plugin in route.plugins if isinstance(plugin, MirrorTap)]
        tap.rng.seed(5)
        for _ in range(100):
            await r.exchange("GET", "/all/x")
        await until(lambda: counted(r, "sent") == len(trial.requests))
        assert 15 < len(trial.requests) < 35
