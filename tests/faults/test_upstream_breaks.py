"""The upstream refuses, breaks off, or speaks no HTTP: the client gets a clear error, or a transfer that is seen to be
broken, never a reply that looks whole.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from tests.support.client import breaks_off, connected
from tests.support.gateway import TABLE, rig, running_gateway, until
from tests.support.origin import Received, Script, answer, raw

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def resetting(data: bytes) -> Script:
    """Writes the bytes and ends the connection by a reset."""

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        sock = writer.get_extra_info("socket")
        with socket.socket(fileno=socket.dup(sock.fileno())) as twin:
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    return script


async def test_a_refused_connect_is_502_at_once() -> None:
    async with running_gateway(TABLE, {"ORIGIN": "http://127.0.0.1:1"}) as gateway, connected(gateway.port) as client:
        reply = await client.request("GET", "/")
        assert (reply.status, reply.json["code"]) == (502, "upstream_unreachable")
        (line,) = await gateway.log_lines()
        assert (line["code"], line["attempts"], line["endpoint"]) == ("upstream_unreachable", 1, "127.0.0.1:1")
        assert gateway.metric("gateway_upstream_attempts_total", outcome="connect") == 1
        # The client's connection is none the worse for it.
        assert (await client.request("GET", "/")).status == 502


@pytest.mark.parametrize("ending", [raw(b"", close=True), resetting(b"")], ids=["closed", "reset"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_end_before_the_head_is_502(ending: Script, method: str) -> None:
    async with rig(script=ending) as r:
        reply = await r.exchange(method, "/")
        assert (reply.status, reply.json["code"]) == (502, "upstream_reset")
        assert len(r.origin.requests) == 1


@pytest.mark.parametrize("part", [b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 103 Hi\r\n\r\n"])
@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
async def test_an_end_amid_the_head_is_502(part: bytes, is_reset: bool) -> None:
    async with rig(script=resetting(part) if is_reset else raw(part, close=True)) as r:
        reply = await r.exchange("GET", "/")
        assert (reply.status, reply.json["code"]) == (502, "upstream_reset")


BROKEN = {
    "amid a body with a length": HEAD + b"x" * 50,
    "right after a head with a length": HEAD,
    "amid a chunk": CHUNKED + b"10\r\nhello",
    "between chunks": CHUNKED + b"5\r\nhello\r\n",
    "before the last line of the chunks": CHUNKED + b"5\r\nhello\r\n0\r\n",
    "amid the trailers": CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 4",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_an_end_amid_the_body_breaks_the_transfer(data: bytes, is_reset: bool, version: str) -> None:
    async with rig(script=resetting(data) if is_reset else raw(data, close=True)) as r:
        if not await breaks_off(reading := asyncio.ensure_future(r.exchange("GET", "/", version=version))):
            # Where the head had not left yet, an error takes the reply's place.
            assert (reading.result().status, reading.result().json["code"]) == (502, "upstream_reset")
        await until(lambda: len(r.gateway.log()) == 1)
        (line,) = r.gateway.log()
        assert line["code"] == "upstream_reset"
        assert line["outcome"] == "broken" or line["status"] == 502


async def test_a_reset_amid_a_body_without_a_length_breaks_the_transfer() -> None:
    go_on = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await go_on.wait()
        await resetting(b"")(received, reader, writer)

    for version in ("1.1", "1.0"):
        go_on.clear()
        async with rig(script=script) as r:
            r.client.send(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
            head = await r.client.read_head()
            assert head.status == 200
            go_on.set()
            if version == "1.0":
                assert await breaks_off(r.client.reader.read())
            else:
                assert await r.client.read_chunk() == b"hello"
                assert await breaks_off(r.client.read_chunk())


@pytest.mark.parametrize(
    "data",
    [b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", b"\r\n" * 20 + b"x"],
)
async def test_a_reply_that_is_no_http_is_502(data: bytes) -> None:
    async with rig(script=raw(data)) as r:
        reply = await r.exchange("GET", "/")
        assert (reply.status, reply.json["code"]) == (502, "upstream_bad_reply")
        await r.origin.closed.wait()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n" * 3000 + b"Content-Length: 0\r\n\r\n",
    ],
    ids=["one field", "many fields"],
)
async def test_a_head_that_is_too_large_is_502(head: bytes) -> None:
    async with rig(script=raw(head)) as r:
        reply = await r.exchange("GET", "/")
        assert (reply.status, reply.json["code"]) == (502, "upstream_bad_reply")


@pytest.mark.parametrize("second", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"x"])
async def test_a_second_reply_that_nobody_asked_for_never_answers_the_next_request(second: bytes) -> None:
    async with rig(script=raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst" + second)) as r:
        reply = await r.exchange("GET", "/")
        assert reply.status == 502 or reply.body == b"first"
        r.origin.script = answer(b"next")
        assert (await r.exchange("GET", "/")).body == b"next"
        assert r.origin.connections == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_late_second_reply_never_answers_the_next_request(method: str) -> None:
    said = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(b"first")(received, reader, writer)
        await writer.drain()
        await go_on.wait()
        await answer(b"evil")(received, reader, writer)
        await writer.drain()
        said.set()

    go_on = asyncio.Event()
    async with rig(script=script) as r:
        assert (await r.exchange("GET", "/")).body == b"first"
        go_on.set()
        await said.wait()
        r.origin.script = answer(b"next")
        assert (await r.exchange(method, "/")).body == b"next"


@contextlib.asynccontextmanager
async def greeting_server(greeting: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_server_that_speaks_first_is_502() -> None:
    async with (
        greeting_server(b"220 mail ready\r\n") as url,
        running_gateway(TABLE, {"ORIGIN": url}) as gateway,
        connected(gateway.port) as client,
    ):
        for _ in range(10):
            reply = await client.request("POST", "/", body=b"x")
            assert reply.status == 502
            assert reply.json["code"] in ("upstream_bad_reply", "upstream_reset")


async def test_a_server_that_accepts_and_closes_is_502() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with running_gateway(TABLE, {"ORIGIN": url}) as gateway, connected(gateway.port) as client:
            for _ in range(20):
                reply = await client.request("GET", "/")
                assert (reply.status, reply.json["code"]) == (502, "upstream_reset")
