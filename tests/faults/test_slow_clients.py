"""Slow clients: each is ended by its limit, they cost bounded memory, and nobody else waits for them."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.test_memory import MIB, forget_peak, resident_bytes
from tests.support.client import breaks_off, connected
from tests.support.gateway import gateway_process, rig, running_gateway, until
from tests.support.origin import Received

QUICK = """
version: 1
gateway: {limits: {header_timeout: 5s, body_rate_min: 1KiB/300ms, reply_rate_min: 256KiB/300ms}}
defaults: {auth: none, timeout: {total: none}}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes: [{id: all, match: /*, to: origin}]
"""
LOCAL = """
version: 1
gateway: {limits: {reply_rate_min: 256KiB/300ms}}
routes: [{id: big, match: /*, auth: none, respond: {text: "${env:BIG}"}}]
"""


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000", b"Content-Length: 1000000", b"Transfer-Encoding: chunked"]
)
async def test_a_body_that_moves_too_slowly_is_408_and_never_complete_at_the_upstream(framing: bytes) -> None:
    async with rig(QUICK) as r:
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")

        async def trickle() -> None:
            while True:
                r.client.send(b"1\r\nx\r\n")
                await asyncio.sleep(0.02)  # the passing of time is what this is about

        trickling = asyncio.create_task(trickle())
        reply = await r.client.read_reply()
        trickling.cancel()
        assert (reply.status, reply.json["code"]) == (408, "request_timeout")
        assert reply.json["detail"] == "The body arrives too slowly"
        assert reply.get("Connection") == "close"
        assert not any(request.is_complete for request in r.origin.requests)


async def test_the_upstreams_slowness_is_not_the_clients() -> None:
    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.7)  # longer than two windows in which the client has to send
        left = int(received.get("content-length") or 0)
        while left:
            left -= len(await reader.read(left))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with rig(QUICK, script) as r:
        r.origin.read_body = False
        size = 9_000_000  # more than the sockets on the way take in
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        assert (await r.client.read_reply()).status == 200


async def endless(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        writer.write(bytes(64_000))
        await writer.drain()


async def test_a_client_that_does_not_read_is_cut_off_and_the_upstream_let_go() -> None:
    async with rig(QUICK, endless) as r:
        r.client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        (line,) = await r.gateway.log_lines()
        assert (line["outcome"], line["status"]) == ("client_slow", 200)
        await r.origin.closed.wait()
        r.client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await breaks_off(r.client.read_reply())
        assert r.gateway.metric("gateway_connections") == 0


@pytest.mark.parametrize(
    "request_bytes", [b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"]
)
async def test_a_whole_reply_that_nobody_reads_does_not_keep_its_connection(request_bytes: bytes) -> None:
    async with (
        asyncio.timeout(10),
        running_gateway(LOCAL, {"BIG": "x" * 8_000_000}) as gateway,
        connected(gateway.port) as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(request_bytes)
        await until(lambda: gateway.metric("gateway_connections") == 1)
        await until(lambda: gateway.metric("gateway_connections") == 0)


async def test_a_slow_client_that_keeps_the_least_rate_gets_all_of_it() -> None:
    size = 12_000_000

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        writer.write(bytes(size))
        await writer.drain()

    async with rig(QUICK.replace("256KiB/300ms", "64KiB/600ms"), script) as r:
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await r.client.read_head()).status == 200
        left = size
        while left:
            # 10 MB/s: far more than the least, for two windows in which the gateway waits.
            left -= len(await r.client.reader.readexactly(min(left, 200_000)))
            await asyncio.sleep(0.02)  # the passing of time is what this is about


CROWD = """
version: 1
gateway: {limits: {header_timeout: 3s, body_rate_min: 4KiB/3s, reply_rate_min: 1MiB/3s}}
defaults: {auth: none, timeout: {total: none}}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"], pool: {max: 500}}}
routes: [{id: all, match: /*, to: origin, body_max: 1GiB}]
"""
SLOW = {
    b"GET /slow HTTP/1.1\r\nHost: a\r\nX-Slow: ": 150,
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\nabc": 75,
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\nabc": 75,
    b"GET /1000000000 HTTP/1.1\r\nHost: a\r\n\r\n": 60,
}
"""The start of what so many clients each send, and then neither send nor read."""
# A reader: what the client's transport and the reply's body hold back, 64 and 256 KiB, and a read more in each.
GROWTH_MAX = 60 * MIB + 24 * MIB


@asynccontextmanager
async def bulk_origin() -> AsyncIterator[str]:
    origin = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.bulk", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert origin.stdout is not None
        yield f"http://127.0.0.1:{int(await origin.stdout.readline())}"
    finally:
        origin.kill()
        await origin.wait()
        origin._transport.close()  # type: ignore[attr-defined]


async def test_hundreds_of_slow_clients_cost_bounded_memory_and_nobody_else_waits() -> None:
    async with asyncio.timeout(50), bulk_origin() as url, gateway_process(CROWD, {"ORIGIN": url}) as process:
        (worker,) = process.workers()
        async with connected(process.port) as live:
            assert (await live.request("GET", "/1000")).status == 200
            before = resident_bytes(worker, "VmRSS")
            forget_peak(worker)
            crowd = []
            for start, count in SLOW.items():
                for _ in range(count):
                    _, writer = await asyncio.open_connection("127.0.0.1", process.port)
                    writer.transport.pause_reading()  # type: ignore[attr-defined]
                    writer.write(start)
                    crowd.append(writer)
            served = 0
            while await process.metric("gateway_connections") > 1:
                reply = await live.request("GET", "/1000")
                assert (reply.status, len(reply.body)) == (200, 1000)
                served += 1
            grown = resident_bytes(worker, "VmHWM") - before
            for writer in crowd:
                writer.transport.abort()
        assert served >= 100
        assert grown < GROWTH_MAX, f"{grown / MIB:.1f} MiB"
