"""Hazard: a request served by the lane that does not understand it, or a plain one that costs more than it should."""

import asyncio
from typing import Any

import pytest

from tests.support.gateway import TABLE, Rig, rig
from tests.support.origin import answer, raw

PLAIN = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def fast_connections(r: Rig) -> int:
    return len(r.gateway.serving._fast_lane.open.connections)


@pytest.mark.parametrize("request_bytes", [PLAIN, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"])
async def test_a_plain_request_stays_in_the_fast_lane(request_bytes: bytes) -> None:
    async with rig(lane="fast") as r:
        for _ in range(2):
            assert (await r.send(request_bytes)).body == b"hello"
            assert fast_connections(r) == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000,
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAccept: x\r\nAccept: y\r\n\r\n",
    ],
)
async def test_any_other_request_is_handed_over_and_served(request_bytes: bytes) -> None:
    async with rig(lane="fast") as r:
        assert (await r.send(PLAIN)).status == 200
        reply = await r.send(request_bytes)
        assert (reply.status, reply.body) == (200, b"hello")
        assert fast_connections(r) == 0
        assert r.gateway.metric("gateway_connections") == 1


async def test_after_a_handover_the_other_lane_serves_what_follows_on_the_connection() -> None:
    async with rig(lane="fast") as r:
        r.client.send(PLAIN + b"GET /odd HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n" + PLAIN)
        for _ in range(3):
            assert (await r.client.read_reply()).status == 200
        assert [each.request_line for each in r.origin.requests] == [
            b"GET / HTTP/1.1",
            b"GET /odd HTTP/1.1",
            b"GET / HTTP/1.1",
        ]


async def test_a_request_in_many_pieces_is_served_once_it_is_whole() -> None:
    async with rig(lane="fast") as r:
        for byte in b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc":
            r.client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await r.client.read_reply()).status == 200
        assert r.origin.last.body == b"abc"
        assert fast_connections(r) == 1


async def test_a_long_pipeline_is_answered_in_order() -> None:
    async with rig(lane="fast") as r:
        count = 500
        r.client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(count)))
        for _ in range(count):
            assert (await r.client.read_reply()).status == 200
        assert [each.request_line for each in r.origin.requests] == [
            b"GET /%d HTTP/1.1" % number for number in range(count)
        ]


async def test_a_plain_request_over_a_pooled_connection_makes_no_task() -> None:
    async with rig(lane="fast") as r:
        await r.send(PLAIN)
        loop = asyncio.get_running_loop()
        made: list[Any] = []

        def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
            made.append(coroutine)
            return asyncio.Task(coroutine, loop=loop, **more)

        loop.set_task_factory(make)
        try:
            assert (await r.send(PLAIN)).status == 200
        finally:
            loop.set_task_factory(None)
        assert made == []


async def test_a_reply_in_pieces_is_the_same_as_one_in_one_piece() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kept: 1\r\n\r\nhello"
    async with rig(lane="fast", script=raw(whole)) as r:
        one = await r.send(PLAIN)

        async def in_pieces(received: Any, reader: Any, writer: Any) -> None:
            for byte in whole:
                writer.write(bytes([byte]))
                await writer.drain()

        r.origin.script = in_pieces
        other = await r.send(PLAIN)
        assert (one.status, one.body, one.get("X-Kept")) == (other.status, other.body, other.get("X-Kept"))


async def test_the_lane_can_be_switched_off() -> None:
    async with rig(lane="aiohttp", script=answer(b"hello")) as r:
        assert (await r.send(PLAIN)).status == 200
        assert fast_connections(r) == 0


async def test_what_it_does_is_said_by_its_repr() -> None:
    async with rig(TABLE, lane="fast") as r:
        await r.send(PLAIN)
        (connection,) = r.gateway.serving._fast_lane.open.connections
        assert repr(connection) == "<FastConnection 127.0.0.1 reading>"
