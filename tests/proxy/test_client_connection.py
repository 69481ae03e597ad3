"""Hazard: a client takes more than its limits, or one request of a connection tells on another."""

import asyncio

import pytest

from gateway.proxy import client_connection
from tests.support.gateway import Rig, rig, until
from tests.support.origin import Received, answer

pytestmark = pytest.mark.usefixtures("each_lane")

SMALL = """
version: 1
gateway: {limits: {header_max: 1KiB, header_timeout: 300ms, idle_timeout: 400ms}}
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes:
- {id: all, match: /*, to: origin, body_max: 100KiB}
- {id: local, match: /local, respond: {text: here}}
"""
TARGET_MAX = 8190
GOOD = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def head_of(field_bytes: int, *, count: int = 0) -> bytes:
    """A GET whose field lines, with the line ends before them, have so many bytes."""
    lines = b"\r\nHost: a" + b"\r\nX:y" * count
    filler = b"\r\nX-Fill: "
    return b"GET / HTTP/1.1" + lines + filler + b"x" * (field_bytes - len(lines) - len(filler)) + b"\r\n\r\n"


async def status_and_code(r: Rig, data: bytes) -> tuple[int, str]:
    r.client.send(data)
    reply = await r.client.read_reply()
    return reply.status, "" if reply.status == 200 else reply.json["code"]


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * (TARGET_MAX - 1)), (200, "")),
        (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * TARGET_MAX), (414, "target_too_long")),
        (b"GET /" + b"x" * 9000, (414, "target_too_long")),
        (head_of(1024), (200, "")),
        (head_of(1025), (431, "headers_too_large")),
        (head_of(1025)[:-4], (431, "headers_too_large")),
        (head_of(1024, count=126), (200, "")),
        (head_of(1024, count=127), (431, "headers_too_large")),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 102401\r\n\r\n", (413, "body_too_large")),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 102400\r\n\r\n" + b"x" * 102400, (200, "")),
        (CHUNKED + b"19001\r\n" + b"x" * 102401 + b"\r\n0\r\n\r\n", (413, "body_too_large")),
        (CHUNKED + b"19000\r\n" + b"x" * 102400 + b"\r\n0\r\n\r\n", (200, "")),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", (501, "not_implemented")),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", (501, "not_implemented")),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", (505, "version_not_supported")),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505, "version_not_supported")),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", (400, "bad_request")),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value[0]),
)
async def test_limits_and_refusals_are_the_same_in_each_lane(data: bytes, verdict: tuple[int, str]) -> None:
    async with rig(SMALL) as r:
        assert await status_and_code(r, data) == verdict
        if verdict[0] != 200:
            assert not any(request.is_complete for request in r.origin.requests)


async def test_a_refused_head_ends_the_connection() -> None:
    async with rig(SMALL) as r:
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: \0\r\n\r\n" + GOOD)
        reply = await r.client.read_reply()
        assert (reply.status, reply.get("Connection")) == (400, "close")
        assert await r.client.is_closed()
        assert r.origin.requests == []


@pytest.mark.parametrize("first", [GOOD, CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"], ids=["plain", "chunked"])
async def test_a_fault_in_a_later_request_takes_nothing_from_an_earlier_one(first: bytes) -> None:
    async with rig(SMALL) as r:
        r.client.send(first + b"GET / HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n" + GOOD)
        assert (await r.client.read_reply()).status == 200
        assert (await r.client.read_reply()).status == 400
        assert await r.client.is_closed()
        assert len(r.origin.requests) == 1


async def test_what_a_client_sends_ahead_waits_for_its_turn() -> None:
    turn = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await turn.wait()
        await answer(received.request_line.split(b" ")[1])(received, reader, writer)

    async with rig(SMALL, script) as r:
        # The first is for the complete lane, which then keeps the connection.
        count = 1500
        ahead = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\nX-Fill: %b\r\n\r\n" % (at, b"x" * 900) for at in range(count))
        r.client.send(CHUNKED + b"0\r\n\r\n" + ahead)
        await until(lambda: len(r.origin.requests) == 1)
        turn.set()
        assert (await r.client.read_reply()).body == b"/a"
        for at in range(count):
            assert (await r.client.read_reply()).body == b"/%d" % at


async def test_a_body_found_wrong_while_it_is_sent_on_is_never_complete_at_the_upstream() -> None:
    async with rig(SMALL) as r:
        r.client.send(CHUNKED + b"3\r\nabc\r\n")
        await until(lambda: bool(r.origin.requests))
        r.client.send(b"zz\r\n" + GOOD)
        reply = await r.client.read_reply()
        assert (reply.status, reply.json["code"]) == (400, "bad_request")
        assert await r.client.is_closed()
        assert [request.is_complete for request in r.origin.requests] == [False]


async def test_a_wrong_body_that_nobody_reads_ends_the_connection_quietly() -> None:
    async with rig(SMALL) as r:
        r.client.send(CHUNKED.replace(b"/a", b"/local") + b"3\r\nab")
        reply = await r.client.read_reply()
        assert (reply.status, reply.get("Connection")) == (200, "close")
        r.client.send(b"c\r\nzz\r\n" + GOOD)
        assert await r.client.is_closed()


async def test_a_new_connection_may_rest_as_long_as_a_kept_one() -> None:
    async with rig(SMALL) as r:
        # Longer than a head may take; then it is closed without a word, for nothing was asked.
        assert await asyncio.wait_for(r.client.reader.read(), 5) == b""


async def test_a_body_that_still_comes_does_not_stop_at_the_drain() -> None:
    async with rig(SMALL) as r:
        r.client.send(CHUNKED + b"3\r\nabc\r\n")
        await until(lambda: bool(r.origin.requests))
        drained = asyncio.create_task(r.gateway.drain())
        await until(lambda: r.gateway.serving._server is not None and not r.gateway.serving._server.is_serving())
        r.client.send(b"3\r\ndef\r\n0\r\n\r\n")
        reply = await r.client.read_reply()
        assert (reply.status, reply.get("Connection")) == (200, "close")
        assert r.origin.last.body == b"abcdef"
        await drained


def test_what_is_held_back_is_bounded() -> None:
    assert client_connection._HELD_MAX <= 256 * 1024


async def test_framing_fields_spelled_with_an_underscore_are_not_forwarded() -> None:
    async with rig(SMALL) as r:
        await r.exchange(
            "POST", "/", {"Content_Length": "9", "Transfer_Encoding": "chunked", "X_Other": "1"}, body=b"abc"
        )
        assert r.origin.last.body == b"abc"
        assert r.origin.last.get("x_other") == "1"
        assert b"_length" not in r.origin.last.head and b"_encoding" not in r.origin.last.head


OWN = """
version: 1
gateway:
  limits: {target_max: 20B, header_line_max: 100B, max_headers: 3, max_requests: 3}
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes: [{id: all, match: /*, to: origin}]
"""


@pytest.mark.parametrize(
    ("target", "lines", "verdict"),
    [
        (b"/" + b"x" * 19, b"", (200, "")),
        (b"/" + b"x" * 20, b"", (414, "target_too_long")),
        (b"/", b"X-A: " + b"y" * 95 + b"\r\n", (200, "")),
        (b"/", b"X-A: " + b"y" * 96 + b"\r\n", (431, "headers_too_large")),
        (b"/", b"X-A: b\r\nX-B: c\r\n", (200, "")),
        (b"/", b"X-A: b\r\nX-B: c\r\nX-C: d\r\n", (431, "headers_too_large")),
    ],
)
async def test_limits_are_as_the_operator_sets_them(target: bytes, lines: bytes, verdict: tuple[int, str]) -> None:
    async with rig(OWN) as r:
        assert await status_and_code(r, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n") == verdict
        assert len(r.origin.requests) == (verdict[0] == 200)


@pytest.mark.parametrize("is_pipelined", [False, True], ids=["in turn", "ahead"])
@pytest.mark.parametrize("lane_changes_at", [None, 0, 1, 2])
async def test_the_last_reply_of_a_connection_says_so_and_it_is_the_last(
    is_pipelined: bool, lane_changes_at: int | None
) -> None:
    async with rig(OWN) as r:
        four = [GOOD] * 4
        if lane_changes_at is not None:
            four[lane_changes_at] = CHUNKED + b"0\r\n\r\n"
        if is_pipelined:
            r.client.send(b"".join(four))
        for request_bytes in four[:3]:
            if not is_pipelined:
                r.client.send(request_bytes)
            reply = await r.client.read_reply()
            assert reply.status == 200
            assert (reply.get("Connection") == "close") == (len(r.origin.requests) == 3)
        assert await r.client.is_closed()
        assert len(r.origin.requests) == 3


async def test_a_body_may_start_as_late_as_its_head_was_slow() -> None:
    async with rig(SMALL) as r:
        # The head takes most of its own time, and the body less than its own.
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\n")
        await asyncio.sleep(0.2)  # the passing of time is what this is about
        r.client.send(b"Content-Length: 3\r\n\r\n")
        await asyncio.sleep(0.2)
        r.client.send(b"abc")
        assert (await r.client.read_reply()).status == 200
