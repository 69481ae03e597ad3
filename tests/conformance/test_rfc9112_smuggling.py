"""RFC 9112 sections 2.2, 5 and 11.2: what two parsers could read in two ways reaches no upstream."""

import asyncio

import pytest

from tests.support.client import breaks_off
from tests.support.gateway import rig, until
from tests.support.origin import Received, raw

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\n"

AMBIGUOUS = {
    "6.1 length and chunked": HEAD + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "6.1 chunked and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "6.3 two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + SMUGGLED,
    "6.3 a list of lengths": HEAD + b"Content-Length: 5, 6\r\n\r\nhello" + SMUGGLED,
    "6.3 a length with a sign": HEAD + b"Content-Length: +5\r\n\r\nhello" + SMUGGLED,
    "6.3 a negative length": HEAD + b"Content-Length: -5\r\n\r\nhello" + SMUGGLED,
    "6.3 a length in hex": HEAD + b"Content-Length: 0x5\r\n\r\nhello" + SMUGGLED,
    "6.3 a length with an underscore": HEAD + b"Content-Length: 1_0\r\n\r\nhello" + SMUGGLED,
    "6.3 a length that overflows": HEAD + b"Content-Length: 18446744073709551621\r\n\r\nhello" + SMUGGLED,
    "6.3 a length of nothing": HEAD + b"Content-Length:\r\n\r\n" + SMUGGLED,
    "6.1 a coding that only looks like chunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "6.1 chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "6.1 chunked in two fields": HEAD
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "6.1 chunked before another": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "6.1 identity": HEAD + b"Transfer-Encoding: identity\r\n\r\n" + SMUGGLED,
    "6.1 chunked after a vertical tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "6.1 chunked of http10": HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "5.1 a space before the colon": HEAD + b"Content-Length : 5\r\n\r\nhello" + SMUGGLED,
    "5.1 a tab before the colon": HEAD + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "5.2 a folded line": HEAD + b"X-A: b\r\n c\r\n\r\n" + SMUGGLED,
    "5.2 a folded coding": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "5.2 a blank first field line": b"POST /x HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n" + SMUGGLED,
    "5.1 an empty name": HEAD + b": x\r\n\r\n" + SMUGGLED,
    "5.1 a line without a colon": HEAD + b"Content-Length\r\n\r\n" + SMUGGLED,
    "5.1 a name that is no token": HEAD + b"X(A): b\r\n\r\n" + SMUGGLED,
    "5.5 a NUL in a value": HEAD + b"X-A: b\x00c\r\n\r\n" + SMUGGLED,
    "5.5 a NUL in a name": HEAD + b"X\x00A: b\r\n\r\n" + SMUGGLED,
    "2.2 a bare CR in a value": HEAD + b"X-A: b\rX-B: c\r\n\r\n" + SMUGGLED,
    "2.2 a bare LF in a value": HEAD + b"X-A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "2.2 bare LF line ends": b"POST /x HTTP/1.1\nHost: a\n\n" + SMUGGLED,
    "2.2 a bare LF after the head": HEAD + b"X-A: b\r\n\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "3 a tab in the request line": b"POST\t/x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "3 two spaces in the request line": b"POST /x  HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "3 a space in the target": b"POST /x y HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "3 a NUL in the target": b"POST /x\x00 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "3 no version": b"POST /x\r\nHost: a\r\n\r\n" + SMUGGLED,
    "3 an unknown method": b"M(A) /x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("request_bytes", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_rfc9112_an_ambiguous_request_is_refused_and_ends_the_connection(request_bytes: bytes) -> None:
    async with rig() as r:
        r.client.send(request_bytes)
        reply = await r.client.read_reply("POST")
        assert reply.status in (400, 501), reply.head
        assert reply.json["code"] in ("bad_request", "not_implemented")
        assert reply.get("Connection") == "close"
        # Nothing of what follows is taken for a request.
        assert await r.client.is_closed()
        assert r.origin.requests == []


BAD_CHUNKS = {
    "a size that is no number": b"xyz\r\nhello\r\n0\r\n\r\n",
    "a negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "a size with a prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size that overflows": b"FFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "a space after the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "more than the size": b"5\r\nhello!\r\n0\r\n\r\n",
    "a bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "a bare LF after the chunk": b"5\r\nhello\n0\r\n\r\n",
    "a bare LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("is_split", [False, True], ids=["whole", "split"])
@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
async def test_rfc9112_7_1_a_body_with_wrong_chunks_is_never_complete_at_the_upstream(
    chunks: bytes, is_split: bool
) -> None:
    async with rig() as r:
        r.client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        if is_split:
            await until(lambda: bool(r.origin.requests))
        r.client.send(chunks + SMUGGLED)
        reply = await r.client.read_reply()
        assert (reply.status, reply.json["code"]) == (400, "bad_request")
        assert await r.client.is_closed()
        assert not any(request.is_complete for request in r.origin.requests)


BAD_REPLIES = {
    "6.1 length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "6.3 two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "6.3 a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
    "6.3 a length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "6.1 an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "6.1 gzip and chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "5.1 a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
    "5.2 a folded line": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
    "5.5 a bare CR in a value": b"HTTP/1.1 200 OK\r\nX-A: b\rX-B: c\r\nContent-Length: 5\r\n\r\nhello",
    "5.5 a NUL in a value": b"HTTP/1.1 200 OK\r\nX-A: b\x00c\r\nContent-Length: 5\r\n\r\nhello",
    "4 no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "4 a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "4 a status of six hundred": b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
    "7.8 an upgrade that nobody asked for": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello",
    "6.3 one length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "6.3 a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    "6.3 a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "6.3 a length in hex": b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
    "6.3 a length of nothing": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello",
    "6.3 a length that overflows": b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
    "6.3 a length that no file has": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000\r\n\r\nhello",
    "6.1 chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "6.1 chunked in two fields": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\n",
    "6.1 chunked before another": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "6.1 identity": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
    "6.1 no coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
    "6.1 chunked of http10": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "6.1 chunked of http10 that is kept": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "5.1 a tab before the colon": b"HTTP/1.1 200 OK\r\nContent-Length\t: 5\r\n\r\nhello",
    "5.1 a name that is no token": b"HTTP/1.1 200 OK\r\nX(A): b\r\nContent-Length: 5\r\n\r\nhello",
    "5.1 an empty name": b"HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 5\r\n\r\nhello",
    "5.1 a line without a colon": b"HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 5\r\n\r\nhello",
    "5.2 a blank first field line": b"HTTP/1.1 200 OK\r\n X-A: b\r\nContent-Length: 5\r\n\r\nhello",
    "5.2 a folded coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "5.5 a bare LF in a value": b"HTTP/1.1 200 OK\r\nX-A: b\nX-B: c\r\nContent-Length: 5\r\n\r\nhello",
    "5.5 a control character in a value": b"HTTP/1.1 200 OK\r\nX-A: \x01\r\nContent-Length: 5\r\n\r\nhello",
    "5.5 a DEL in a value": b"HTTP/1.1 200 OK\r\nX-A: \x7f\r\nContent-Length: 5\r\n\r\nhello",
    "2.2 bare LF line ends": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "2.2 an empty line before it": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "4 a bare CR in the reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 5\r\n\r\nhello",
    "4 a NUL in the reason": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 5\r\n\r\nhello",
    "4 another protocol": b"RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "4 HTTP/2 in words": b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "4 HTTP/0.9 in words": b"HTTP/0.9 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "4 HTTP/2 after an interim reply": b"HTTP/1.1 103 X\r\n\r\nHTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "4 a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "4 a status below a hundred": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "4 two spaces before the status": b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "15.2 an interim reply with a body": b"HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
    "6.3 more than its length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!",
    "6.3 a second reply": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" * 2,
    "6.3 more after the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    "6.3 a body where none belongs": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    "15.4.5 a body of a 304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
    "2.3 more headers than anybody needs": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 256 + b"Content-Length: 0\r\n\r\n",
    "2.3 headers that are too long": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 65_536 + b"\r\nContent-Length: 0\r\n\r\n",
    "2.3 a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    "2.3 a name without end": b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000,
    "2.3 a reason without end": b"HTTP/1.1 200 " + b"x" * 70_000,
    "15.2 interim replies without end": b"HTTP/1.1 103 X\r\n\r\n" * 65,
    "7.1 a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("reply_bytes", BAD_REPLIES.values(), ids=BAD_REPLIES)
async def test_rfc9112_an_ambiguous_reply_is_502_and_its_connection_is_not_used_again(reply_bytes: bytes) -> None:
    async with rig(script=raw(reply_bytes)) as r:
        reply = await r.exchange("GET", "/")
        assert (reply.status, reply.json["code"]) == (502, "upstream_bad_reply")
        await r.origin.closed.wait()
        assert len(r.origin.requests) == 1


BAD_REPLY_CHUNKS = {
    **BAD_CHUNKS,
    "a NUL in an extension": b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
    "an extension without end": b"5;" + b"x" * 70_000,
    "zeros without end": b"0" * 70_000,
    "a folded trailer": b"5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n",
    "a NUL in a trailer": b"5\r\nhello\r\n0\r\nX-A: b\x00\r\n\r\n",
    "a bare LF in a trailer": b"5\r\nhello\r\n0\r\nX-A: b\n\r\n",
    "a space before a trailer's colon": b"5\r\nhello\r\n0\r\nX-A : b\r\n\r\n",
    "a length as a trailer": b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
    "too many trailers": b"5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 257 + b"\r\n",
    # Of a read with bytes of the body, nothing is counted: it is 256 KiB at most.
    "a trailer without end": b"5\r\nhello\r\n0\r\nX-A: " + b"x" * 400_000,
}


@pytest.mark.parametrize("chunks", BAD_REPLY_CHUNKS.values(), ids=BAD_REPLY_CHUNKS)
async def test_rfc9112_7_1_a_reply_that_turns_out_wrong_is_broken_off_and_its_connection_not_used_again(
    chunks: bytes,
) -> None:
    head_is_out = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await head_is_out.wait()
        writer.write(chunks)
        await writer.drain()

    async with rig(script=script) as r:
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await r.client.read_head()).status == 200
        head_is_out.set()

        async def read_to_the_end() -> None:
            while await r.client.read_chunk():
                pass

        assert await breaks_off(read_to_the_end())
        await r.origin.closed.wait()
        assert len(r.origin.requests) == 1


async def test_rfc9110_15_2_an_endless_line_of_interim_replies_does_not_fill_the_memory() -> None:
    async with rig(script=raw(b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * 70_000 + b"\r\n\r\n")) as r:
        reply = await r.exchange("GET", "/")
        assert (reply.status, reply.json["code"]) == (502, "upstream_bad_reply")
