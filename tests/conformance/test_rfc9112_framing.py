"""RFC 9112 section 6 and RFC 9110 section 6.4: where a body begins and ends, on both sides of the gateway."""

import asyncio

import pytest

from tests.support.gateway import rig, until
from tests.support.origin import Received, answer, raw

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_rfc9112_6_2_a_request_with_content_length_keeps_it() -> None:
    async with rig() as r:
        reply = await r.exchange("POST", "/", body=b"12345")
        assert reply.status == 200
        assert r.origin.last.get_all("content-length") == ["5"]
        assert r.origin.last.get("transfer-encoding") is None
        assert r.origin.last.body == b"12345"


async def test_rfc9112_6_2_a_long_request_with_content_length_keeps_it() -> None:
    body = bytes(range(256)) * 8192
    async with rig() as r:
        reply = await r.exchange("PUT", "/", body=body)
        assert reply.status == 200
        assert r.origin.last.get_all("content-length") == [str(len(body))]
        assert r.origin.last.body == body


async def test_rfc9112_7_1_a_chunked_request_arrives_whole() -> None:
    async with rig() as r:
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;note=x\r\nhello\r\n")
        await until(lambda: bool(r.origin.requests))
        r.client.send(b"6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n")
        assert (await r.client.read_reply()).status == 200
        assert r.origin.last.body == b"hello world"
        assert r.origin.last.get("content-length") is None
        # The connection goes on, so the trailer section was read as well.
        assert (await r.exchange("GET", "/")).status == 200


async def test_rfc9112_7_1_a_chunked_request_in_one_packet_arrives_whole() -> None:
    async with rig() as r:
        reply = await r.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        )
        assert reply.status == 200
        assert r.origin.last.body == b"hello world"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_rfc9110_8_6_a_method_that_expects_a_body_says_that_it_has_none(method: str) -> None:
    async with rig() as r:
        await r.exchange(method, "/")
        assert r.origin.last.get_all("content-length") == ["0"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
async def test_rfc9110_8_6_a_method_that_expects_no_body_says_nothing(method: str) -> None:
    async with rig() as r:
        await r.exchange(method, "/")
        assert r.origin.last.get("content-length") is None
        assert r.origin.last.get("transfer-encoding") is None


async def test_rfc9110_9_3_1_a_get_with_a_body_passes_it() -> None:
    async with rig() as r:
        await r.exchange("GET", "/", body=b"query")
        assert r.origin.last.body == b"query"


async def test_rfc9112_6_2_a_reply_with_content_length_keeps_it() -> None:
    async with rig(script=answer(b"x" * 70_000)) as r:
        reply = await r.exchange("GET", "/")
        assert reply.get_all("Content-Length") == ["70000"]
        assert reply.get("Transfer-Encoding") is None
        assert reply.body == b"x" * 70_000


async def test_rfc9112_7_1_a_chunked_reply_passes_in_pieces() -> None:
    go_on = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"5\r\nfirst\r\n")
        await go_on.wait()
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")

    async with rig(script=script) as r:
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await r.client.read_head()
        assert head.get_all("Transfer-Encoding") == ["chunked"]
        assert head.get("Content-Length") is None
        assert await r.client.read_chunk() == b"first"
        go_on.set()
        assert await r.client.read_chunk() == b"second"
        assert await r.client.read_chunk() == b""


async def test_rfc9112_6_3_a_reply_that_ends_with_the_connection_is_whole() -> None:
    async with rig(script=raw(b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 100_000, close=True)) as r:
        reply = await r.exchange("GET", "/")
        assert reply.body == b"y" * 100_000
        assert (await r.exchange("GET", "/")).status == 200


async def test_rfc9112_6_3_a_reply_of_http10_is_whole() -> None:
    async with rig(script=raw(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", close=True)) as r:
        reply = await r.exchange("GET", "/")
        assert reply.head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert reply.body == b"old"


async def test_rfc9110_9_3_2_head_is_passed_as_head_and_keeps_the_length_of_the_get() -> None:
    async with rig(script=answer(b"x" * 1234)) as r:
        for _ in range(3):
            reply = await r.exchange("HEAD", "/")
            assert reply.get_all("Content-Length") == ["1234"]
        assert r.origin.last.request_line == b"HEAD / HTTP/1.1"
        assert r.origin.connections == 1
        assert (await r.exchange("GET", "/")).body == b"x" * 1234


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked\r\n", b""])
async def test_rfc9110_8_6_head_of_unknown_length_says_no_length(framing: bytes) -> None:
    async with rig(script=raw(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")) as r:
        reply = await r.exchange("HEAD", "/")
        assert reply.status == 200
        assert reply.get("Content-Length") is None
        r.origin.script = answer(b"next")
        assert (await r.exchange("GET", "/")).body == b"next"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_rfc9112_6_3_a_reply_without_a_body_ends_with_its_head(status: str, method: str) -> None:
    async with rig(script=raw(f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode())) as r:
        for _ in range(2):
            reply = await r.exchange(method, "/")
            assert reply.status == int(status[:3])
            assert reply.get("Content-Length") is None
            assert reply.get("Transfer-Encoding") is None
        assert r.origin.connections == 1


async def test_rfc9110_15_4_5_a_304_keeps_the_length_of_the_200() -> None:
    async with rig(script=raw(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n")) as r:
        for _ in range(2):
            assert (await r.exchange("GET", "/")).get_all("Content-Length") == ["500"]
        assert r.origin.connections == 1


async def test_rfc9110_8_6_a_204_never_says_a_length() -> None:
    async with rig(script=raw(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")) as r:
        assert (await r.exchange("GET", "/")).get("Content-Length") is None


async def test_rfc9112_9_3_http10_ends_the_connection_unless_it_asks_not_to() -> None:
    async with rig() as r:
        reply = await r.exchange("GET", "/", version="1.0")
        assert (reply.status, reply.body) == (200, b"hello")
        assert reply.get("Connection") == "close"
        assert await r.client.is_closed()


async def test_rfc9112_9_3_http10_keeps_the_connection_where_it_asks_to() -> None:
    async with rig() as r:
        for _ in range(2):
            reply = await r.exchange("GET", "/", {"Connection": "keep-alive"}, version="1.0")
            assert reply.get("Connection") == "keep-alive"
            assert reply.get("Content-Length") == "5"


async def test_rfc9112_6_1_http10_gets_no_chunks_but_the_end_of_the_connection() -> None:
    async with rig(script=raw(CHUNKED + b"5\r\nhello\r\n", close=False)) as r:
        go_on = asyncio.Event()

        async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(CHUNKED + b"5\r\nhello\r\n")
            await go_on.wait()
            writer.write(b"0\r\n\r\n")

        r.origin.script = script
        r.client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head = await r.client.read_head()
        assert head.get("Transfer-Encoding") is None
        assert head.get("Content-Length") is None
        assert head.get("Connection") == "close"
        assert await r.client.reader.readexactly(5) == b"hello"
        go_on.set()
        assert await r.client.is_closed()


async def test_rfc9112_9_6_a_client_that_says_close_gets_close() -> None:
    async with rig() as r:
        reply = await r.exchange("GET", "/", {"Connection": "close"})
        assert reply.get("Connection") == "close"
        assert await r.client.is_closed()


async def test_rfc9112_9_6_an_upstream_that_says_close_closes_its_connection_only() -> None:
    async with rig(script=answer(b"x", close=True)) as r:
        for _ in range(3):
            reply = await r.exchange("GET", "/")
            assert reply.get("Connection") is None
        assert r.origin.connections == 3


async def test_rfc9112_9_3_2_pipelined_requests_are_answered_in_order() -> None:
    held = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = received.request_line.split(b" ")[1]
        if path == b"/1":
            await held.wait()
        await answer(path)(received, reader, writer)

    async with rig(script=script) as r:
        r.client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(1, 30)))
        held.set()
        for number in range(1, 30):
            assert (await r.client.read_reply()).body == b"/%d" % number


async def test_rfc9112_9_3_2_a_pipelined_request_after_a_body_is_a_request_of_its_own() -> None:
    async with rig() as r:
        post = b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        chunked = b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n"
        r.client.send(post + chunked + b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(3):
            assert (await r.client.read_reply()).status == 200
        assert [each.body for each in r.origin.requests] == [b"abc", b"def", b""]


@pytest.mark.parametrize("is_split", [False, True])
async def test_rfc9110_6_5_1_trailers_reach_a_client_that_takes_them(is_split: bool) -> None:
    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert received.get("te") == "trailers"
        writer.write(CHUNKED.replace(b"\r\n\r\n", b"\r\nTrailer: X-Sum\r\n\r\n") + b"5\r\nhello\r\n")
        if is_split:
            await first_read.wait()
        writer.write(b"0\r\nX-Sum: 42\r\nConnection: x\r\n\r\n")

    first_read = asyncio.Event()
    async with rig(script=script) as r:
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
        head = await r.client.read_head() if is_split else None
        first_read.set()
        if head is None:
            reply = await r.client.read_reply()
            assert (reply.body, reply.trailers) == (b"hello", [("x-sum", "42")])
        else:
            assert await r.client.read_chunk() == b"hello"
            assert await r.client.read_chunk() == b""
            assert await r.client.reader.readuntil(b"\r\n\r\n") == b"x-sum: 42\r\n\r\n"


async def test_rfc9110_6_5_1_trailers_are_dropped_for_a_client_that_does_not_take_them() -> None:
    async with rig(script=raw(CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")) as r:
        reply = await r.exchange("GET", "/")
        assert (reply.body, reply.trailers) == (b"hello", [])
        assert r.origin.last.get("te") is None
