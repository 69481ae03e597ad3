"""RFC 9112 sections 2.2, 5 and 11.2: what two parsers could read in two ways reaches no upstream."""

import pytest

from tests.support.gateway import rig, until
from tests.support.origin import raw

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
}


@pytest.mark.parametrize("reply_bytes", BAD_REPLIES.values(), ids=BAD_REPLIES)
async def test_rfc9112_an_ambiguous_reply_is_502_and_its_connection_is_not_used_again(reply_bytes: bytes) -> None:
    async with rig(script=raw(reply_bytes)) as r:
        reply = await r.exchange("GET", "/")
        assert (reply.status, reply.json["code"]) == (502, "upstream_bad_reply")
        await r.origin.closed.wait()
        assert len(r.origin.requests) == 1


async def test_rfc9110_15_2_an_endless_line_of_interim_replies_does_not_fill_the_memory() -> None:
    async with rig(script=raw(b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * 70_000 + b"\r\n\r\n")) as r:
        reply = await r.exchange("GET", "/")
        assert (reply.status, reply.json["code"]) == (502, "upstream_bad_reply")
