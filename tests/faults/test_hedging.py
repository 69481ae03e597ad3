"""A slow endpoint is overtaken by another one, within bounds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from tests.support.client import RawClient, connected
from tests.support.gateway import RunningGateway, running_gateway, until
from tests.support.origin import Origin, Received, answer, running_origin

TABLE = """
version: 1
defaults: {auth: none, timeout: {total: 5s}, hedge: {after: 50ms, at_most: 10%}}
upstreams:
  two: {endpoints: ["${env:SLOW}", "${env:QUICK}"], breaker: {}, overload: {}}
  one: {endpoints: ["${env:SLOW}"]}
routes:
- {id: all, match: /*, to: two}
- {id: once, match: /once, to: two, hedge: none}
- {id: alone, match: /alone, to: one}
- {id: adaptive, match: /adaptive, to: two, hedge: {after: p95}}
"""


async def silent(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def late(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.2)
    await answer(b"late")(received, reader, writer)


class Rig(NamedTuple):
    slow: Origin
    quick: Origin
    gateway: RunningGateway
    client: RawClient

    def hedges(self, outcome: str) -> float:
        return self.gateway.metric("gateway_upstream_hedges_total", upstream="two", outcome=outcome)

    def in_flight(self) -> int:
        upstream = self.gateway.serving.current.serving[1].policies["all"].upstream
        assert upstream.guard is not None and upstream.guard.admission is not None
        return upstream.guard.admission.in_flight


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    async with (
        asyncio.timeout(10),
        running_origin(silent) as slow,
        running_origin(answer(b"quick")) as quick,
        running_gateway(TABLE, {"SLOW": slow.url, "QUICK": quick.url}) as gateway,
        connected(gateway.port) as client,
    ):
        yield Rig(slow, quick, gateway, client)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_second_endpoint_answers_for_one_that_is_silent(method: str) -> None:
    async with rig() as r:
        started_s = asyncio.get_running_loop().time()
        reply = await r.client.request(method, "/")
        assert reply.status == 200
        assert 0.04 < asyncio.get_running_loop().time() - started_s < 1.0
        # The loser's connection is closed: nobody else gets its late reply.
        await r.slow.closed.wait()
        (line,) = await r.gateway.log_lines()
        assert (line["attempts"], line["endpoint"]) == (2, f"127.0.0.1:{r.quick.port}")
        assert (r.hedges("won"), r.hedges("lost")) == (1, 0)
        assert r.in_flight() == 0


async def test_the_first_may_still_win_and_the_second_is_closed() -> None:
    async with rig() as r:
        r.slow.script, r.quick.script = late, silent
        reply = await r.client.request("GET", "/")
        assert reply.body == b"late"
        await r.quick.closed.wait()
        assert (r.hedges("won"), r.hedges("lost")) == (0, 1)
        assert r.in_flight() == 0


@pytest.mark.parametrize(("method", "path"), [("POST", "/"), ("PUT", "/"), ("GET", "/once"), ("GET", "/alone")])
async def test_nothing_else_is_sent_twice(method: str, path: str) -> None:
    async with rig() as r:
        r.slow.script = r.quick.script = late
        assert (await r.client.request(method, path)).body == b"late"
        assert len(r.slow.requests) + len(r.quick.requests) == 1


async def test_hedges_are_a_share_of_the_requests() -> None:
    async with rig() as r:
        r.slow.script = r.quick.script = late

        async def ask() -> int:
            async with connected(r.gateway.port) as client:
                return (await client.request("GET", "/")).status

        for _ in range(3):
            assert set(await asyncio.gather(*[ask() for _ in range(20)])) == {200}
        # Ten that were saved up, and a tenth of sixty.
        assert 60 < len(r.slow.requests) + len(r.quick.requests) <= 76


async def test_a_client_that_leaves_ends_both() -> None:
    async with rig() as r:
        r.quick.script = silent
        async with connected(r.gateway.port) as leaving:
            leaving.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: bool(r.slow.requests) and bool(r.quick.requests))
        await r.slow.closed.wait()
        await r.quick.closed.wait()
        await until(lambda: r.in_flight() == 0)


async def test_after_p95_nobody_is_overtaken_before_it_is_known() -> None:
    async with rig() as r:
        r.slow.script = answer(b"slow")
        for _ in range(20):
            assert (await r.client.request("GET", "/adaptive")).status == 200
        assert r.hedges("won") + r.hedges("lost") == 0
        r.slow.script = silent
        for _ in range(4):
            assert (await r.client.request("GET", "/adaptive")).body == b"quick"
        assert r.hedges("won") == 2
