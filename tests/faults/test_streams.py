"""Replies that take their time: each event leaves at once, and a slow reader holds up the upstream, not the memory."""

import asyncio

from tests.support.gateway import rig, until
from tests.support.origin import Received, answer

COMPRESSING = """
version: 1
defaults: {auth: none, compress: [gzip]}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes: [{id: all, match: /*, to: origin}]
"""
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_each_event_of_a_stream_leaves_at_once() -> None:
    next_event: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(EVENTS)
        while event := await next_event.get():
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        writer.write(b"0\r\n\r\n")

    async with rig(COMPRESSING, script) as r:
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        # Head first: it does not wait for the first event.
        assert (await r.client.read_head()).get("Content-Type") == "text/event-stream"
        for number in range(50):
            event = b"data: %d\n\n" % number
            next_event.put_nowait(event)
            assert await r.client.read_chunk() == event
        next_event.put_nowait(b"")
        assert await r.client.read_chunk() == b""


async def test_a_slow_reader_pauses_the_upstream() -> None:
    sent = 0
    size = 64_000_000

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * 64_000)
            await writer.drain()
            sent += 64_000

    async with rig(script=script) as r:
        r.client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: sent > 0)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)  # until nothing moves any more
        assert sent < 24_000_000
        r.client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len((await r.client.read_reply()).body) == size


async def test_pipelined_requests_of_a_client_that_does_not_read_do_not_fill_the_memory() -> None:
    async with rig(script=answer(b"x" * 200_000)) as r:
        r.client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(400):
            r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: bool(r.origin.requests))
        before = -1
        while before != len(r.origin.requests):
            before = len(r.origin.requests)
            await asyncio.sleep(0.2)  # until nothing moves any more
        # What fits into the sockets' buffers, and some.
        assert before < 100
        r.client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(400):
            assert len((await r.client.read_reply()).body) == 200_000


async def test_endless_input_of_a_client_that_does_not_read_is_not_taken() -> None:
    async with rig(script=answer(b"x" * 200_000)) as r:
        r.client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        get = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1000 + b"\r\n\r\n"

        async def flood() -> None:
            for _ in range(40_000):
                r.client.send(get)
                await r.client.writer.drain()

        flooding = asyncio.create_task(flood())
        done, _ = await asyncio.wait([flooding], timeout=1)
        assert not done, "40 MB were taken in"
        flooding.cancel()
