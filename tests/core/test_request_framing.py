"""Hazard: the end of a request is somewhere else for the gateway than for the upstream (request smuggling)."""

import pytest

from gateway.core.errors import GatewayError
from gateway.core.request_framing import ChunkedBody, Framing, HeadRules

RULES = HeadRules(target_max=100, header_max=400, header_line_max=300, header_count_max=10)


def head(*lines: bytes, start: bytes = b"POST /a HTTP/1.1", host: bytes = b"Host: a") -> bytes:
    return b"\r\n".join([start, *([host] if host else []), *lines])


def status_of(text: bytes) -> int:
    with pytest.raises(GatewayError) as caught:
        RULES.check(text)
    assert caught.value.close
    return caught.value.kind.status


@pytest.mark.parametrize(
    ("lines", "framing"),
    [
        ([], Framing(0, False)),
        ([b"Content-Length: 12"], Framing(12, False)),
        ([b"content-length:\t007 "], Framing(7, False)),
        ([b"Transfer-Encoding: Chunked"], Framing(None, False)),
        ([b"Content-Length: 5", b"Expect: 100-continue"], Framing(5, True)),
    ],
)
def test_the_framing_of_a_right_head(lines: list[bytes], framing: Framing) -> None:
    assert RULES.check(head(*lines)) == framing


@pytest.mark.parametrize(
    "start", [b"GET http://h/x HTTP/1.1", b"OPTIONS * HTTP/1.1", b"M-SEARCH /a HTTP/1.0", b'GET /"{}|^` HTTP/1.1']
)
def test_other_methods_and_forms_of_target_are_the_lanes_affair(start: bytes) -> None:
    assert RULES.check(head(start=start)).length == 0


def test_http10_needs_no_host_but_if_it_has_one_it_is_valid() -> None:
    assert RULES.check(head(start=b"GET / HTTP/1.0", host=b"")).length == 0
    assert status_of(head(start=b"GET / HTTP/1.0", host=b"Host:")) == 400


BAD_STARTS = {
    **dict.fromkeys(
        [b"", b"GET /", b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET\t/ HTTP/1.1", b" GET / HTTP/1.1"], 400
    ),
    **dict.fromkeys(
        [b"GET / HTTP/1", b"GET / HTTP/1.1.1", b"GET / http/1.1", b"GET / HTTP/x", b"GET / HTTP/1.10"], 400
    ),
    **dict.fromkeys(
        [b"G(T / HTTP/1.1", b"GET /a b HTTP/1.1", b"GET /\0 HTTP/1.1", b"GET /\x7f HTTP/1.1", b"GET /\n HTTP/1.1"], 400
    ),
    **dict.fromkeys([b"GET /a#b HTTP/1.1", b"GET /?a#b HTTP/1.1", b"GET /\xc3\xa9 HTTP/1.1"], 400),
    **dict.fromkeys([b"GET / HTTP/0.9", b"GET / HTTP/1.2", b"GET / HTTP/2.0", b"PRI * HTTP/2.0"], 505),
    b"CONNECT a:80 HTTP/1.1": 501,
    b"CONNECT /a HTTP/1.1": 501,
    b"GET /" + b"x" * 100 + b" HTTP/1.1": 414,
}


@pytest.mark.parametrize(("start", "status"), BAD_STARTS.items())
def test_a_wrong_request_line_is_refused(start: bytes, status: int) -> None:
    assert status_of(head(start=start)) == status


BAD_LINES = {
    **dict.fromkeys(
        [b"", b"X-A", b": b", b"X A: b", b"X-A : b", b"X-A\t: b", b" X-A: b", b"X-A: b\r\n c", b"X(A): b"], 400
    ),
    **dict.fromkeys(
        [b"X-A: \0", b"X-A: a\rb", b"X-A: a\nb: c", b"X-A: \x7f", b"X-A: \x0b", b"X\0A: b", b"X-\xe9: b"], 400
    ),
    **dict.fromkeys([b"Host: a", b"host: b", b"Content-Length: 1\r\nContent-Length: 1"], 400),
    **dict.fromkeys(
        [
            b"Content-Length: " + value
            for value in (b"", b"+1", b"-1", b"1, 1", b"1 1", b"0x1", b"1_0", b"\xb2", b"1" * 16)
        ],
        400,
    ),
    **dict.fromkeys(
        [b"Transfer-Encoding: chunked\r\nContent-Length: 1", b"Content-Length: 1\r\nTransfer-Encoding: chunked"], 400
    ),
    **dict.fromkeys(
        [
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: identity\r\nContent-Length: 1",
        ],
        400,
    ),
    **dict.fromkeys(
        [
            b"Transfer-Encoding: " + value
            for value in (b"identity", b"xchunked", b"gzip, chunked", b"chunked, chunked", b"")
        ],
        501,
    ),
    b"Transfer-Encoding: chunked\x0b": 400,
    b"X-Long: " + b"x" * 400: 431,
    b"\r\n".join(b"X: %d" % number for number in range(11)): 431,
}


@pytest.mark.parametrize(("line", "status"), BAD_LINES.items())
def test_a_wrong_field_line_is_refused(line: bytes, status: int) -> None:
    assert status_of(head(b"X-Before: 1", line)) == status
    assert status_of(head(line, b"X-After: 1")) == status


def test_chunks_are_not_for_http10() -> None:
    assert status_of(head(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0")) == 400


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"Host:",
        b"Host: a b",
        b"Host: a,b",
        b"Host: u@a",
        b"Host: a/b",
        b"Host: a:b",
        b"Host: [::1",
        b"Host: a:123456",
    ],
)
def test_exactly_one_valid_host_is_needed(host: bytes) -> None:
    assert status_of(head(host=host)) == 400


@pytest.mark.parametrize("host", [b"a", b"a:", b"a.b-c_d~e:65535", b"127.0.0.1:80", b"[::1]", b"[2001:DB8::1]:8443"])
def test_valid_hosts(host: bytes) -> None:
    assert RULES.check(head(host=b"Host: " + host)).length == 0


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"x" * 200, 414),
        (b"GET / HTTP/1.1\r\n" + b"x" * 500, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100, 431),
    ],
)
def test_a_head_without_end_is_refused_as_soon_as_it_is_too_long(data: bytes, status: int) -> None:
    with pytest.raises(GatewayError) as caught:
        RULES.check_unfinished(data)
    assert caught.value.kind.status == status
    RULES.check_unfinished(data[:100])


RIGHT_CHUNKS = [
    b"0\r\n\r\n",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3\r\n\r\n\n\r\n0\r\n\r\n",
    b"00a;x=y\r\n0123456789\r\n1\r\n.\r\n000\r\nX-Sum: 1\r\nX-Other:\r\n\r\n",
]


@pytest.mark.parametrize("data", RIGHT_CHUNKS)
def test_a_chunked_body_ends_where_it_ends_however_it_is_cut(data: bytes) -> None:
    for size in range(1, len(data) + 1):
        body = ChunkedBody(RULES)
        following = data + b"GET / HTTP/1.1\r\n"
        taken = 0
        while not body.is_complete:
            taken += body.feed(following[taken : taken + size])
        assert taken == len(data)
        assert body.feed(b"more") == 0


BAD_CHUNKS = {
    **dict.fromkeys(
        [
            b"\r\n",
            b"x\r\n",
            b"-3\r\n",
            b"+3\r\n",
            b"0x3\r\n",
            b"1_0\r\n",
            b"3 \r\n",
            b" 3\r\n",
            b"3\n",
            b"\n",
            b"3\r\r\n",
        ],
        400,
    ),
    **dict.fromkeys(
        [
            b"0" * 15 + b"3\r\n",
            b"f" * 17 + b"\r\n",
            b"3;\0\r\n",
            b"3;a\nb\r\n",
            b"3;\x80\r\n",
            b"3;" + b"x" * 300 + b"\r\n",
        ],
        400,
    ),
    **dict.fromkeys(
        [
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n",
            b"3\r\nabc\r\r\n",
            b"0\r\nX\r\n",
            b"0\r\nX : y\r\n",
            b"0\r\n y\r\n",
            b"0\r\nX: \0\r\n",
        ],
        400,
    ),
    **dict.fromkeys([b"0\r\n\n", b"0\r\nX: y\n", b"0" * 1000], 400),
    **dict.fromkeys([b"0\r\n" + b"X: y\r\n" * 11, b"0\r\n" + (b"X: " + b"y" * 300 + b"\r\n") * 2], 431),
}


def feed_in_steps(body: ChunkedBody, data: bytes, step: int) -> None:
    for at in range(0, len(data), step):
        body.feed(data[at : at + step])


@pytest.mark.parametrize(("data", "status"), BAD_CHUNKS.items())
def test_wrong_chunks_are_refused(data: bytes, status: int) -> None:
    for step in (1, len(data)):
        body = ChunkedBody(RULES)
        with pytest.raises(GatewayError) as caught:
            feed_in_steps(body, data, step)
        assert caught.value.kind.status == status
        assert not body.is_complete


def test_a_body_says_how_far_it_is() -> None:
    body = ChunkedBody(RULES)
    body.feed(b"a\r\n1")
    assert repr(body) == "<ChunkedBody _take_data_end left=9>"
    body.feed(b"23456789.\r\n0\r\n\r\n")
    assert repr(body) == "<ChunkedBody complete left=0>"
