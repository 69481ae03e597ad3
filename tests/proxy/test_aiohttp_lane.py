"""Hazard: the complete lane miscounts, misreads or forgets what only it serves."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from gateway.core.errors import GatewayError
from gateway.core.throughput import Throughput
from gateway.proxy import aiohttp_lane
from gateway.proxy.request_body import RequestBody
from tests.proxy.fakes import FakeTransport
from tests.support.gateway import rig, until
from tests.support.origin import Received, answer
from tests.support.plugins import exchange


async def test_bytes_are_counted_both_ways() -> None:
    async with rig(script=answer(b"x" * 300)) as r:
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await until(lambda: bool(r.origin.requests))
        r.client.send(b"186a0\r\n" + b"y" * 100_000 + b"\r\n0\r\n\r\n")
        assert (await r.client.read_reply()).status == 200
        await r.exchange("OPTIONS", "/", body=b"seven!!")
        first, second = await r.gateway.log_lines(2)
        assert (first["bytes_in"], first["bytes_out"]) == (100_005, 300)
        assert (second["bytes_in"], second["bytes_out"]) == (7, 300)


async def test_a_target_in_absolute_form_is_logged_and_routed_as_a_path() -> None:
    async with rig() as r:
        await r.send(b"GET http://shop.example/a/b?c=d HTTP/1.1\r\nHost: x\r\n\r\n")
        (line,) = await r.gateway.log_lines()
        assert line["path"] == "/a/b"


async def test_a_reply_that_moves_reaches_a_client_of_the_complete_lane_piece_by_piece() -> None:
    go_on = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await go_on.wait()
        writer.write(b"1\r\nb\r\n0\r\n\r\n")

    async with rig(script=script, lane="aiohttp") as r:
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await r.client.read_head()
        assert await r.client.read_chunk() == b"a"
        go_on.set()
        assert await r.client.read_chunk() == b"b"
        assert await r.client.read_chunk() == b""


async def test_its_connections_and_requests_are_counted_down_again() -> None:
    async with rig(lane="aiohttp") as r:
        assert (await r.exchange("GET", "/")).status == 200
        assert r.gateway.metric("gateway_connections") == 1
        r.client.close()
        await until(lambda: r.gateway.metric("gateway_connections") == 0)
        assert r.gateway.metric("gateway_requests_in_flight") == 0


async def test_only_the_time_in_which_a_body_is_waited_for_counts_against_its_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 0.0
    monkeypatch.setattr(aiohttp_lane, "monotonic", lambda: now_s)
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(FakeTransport())
    payload = StreamReader(protocol, 2**16, loop=loop)
    connection: Any = SimpleNamespace(body_timeout_s=30.0, body_rate_min=Throughput(100, 10.0))
    body = aiohttp_lane._body(exchange(), payload, connection)
    assert isinstance(body, RequestBody)

    async def one_byte_comes_after(wait_s: float) -> bytes:
        nonlocal now_s
        reading = asyncio.create_task(body.read())
        await asyncio.sleep(0)
        now_s += wait_s
        payload.feed_data(b"x")
        return await reading

    assert await one_byte_comes_after(9.0) == b"x"
    now_s += 1000.0  # the upstream takes its time
    assert await one_byte_comes_after(0.5) == b"x"
    with pytest.raises(GatewayError, match="The body arrives too slowly"):
        await one_byte_comes_after(0.5)
