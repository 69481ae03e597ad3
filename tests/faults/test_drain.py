"""A gateway that is told to stop: what is under way ends well, what rests is closed, nothing new is taken."""

import asyncio

import pytest

from tests.support.client import connected
from tests.support.gateway import gateway_process, rig, until
from tests.support.origin import Received, answer, running_origin

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"


async def test_a_drain_lets_a_stream_finish_and_closes_connections_at_rest() -> None:
    go_on = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/stream" not in received.request_line:
            await answer(b"ok")(received, reader, writer)
            return
        writer.write(HEAD)
        await go_on.wait()
        writer.write(b"4\r\nlast\r\n0\r\n\r\n")

    async with rig(script=script) as r, connected(r.gateway.port) as streaming, connected(r.gateway.port) as fresh:
        assert (await r.exchange("GET", "/")).status == 200
        streaming.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        await streaming.read_head()
        assert await streaming.read_chunk() == b"first"
        draining = asyncio.create_task(r.gateway.drain(5))
        assert await r.client.is_closed()
        assert await fresh.is_closed()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", r.gateway.port)
        assert not draining.done()
        go_on.set()
        assert await streaming.read_chunk() == b"last"
        assert await streaming.read_chunk() == b""
        assert await streaming.reader.readexactly(2) == b"\r\n"
        assert await streaming.is_closed()
        await draining


async def test_a_drain_says_close_in_the_last_reply() -> None:
    go_on = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        await answer(b"ok")(received, reader, writer)

    async with rig(script=script) as r:
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: bool(r.origin.requests))
        draining = asyncio.create_task(r.gateway.drain(5))
        await asyncio.sleep(0)
        go_on.set()
        reply = await r.client.read_reply()
        assert (reply.status, reply.get("Connection")) == (200, "close")
        await draining


async def test_a_drain_lets_an_upload_finish() -> None:
    async with rig() as r:
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000)
        await until(lambda: bool(r.origin.requests))
        draining = asyncio.create_task(r.gateway.drain(5))
        await asyncio.sleep(0)
        r.client.send(b"x" * 50_000)
        reply = await r.client.read_reply()
        assert reply.status == 200
        assert len(r.origin.last.body) == 100_000
        await draining


async def test_a_drain_ends_what_takes_too_long() -> None:
    async def silent(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with rig(script=silent) as r:
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: bool(r.origin.requests))
        started_s = asyncio.get_running_loop().time()
        await r.gateway.drain(0.3)
        assert asyncio.get_running_loop().time() - started_s < 1.2
        assert await r.client.is_closed()
        await r.origin.closed.wait()
        assert (await r.gateway.log_lines())[0]["route"] == "all"


async def test_sigterm_drains_a_gateway_process() -> None:
    go_on = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        await go_on.wait()
        writer.write(b"4\r\nlast\r\n0\r\n\r\n")

    async with (
        asyncio.timeout(15),
        running_origin(script) as origin,
        gateway_process(environ={"ORIGIN": origin.url}) as process,
        connected(process.port) as client,
        connected(process.port) as idle,
    ):
        assert (await process.admin("/readyz"))[0] == 200
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.read_head()
        assert await client.read_chunk() == b"first"
        process.terminate()
        assert await idle.is_closed()
        assert (await process.admin("/readyz"))[0] == 503
        go_on.set()
        assert await client.read_chunk() == b"last"
        assert await client.read_chunk() == b""
        assert await process.process.wait() == 0
