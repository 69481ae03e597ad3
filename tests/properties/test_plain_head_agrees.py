"""Hazard: what the hot path takes for plain, a complete parser reads differently or refuses."""

import asyncio
from collections.abc import Iterator

import httptools
import pytest
from aiohttp.http_parser import HttpRequestParserC
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.plain_head import PlainHead, parse_plain_head
from gateway.core.request_framing import HeadRules

RULES = HeadRules(target_max=8190, header_max=32768, header_line_max=16384, header_count_max=128)

tokens = st.text("!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz", min_size=1, max_size=8).map(str.encode)
values = st.binary(max_size=10) | st.sampled_from([b"", b"chunked", b"close", b"keep-alive", b"upgrade", b"5", b"a b"])
fields = st.tuples(
    st.sampled_from(
        [b"Content-Length", b"Connection", b"Transfer-Encoding", b"Upgrade", b"X-A", b"Host", b"Sec-WebSocket-Key1"]
    )
    | tokens,
    st.sampled_from([b":", b": ", b":\t ", b" :"]),
    values,
).map(b"".join)
targets = st.text([chr(code) for code in range(33, 127)], max_size=12).map(lambda text: b"/" + text.encode())
starts = st.builds(
    b"%b %b HTTP/1.1".__mod__,
    st.tuples(st.sampled_from([b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD"]), targets),
)
hosts = st.sampled_from([b"Host: a", b"host:A.b:80", b"HOST: [::1]:8080", b"Host: a:"])
heads = st.builds(
    lambda start, host, rest: b"\r\n".join([start, host, *rest]), starts, hosts, st.lists(fields, max_size=4)
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    head = draw(heads)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(head)))
        head = head[:at] + draw(st.binary(max_size=3)) + head[at + draw(st.integers(0, 2)) :]
    return head


class Seen:
    """What httptools makes of a message."""

    def __init__(self) -> None:
        self.target = b""
        self.lines: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.is_complete = False
        self.keep_alive = False
        self.parser = httptools.HttpRequestParser(self)

    def on_headers_complete(self) -> None:
        self.keep_alive = self.parser.should_keep_alive()

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name.lower(), value.strip(b" \t")))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = True


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def agree(head: bytes, plain: PlainHead, loop: asyncio.AbstractEventLoop) -> None:
    body = b"x" * min(plain.length, 100)
    framing = RULES.check(head)
    assert framing == (plain.length, False)

    seen = Seen()
    seen.parser.feed_data(head + b"\r\n\r\n" + body)
    assert seen.parser.get_method().decode() == plain.method
    assert seen.target.decode() == plain.target
    assert seen.lines == plain.headers.lines
    assert seen.keep_alive is plain.keep_alive
    assert seen.body == body
    assert seen.is_complete is (len(body) == plain.length)

    other = HttpRequestParserC(asyncio.Protocol(), loop, 2**16, max_field_size=32768)
    messages, upgraded, tail = other.feed_data(head + b"\r\n\r\n")
    ((message, payload),) = messages
    assert (message.method, message.path, message.version) == (plain.method, plain.target, (1, 1))
    assert [(name.lower(), value.strip(b" \t")) for name, value in message.raw_headers] == plain.headers.lines
    assert message.should_close is not plain.keep_alive
    assert (upgraded, tail, message.upgrade, bool(message.chunked)) == (False, b"", False, False)
    assert payload.is_eof() is (plain.length == 0)


@settings(max_examples=600, deadline=None)
@given(head=mutated())
def test_what_is_plain_is_the_same_for_complete_parsers(head: bytes, loop: asyncio.AbstractEventLoop) -> None:
    plain = parse_plain_head(head)
    if plain is not None:
        agree(head, plain, loop)


@settings(max_examples=300, deadline=None)
@given(head=heads)
def test_nothing_that_is_plain_can_end_a_line(head: bytes) -> None:
    plain = parse_plain_head(head)
    if plain is not None:
        text = b"".join([plain.method.encode(), plain.target.encode(), plain.authority.encode()])
        for part in (text, *[part for line in plain.headers.lines for part in line]):
            assert not {0, 10, 13}.intersection(part)


@settings(max_examples=300, deadline=None)
@given(text=st.binary(max_size=60) | mutated())
def test_nothing_makes_it_raise(text: bytes) -> None:
    parse_plain_head(text)


def test_a_head_with_everything_that_is_plain_is_agreed_on(loop: asyncio.AbstractEventLoop) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\nX-A: b"
    plain = parse_plain_head(head)
    assert plain is not None
    agree(head, plain, loop)
