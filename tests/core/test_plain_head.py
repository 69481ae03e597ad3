"""Hazard: the hot path takes for plain what another parser would read differently."""

import pytest

from gateway.core.plain_head import PlainHead, parse_plain_head, parse_plain_reply_head


def head(*lines: bytes, start: bytes = b"GET /a HTTP/1.1", host: bytes = b"Host: a") -> bytes:
    return b"\r\n".join([start, *([host] if host else []), *lines])


def parsed(text: bytes) -> PlainHead:
    found = parse_plain_head(text)
    assert found is not None
    return found


def test_a_plain_head_is_read_whole() -> None:
    found = parsed(
        head(
            b"X-A: \t b c \t",
            b"Content-Length: 12",
            b"x-empty:",
            b"X-High: \x80\xff",
            start=b"POST /a/b%20c?d=e HTTP/1.1",
            host=b"HOST: Api.Example:8443",
        )
    )
    assert (found.method, found.target, found.authority) == ("POST", "/a/b%20c?d=e", "api.example:8443")
    assert (found.length, found.keep_alive) == (12, True)
    assert found.headers.lines == [
        (b"host", b"Api.Example:8443"),
        (b"x-a", b"b c"),
        (b"content-length", b"12"),
        (b"x-empty", b""),
        (b"x-high", b"\x80\xff"),
    ]
    assert found.headers.get(b"x-a") == b"b c"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])
def test_the_six_methods_are_plain(method: str) -> None:
    assert parsed(head(start=method.encode() + b" / HTTP/1.1")).method == method


@pytest.mark.parametrize(
    ("line", "keep_alive"),
    [(b"Connection: keep-alive", True), (b"Connection: Keep-Alive", True), (b"Connection: close", False)],
)
def test_connection_may_say_whether_it_goes_on(line: bytes, keep_alive: bool) -> None:
    assert parsed(head(line)).keep_alive is keep_alive


NOT_PLAIN_STARTS = [
    *(b"", b"GET", b"GET /a", b"GET /a HTTP/1.0", b"GET /a HTTP/1.2", b"GET /a HTTP/2.0", b"GET /a http/1.1"),
    *(b"get /a HTTP/1.1", b"BREW /a HTTP/1.1", b"OPTIONS /a HTTP/1.1", b"CONNECT a:80 HTTP/1.1", b"G\0T /a HTTP/1.1"),
    *(b"GET  /a HTTP/1.1", b"GET /a  HTTP/1.1", b"GET /a HTTP/1.1 ", b" GET /a HTTP/1.1", b"GET\t/a HTTP/1.1"),
    *(b"GET a HTTP/1.1", b"GET * HTTP/1.1", b"GET http://a/ HTTP/1.1", b"GET /a b HTTP/1.1", b"GET /a#b HTTP/1.1"),
    *(
        b"GET /a?b#c HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /a\n HTTP/1.1",
    ),
]


@pytest.mark.parametrize("start", NOT_PLAIN_STARTS)
def test_any_other_request_line_is_not_plain(start: bytes) -> None:
    assert parse_plain_head(head(start=start)) is None


NOT_PLAIN_LINES = [
    *(
        b"",
        b"X-A",
        b": b",
        b"X A: b",
        b"X-A : b",
        b"X-A\t: b",
        b" X-A: b",
        b"X-A: b\r\n c",
        b"X(A): b",
        b"X-\xc3\xa9: b",
    ),
    *(b"X-A: \x00", b"X-A: a\rb", b"X-A: a\nb", b"X-A: a\n\nb", b"X-A: \x7f", b"X-A: \x0b", b"X\x00A: b", b"\x00: b"),
    *(b"Host: b", b"host: a", b"X-A: b\r\nx-a: c", b"Content-Length: 1\r\nContent-Length: 1"),
    *(b"Transfer-Encoding: chunked", b"transfer-encoding:", b"Upgrade: h2c", b"Expect: 100-continue", b"TE: trailers"),
    *(b"Trailer: x", b"HTTP2-Settings: x", b"Proxy-Connection: close", b"Sec-WebSocket-Key1: x"),
    *(b"Connection: upgrade", b"Connection: close, x", b"Connection:", b"Connection: CLOSE", b"Connection: x-a"),
    *(
        b"Content-Length: +1",
        b"Content-Length: -1",
        b"Content-Length: 1, 1",
        b"Content-Length: 0x1",
        b"Content-Length:",
    ),
    *(
        b"Content-Length: 1_0",
        b"Content-Length: 1 1",
        b"Content-Length: \xb2",
        b"Content-Length: 1.0",
        b"Content-Length: " + b"1" * 16,
    ),
]


@pytest.mark.parametrize("line", NOT_PLAIN_LINES)
def test_any_other_field_line_makes_the_head_not_plain(line: bytes) -> None:
    assert parse_plain_head(head(b"X-Before: 1", line)) is None
    assert parse_plain_head(head(line, b"X-After: 1")) is None


@pytest.mark.parametrize(
    "host",
    [b"", b"Host:", b"Host: a b", b"Host: a,b", b"Host: u@a", b"Host: a/b", b"Host: a:b", b"Host: [::1", b"Host: \xe9"],
)
def test_without_one_valid_host_it_is_not_plain(host: bytes) -> None:
    assert parse_plain_head(head(host=host)) is None


def reply_head(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK", length: bytes = b"Content-Length: 5") -> bytes:
    return b"\r\n".join([start, *([length] if length else []), *lines])


def test_a_plain_reply_head_is_read_whole() -> None:
    found = parse_plain_reply_head(
        reply_head(
            *(b"Set-Cookie: a", b"X-Request-Id: 1", b"Set-Cookie: b"),
            *(b"Connection: close", b"Keep-Alive: timeout=5", b"Proxy-Authenticate: Basic"),
            start=b"HTTP/1.1 404 ",
        )
    )
    assert found is not None
    assert (found.status, found.length, found.keep_alive, found.keep_alive_text) == (404, 5, False, b"timeout=5")
    # What ends at this hop is not among them.
    assert found.headers.lines == [(b"set-cookie", b"a"), (b"set-cookie", b"b")]


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 204 No",
        b"HTTP/1.1 304 Not",
        b"HTTP/1.1 600 X",
        b"HTTP/1.1 20 X",
    ],
)
def test_a_reply_of_another_kind_is_not_plain(start: bytes) -> None:
    assert parse_plain_reply_head(reply_head(start=start)) is None


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Connection: close\r\nConnection: x",
        b"X-A: \x00",
        b"X-A : b",
        b" b",
    ],
)
def test_a_reply_with_doubtful_fields_is_not_plain(line: bytes) -> None:
    assert parse_plain_reply_head(reply_head(line)) is None


@pytest.mark.parametrize("length", [b"", b"Content-Length: +5", b"Content-Length: 5, 5", b"Content-Length:"])
def test_a_reply_without_a_plain_length_is_not_plain(length: bytes) -> None:
    assert parse_plain_reply_head(reply_head(length=length)) is None
