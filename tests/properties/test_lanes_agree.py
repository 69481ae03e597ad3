"""Hazard: the two client lanes read the same bytes differently, and one lets through what the other refuses.

The same byte stream goes to two gateways, one a lane, each before an origin of its own. Both must give the same replies
and send the same bytes upstream, but for ids and ports. Each origin numbers its replies, so that every request that it
got whole is seen to be answered, in its turn, and none beyond those.
`DIFFERENTIAL_STREAMS` sets how many streams are made up; `make differential` runs 100,000.
"""

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httptools
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.proxy import client_connection
from tests.support.gateway import running_gateway

STREAMS = int(os.environ.get("DIFFERENTIAL_STREAMS", "400"))
TABLE = """
version: 1
gateway: {limits: {header_max: 10KiB, header_line_max: 8KiB, max_requests: 4}}
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"], pool: {max: 4}}}
routes:
- {id: all, match: /*, to: origin, body_max: 4KiB}
- {id: small, match: /small/*, to: origin, body_max: 4B, rewrite: {strip: /small}}
- {id: local, match: {path: /local, methods: [GET, POST]}, respond: {text: here}}
"""
# Whatever a stream leaves unfinished, this ends it: more than any body that is waited for, and nowhere a valid head.
POISON = b"\0\r\n\r\n" * 14_000
VARYING = re.compile(rb"(?m)^(?:x-request-id|server-timing|date|traceparent|host|x-request-timeout-ms): [^\r]*")
# The words of a refusal may differ with how far the lane had read, the verdict may not. That of a HEAD has no words.
PROBLEM = re.compile(
    rb"(HTTP/1\.1 \d+) [^\r]*\r\ncontent-type: application/problem\+json(?:(?!HTTP/1\.1 \d\d\d ).)*?"
    rb'(?:"code": ("\w+").*?\}|(?=HTTP/1\.1 \d\d\d )|\Z)',
    re.DOTALL,
)
# More turns of the loop than any step of an exchange takes.
TURNS = 15
ANSWER = re.compile(rb"(?m)^x-origin: (\d+)\r$")


class Recorder(asyncio.Protocol):
    """An origin's connection: keeps each whole request as head and decoded body, by a parser that is strict."""

    def __init__(self, begun: list[bytes], whole: list[bytes], faults: list[Exception]) -> None:
        self._begun = begun
        self._whole = whole
        self._faults = faults
        self._parser = httptools.HttpRequestParser(self)
        self._raw = b""
        self._body = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._raw += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._parser = httptools.HttpRequestParser(self)
        except httptools.HttpParserError as error:
            self._faults.append(error)

    def on_headers_complete(self) -> None:
        self._begun.append(self._raw)

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        assert self._transport is not None
        head = self._raw.partition(b"\r\n\r\n")[0]
        self._whole.append(head + b"\r\n\r\n" + self._body)
        self._raw = self._body = b""
        body = b"" if head.startswith(b"HEAD ") else b"hello"
        number = len(self._whole)
        self._transport.write(b"HTTP/1.1 200 OK\r\nX-Origin: %d\r\nContent-Length: 5\r\n\r\n%b" % (number, body))


class Client(asyncio.Protocol):
    """Sends pieces, each of them a read of its own at the other side, and collects what comes until the end."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


@dataclass
class Side:
    """One lane's gateway and origin."""

    port: int
    begun: list[bytes]
    whole: list[bytes]
    faults: list[Exception]

    async def send(self, pieces: list[bytes]) -> tuple[bytes, list[bytes]]:
        """The replies, and the whole requests that reached the origin, less what varies."""
        self.begun.clear()
        self.whole.clear()
        transport, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", self.port)
        for piece in (*pieces, POISON):
            if transport.is_closing():
                break
            transport.write(piece)
            await self._settled(client)
        try:
            async with asyncio.timeout(10):
                await asyncio.shield(client.ended)
        finally:
            transport.abort()
        replies = PROBLEM.sub(rb"\1 \2", VARYING.sub(b"~", bytes(client.received)))
        whole = [VARYING.sub(b"~", request) for request in self.whole]
        answered = [int(number) for number in ANSWER.findall(replies)]
        assert answered == list(range(1, len(whole) + 1)), "requests upstream and their replies differ"
        # One more may have begun to stream before its body turned out wrong, which ended the connection.
        assert len(self.begun) - len(whole) in (0, 1)
        assert self.faults == []
        return replies, whole

    async def _settled(self, client: Client) -> None:
        """Until all that follows from what was sent has been done: this loop has every part of it, so turns tell."""
        quiet = 0
        seen = (0, 0)
        while quiet < TURNS:
            await asyncio.sleep(0)
            now = len(client.received), len(self.whole)
            quiet = quiet + 1 if now == seen else 0
            seen = now


@dataclass(repr=False)
class Pair:
    """Both of them, in a loop that stands still between streams."""

    loop: asyncio.AbstractEventLoop
    fast: Side
    complete: Side

    def check(self, pieces: list[bytes]) -> bytes:
        """The replies, once both lanes have agreed on them."""
        fast, complete = self.loop.run_until_complete(self._both(pieces))
        assert fast == complete, pieces
        return fast[0]

    async def _both(self, pieces: list[bytes]) -> list[tuple[bytes, list[bytes]]]:
        return await asyncio.gather(self.fast.send(pieces), self.complete.send(pieces))


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    async def open_side(stack: AsyncExitStack, lane: str) -> Side:
        begun: list[bytes] = []
        whole: list[bytes] = []
        faults: list[Exception] = []
        origin = await asyncio.get_running_loop().create_server(lambda: Recorder(begun, whole, faults), "127.0.0.1", 0)
        await stack.enter_async_context(origin)
        url = f"http://127.0.0.1:{origin.sockets[0].getsockname()[1]}"
        gateway = await stack.enter_async_context(running_gateway(TABLE, {"ORIGIN": url}, lane=lane))
        return Side(gateway.port, begun, whole, faults)

    async def open_pair(stack: AsyncExitStack) -> tuple[Side, Side]:
        return await open_side(stack, "fast"), await open_side(stack, "aiohttp")

    loop = uvloop.new_event_loop()
    with pytest.MonkeyPatch.context() as patch:
        # To wait for the rest of a refused body would take longer than all the rest.
        patch.setattr(client_connection, "_LINGER_S", 0.0)
        stack = AsyncExitStack()
        try:
            yield Pair(loop, *loop.run_until_complete(open_pair(stack)))
        finally:
            loop.run_until_complete(stack.aclose())
            loop.close()


# -- what is sent ----------------------------------------------------------------------------------------------------

METHODS = [
    b"GET",
    b"POST",
    b"PUT",
    b"HEAD",
    b"DELETE",
    b"OPTIONS",
    b"get",
    b"CONNECT",
    b"BREW",
    b"PRI",
    b"G(T",
    b"TRACE",
]
TARGETS = [
    b"/",
    b"/a/b?c=d",
    b"/small/x",
    b"/local",
    b"/a%20b",
    b"/a%2fb",
    b"//a",
    b"/a/../b",
    b"/a;b",
    b"/a#b",
    b"/?#",
]
TARGETS += [
    b"http://h.example/x",
    b"http://h.example:80",
    b"https://other.example/x?y",
    b"http://h.example/a/../b",
    b"h.example:443",
    b"//h.example/x",
    b"http://u@h/x",
    b"HTTP://h",
    b"http://",
    b"ftp://h/",
    b"*",
    b"h:80",
    b"/\xc3\xa9",
    b"/a\tb",
]
TARGETS += [b"/" + b"x" * 2100, b"/" + b"x" * 9000, b"http:///x", b"/\x7f", b'/"<>\\^`{|}', b"http://h:80?x", b"/a b"]
VERSIONS = [b"1.1"] * 9 + [b"1.0", b"1.0", b"0.9", b"1.2", b"2.0", b"1", b"11", b"1.1 ", b"1.10"]
HOSTS = [b"Host: a"] * 9 + [
    b"Host: A.Example:80",
    b"Host:a",
    b"Host: [::1]:8",
    b"Host:",
    b"Host: a b",
    b"Host: a,b",
    b"X: y",
]
HOSTS += [
    b"Host: a\r\nHost: a",
    b"Host: a\r\nhost: b",
    b"Host : a",
    b"Host: u@a",
    b"Host: a:x",
    b"Host: a/b",
    b"Host: \x80",
]
FRAMINGS = [b"", b"Content-Length: 3", b"Transfer-Encoding: chunked"] * 4
FRAMINGS += [
    b"Content-Length: " + value for value in (b"+3", b"3, 3", b"0x3", b"1_0", b"-1", b"", b"3 3", b"9" * 20, b"003")
]
FRAMINGS += [b"Content-Length: " + value for value in (b"0", b"5", b"5000", b"66000", b"\xb3", b"3\t", b"3;", b"3.0")]
FRAMINGS += [
    b"Transfer-Encoding: " + value
    for value in (b"Chunked", b"chunked, chunked", b"identity", b"xchunked", b"\tchunked")
]
FRAMINGS += [
    b"Transfer-Encoding: " + value for value in (b"chunked,", b"gzip, chunked", b"chunked\x0b", b'"chunked"', b"")
]
FRAMINGS += [b"Transfer-Encoding: chunked\r\nContent-Length: 3", b"Content-Length: 3\r\nTransfer-Encoding: chunked"]
FRAMINGS += [b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Content-Length: 3\r\nContent-Length: 3"]
FRAMINGS += [
    b"Content_Length: 3",
    b"Transfer_Encoding: chunked",
    b"Content-Length : 3",
    b"Transfer-Encoding:\r\n chunked",
]
LINES = [
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: x-a, close",
    b"Connection: Close",
    b"X-A: b",
    b"X-A:",
]
LINES += [
    b"X-A: b\r\n c",
    b" X-A: b",
    b"X A: b",
    b": b",
    b"X-A",
    b"X-A: \x00",
    b"X-A: \x7f",
    b"X-A: a\rb",
    b"X-A: a\nb: c",
    b"X-A: \x80\xff",
]
LINES += [
    b"X_Tenant_Id: t",
    b"X-Tenant-Id: t",
    b"X_Forwarded_For: 1.2.3.4",
    b"Expect: 100-continue",
    b"Expect: 100-Continue",
    b"Expect: x",
    b"Expect: x\r\nExpect: 100-continue",
    b"Expect: 100-continue\r\nExpect: x",
    b"Keep-Alive: timeout=5",
    b"Connection: host, content-length",
    b"TE: trailers",
    b"Upgrade: h2c",
    b"Trailer: x",
]
LINES += [
    b"Connection: upgrade\r\nUpgrade: websocket",
    b"Sec-WebSocket-Key1: x",
    b"Accept: a\r\nAccept: b",
    b"X-A: " + b"y" * 11_000,
    b"X-A: " + b"y" * 8_187,
    b"X-A: " + b"y" * 8_188,
]
LINES += [b"\r\n".join(b"X-%d: y" % number for number in range(count)) for count in (100, 140)]
LINES += [
    b"Content-Type: a\r\nContent-Type: b",
    b"User-Agent: a",
    b"Proxy-Connection: x",
    b"X-A\t: b",
    b"X-\xc3\xa9: b",
    b"Connection:",
]
BODIES = [b"", b"abc", b"abcde", b"abc" * 2000]
CHUNKED = [b"3\r\nabc\r\n0\r\n\r\n"] * 4 + [
    b"0\r\n\r\n",
    b"3;x=y\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
]
CHUNKED += [
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b"-3\r\nabc\r\n0\r\n\r\n",
    b"3 \r\nabc\r\n0\r\n\r\n",
    b"3\nabc\n0\n\n",
    b"4\r\nabc\r\n0\r\n\r\n",
]
CHUNKED += [
    b"1_0\r\nabc\r\n0\r\n\r\n",
    b"0" * 20 + b"3\r\nabc\r\n0\r\n\r\n",
    b"f" * 17 + b"\r\nabc",
    b"3;\x00\r\nabc\r\n0\r\n\r\n",
]
CHUNKED += [
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"3\r\nabc\r\n0\r\nHost: b\r\n\r\n",
    b"3\r\nabc\r\n0\r\nX T: 1\r\n\r\n",
    b"1000\r\nabc",
    b"\r\n",
]
CHUNKED += [
    b"1388\r\n" + b"y" * 5000 + b"\r\n0\r\n\r\n",
    b"3;" + b"x" * 300 + b"\r\nabc\r\n0\r\n\r\n",
    b'3;a="b;c"\r\nabc\r\n0\r\n\r\n',
    b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    b"3\t;a\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabc\n0\r\n\r\n",
    b"3\r\nabc\r\n0\r\nX-T: 1\r\n 2\r\n\r\n",
    b"3\r\nabc\r\n0\r\nX-T: 1\n\r\n",
    b"3\r\nabc\r\n0\r\nX-T : 1\r\n\r\n",
    b"3\r\nabc\r\n0\r\nX-T: \x00\r\n\r\n",
    b"3\r\nabc\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n",
    b"3\r\nabc\r\n0\r\n" + b"A: b\r\n" * 140 + b"\r\n",
    b"3\r\nabc\r\n00\r\n\r\n",
    b"3\r\nabc\r\n0;x\r\n\r\n",
]
GOOD = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"
ODDITIES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"\x0b",
    b"\x80",
    b"\r\n\r\n",
    b"\r\n ",
    b"0",
    b",",
    b";",
    b"HTTP/1.1",
]


def request(
    method: bytes, target: bytes, version: bytes, host: bytes, framing: bytes, lines: list[bytes], body: bytes
) -> bytes:
    fields = [line for line in (host, *lines, framing) if line]
    return b"%b %b HTTP/%b\r\n%b\r\n\r\n%b" % (method, target, version, b"\r\n".join(fields), body)


requests = st.builds(
    request,
    st.sampled_from([b"GET", b"POST"]) | st.sampled_from(METHODS),
    st.just(b"/a") | st.sampled_from(TARGETS),
    st.sampled_from(VERSIONS),
    st.sampled_from(HOSTS),
    st.sampled_from(FRAMINGS),
    st.lists(st.sampled_from(LINES), max_size=2),
    st.sampled_from([*BODIES, *CHUNKED]),
)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """One to six requests (a connection may have four), some with a few bytes changed, in one to three pieces."""
    data = b"".join(draw(st.lists(requests | st.just(GOOD), min_size=1, max_size=6)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(data)))
        cut = at + draw(st.integers(0, 3))
        data = data[:at] + draw(st.sampled_from(ODDITIES) | st.binary(max_size=3)) + data[cut:]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=2)))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


def plain(**parts: bytes) -> bytes:
    given = {
        "method": b"POST",
        "target": b"/a",
        "version": b"1.1",
        "host": b"Host: a",
        "framing": b"",
        "body": b"",
        **parts,
    }
    line = given.pop("line", b"")
    return request(lines=[line] if line else [], **given)


CORPUS = [
    *(plain(method=method) for method in METHODS),
    *(plain(target=target) for target in TARGETS),
    *(plain(version=version) for version in set(VERSIONS)),
    *(plain(host=host, version=version) for host in set(HOSTS) for version in (b"1.1", b"1.0")),
    *(plain(framing=framing, body=b"abc") for framing in set(FRAMINGS)),
    *(plain(framing=framing, body=CHUNKED[0]) for framing in set(FRAMINGS)),
    *(plain(line=line) for line in LINES),
    *(plain(framing=b"Transfer-Encoding: chunked", body=body) for body in CHUNKED),
    *(plain(framing=b"Content-Length: %d" % len(body), body=body) for body in BODIES),
    b"GET /\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\nHost: a\n\n",
    GOOD * 6,
    *(GOOD * place + plain(framing=b"Transfer-Encoding: chunked", body=CHUNKED[0]) + GOOD * 4 for place in range(5)),
    *(plain(version=b"1.0", line=line) + GOOD for line in (b"Connection: keep-alive", b"Connection: close", b"X-A: b")),
    plain(version=b"1.0", line=b"Connection: keep-alive") * 6,
    plain(method=b"GET", line=b"Expect: 100-continue"),
    plain(framing=b"Content-Length: 3", line=b"Expect: 100-continue", body=b"abc"),
    plain(framing=b"Content-Length: 5000", line=b"Expect: 100-continue", body=b"abc"),
    plain(framing=b"Transfer-Encoding: chunked", line=b"Expect: 100-continue", body=CHUNKED[0]),
    plain(version=b"1.0", framing=b"Content-Length: 3", line=b"Expect: 100-continue", body=b"abc"),
    b"\r\n\r\n" + GOOD,
    b"\n" + GOOD,
    b"X" * 20_000,
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20_000,
]


@pytest.mark.parametrize("is_split", [False, True], ids=["whole", "split"])
def test_the_corpus_gets_the_same_verdict(pair: Pair, is_split: bool) -> None:
    for stream in CORPUS:
        data = stream + GOOD
        middle = len(stream) // 2
        pair.check([data[:middle], data[middle:]] if is_split else [data])


def test_a_refused_head_request_does_not_hide_what_follows(pair: Pair) -> None:
    replies = pair.check([b"HEAD /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n" + GOOD])
    assert replies.startswith(b"HTTP/1.1 400 ")
    assert b"HTTP/1.1 200 OK\r\nx-origin: 1\r\n" in replies


def test_the_comparison_would_notice_a_difference(pair: Pair) -> None:
    assert pair.check([GOOD]).startswith(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(AssertionError):
        pair.loop.run_until_complete(_differ(pair))


async def _differ(pair: Pair) -> None:
    assert await pair.fast.send([GOOD]) == await pair.complete.send([GOOD.replace(b"good", b"other")])


@settings(max_examples=STREAMS, deadline=None, suppress_health_check=list(HealthCheck))
@given(pieces=streams())
@pytest.mark.timeout(60 if STREAMS < 1000 else 3600)
def test_any_stream_gets_the_same_verdict(pair: Pair, pieces: list[bytes]) -> None:
    pair.check(pieces)
