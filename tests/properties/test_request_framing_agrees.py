"""Hazard: the check of the complete lane and aiohttp's parser behind it see different messages in the same bytes."""

from itertools import pairwise

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import GatewayError
from gateway.core.request_framing import ChunkedBody, HeadRules

RULES = HeadRules(target_max=8190, header_max=32768, header_line_max=16384, header_count_max=128)
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

chunks = st.lists(st.binary(min_size=1, max_size=20), max_size=4)
sizes = st.sampled_from([b"%x", b"%X", b"0%x", b"%x;a", b'%x;a=b;c="d"'])
trailers = st.lists(st.sampled_from([b"X-T: 1\r\n", b"X-U:\r\n", b"Vary: a, b\r\n"]), max_size=2)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A chunked body as sent, and what it says."""
    pieces = draw(chunks)
    coded = b"".join(draw(sizes) % len(piece) + b"\r\n" + piece + b"\r\n" for piece in pieces)
    return coded + draw(sizes) % 0 + b"\r\n" + b"".join(draw(trailers)) + b"\r\n", b"".join(pieces)


class Seen:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.count = 0

    def on_message_begin(self) -> None:
        self.bodies.append(b"")

    def on_body(self, body: bytes) -> None:
        self.bodies[-1] += body

    def on_message_complete(self) -> None:
        self.count += 1


@settings(max_examples=300, deadline=None)
@given(body=bodies(), cut=st.integers(0, 40))
def test_a_right_body_ends_where_llhttp_says(body: tuple[bytes, bytes], cut: int) -> None:
    coded, said = body
    checker = ChunkedBody(RULES)
    taken = checker.feed(coded[:cut])
    taken += checker.feed(coded[taken:] + NEXT)
    assert checker.is_complete
    assert taken == len(coded)
    seen = Seen()
    httptools.HttpRequestParser(seen).feed_data(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + coded + NEXT
    )
    assert (seen.bodies, seen.count) == ([said, b""], 2)


@st.composite
def broken_bodies(draw: st.DrawFn) -> bytes:
    data = draw(bodies())[0]
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(st.binary(max_size=2)) + data[at + draw(st.integers(0, 2)) :]


@settings(max_examples=500, deadline=None)
@given(data=broken_bodies())
def test_of_any_body_that_passes_llhttp_sees_the_same_end(data: bytes) -> None:
    checker = ChunkedBody(RULES)
    try:
        taken = checker.feed(data)
    except GatewayError:
        return
    if not checker.is_complete:
        return
    seen = Seen()
    try:
        httptools.HttpRequestParser(seen).feed_data(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data[:taken]
        )
    except httptools.HttpParserError:
        return  # stricter still: then the request is refused there
    assert seen.count == 1


@settings(max_examples=300, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=4), data=broken_bodies())
def test_how_the_bytes_are_cut_changes_nothing(cuts: list[int], data: bytes) -> None:
    def verdict(pieces: list[bytes]) -> tuple[bool, int, int]:
        checker = ChunkedBody(RULES)
        taken = 0
        try:
            for piece in pieces:
                taken += checker.feed(piece)
        except GatewayError as error:
            return False, 0, error.kind.status
        return checker.is_complete, taken, 200

    marks = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    assert verdict([data]) == verdict([data[start:end] for start, end in pairwise(marks)])


@settings(max_examples=300, deadline=None)
@given(head=st.binary(max_size=80))
def test_a_head_of_any_bytes_is_judged_and_never_crashes(head: bytes) -> None:
    verdicts = []
    for text in (head, b"GET / HTTP/1.1\r\nHost: a\r\n" + head):
        try:
            RULES.check(text)
        except GatewayError as error:
            verdicts.append((error.close, error.kind.status in (400, 414, 431, 501, 505)))
    assert all(verdict == (True, True) for verdict in verdicts)
