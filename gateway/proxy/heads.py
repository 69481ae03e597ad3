"""Message heads, always written anew from parsed parts: nothing of a received head is passed through as bytes.

Used by every lane, so that the same exchange gives the same bytes whichever lane serves it.
"""

import time
from email.utils import formatdate
from http import HTTPStatus
from itertools import product
from typing import Final

from gateway.core.explain_token import EXPLAIN_HEADER
from gateway.core.headers import HOP_BY_HOP, MIRROR_HEADER, HeaderLine, Headers, connection_options
from gateway.core.identity import IDENTITY_HEADERS
from gateway.core.memo import Memo
from gateway.core.milliseconds import milliseconds
from gateway.plugin_api import Exchange, Reply


def _underscore_twins(names: frozenset[bytes]) -> frozenset[bytes]:
    """Every spelling of the names with `_` for some `-`: application servers map both to the same variable."""
    twins = set()
    for name in names:
        parts = name.split(b"-")
        for joints in product((b"-", b"_"), repeat=len(parts) - 1):
            twins.add(b"".join(part + joint for part, joint in zip(parts, (*joints, b""), strict=True)))
    return frozenset(twins)


_SET_BY_GATEWAY: Final = frozenset(
    {
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-real-ip",
        b"x-request-id",
        b"x-request-timeout-ms",
    }
)
_NOT_FORWARDED: Final = _underscore_twins(
    HOP_BY_HOP
    | {b"host", b"content-length", b"expect", b"traceparent", b"forwarded", EXPLAIN_HEADER, MIRROR_HEADER}
    | IDENTITY_HEADERS
    | _SET_BY_GATEWAY
)


def _forwarded_text(line: HeaderLine) -> bytes:
    return b"" if line[0] in _NOT_FORWARDED else b": ".join(line)


def _size_of(line: HeaderLine) -> int:
    return len(line[0]) + len(line[1])


# Request lines as they are written: most are the same objects each time (`core/plain_head.py` remembers them).
_FORWARDED_TEXTS: Final[Memo[HeaderLine, bytes]] = Memo(_forwarded_text, size_of=_size_of)


def strip_connection_options(headers: Headers) -> None:
    """Drop the request fields that Connection names (RFC 9110 section 7.6.1).

    Done where a request comes in, so that it takes nothing away that a hook sets later.
    """
    for name in connection_options(headers) - _KEPT_OPTIONS:
        headers.remove(name)


# Read here, and not forwarded in any case.
_KEPT_OPTIONS: Final = HOP_BY_HOP | frozenset({b"host", b"content-length", b"expect", b"close"})


def request_head(exchange: Exchange, target: str, authority: str, *, framing: bytes, upgrade: bytes | None) -> bytes:
    """The head for an upstream.

    authority: the endpoint's own, for Host; the client's travels in X-Forwarded-Host. framing: the Content-Length or
    Transfer-Encoding line without its end, or b"". upgrade: the protocol asked for, else None.
    """
    headers = exchange.headers
    forwarded_for, scheme, forwarded_host = exchange.peer_ip, exchange.scheme, exchange.authority
    if exchange.is_trusted_peer:
        forwarded_for, scheme, forwarded_host = _forwarded(exchange)
    # Lines without their ends, so that no piece, empty or not, can end the head early.
    lines = [
        (
            f"{exchange.method} {target} HTTP/1.1\r\nhost: {authority}\r\n"
            f"x-forwarded-for: {forwarded_for}\r\nx-forwarded-proto: {scheme}\r\n"
            f"x-forwarded-host: {forwarded_host}\r\nx-request-id: {exchange.request_id}"
        ).encode("latin-1")
    ]
    block = headers.block
    if block is None:
        lines += [text for line in headers.lines if (text := _FORWARDED_TEXTS[line])]
    else:
        if block.forwarded is None:
            block.forwarded = b"\r\n".join([text for line in block.lines if (text := _FORWARDED_TEXTS[line])])
        if block.forwarded:
            lines.append(block.forwarded)
    # After those that are there already (RFC 9110 section 7.6.3).
    lines.append(b"via: 1.1 gateway\r\ntraceparent: " + exchange.traceparent)
    if framing:
        lines.append(framing)
    identity = exchange.identity
    if identity is not None:
        lines += identity.upstream_lines
    if upgrade is not None:
        lines.append(b"connection: upgrade\r\nupgrade: " + upgrade)
    elif b"te" in headers and wants_trailers(headers):
        lines.append(b"te: trailers\r\nconnection: te")
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def _forwarded(exchange: Exchange) -> tuple[str, str, str]:
    """For, proto and host as a trusted proxy passes them on."""
    headers = exchange.headers
    earlier = headers.get_list(b"x-forwarded-for")
    scheme = headers.get(b"x-forwarded-proto")
    host = headers.get(b"x-forwarded-host")
    return (
        exchange.peer_ip if not earlier else f"{earlier.decode('latin-1')}, {exchange.peer_ip}",
        exchange.scheme if scheme is None else scheme.decode("latin-1"),
        exchange.authority if host is None else host.decode("latin-1"),
    )


def wants_trailers(headers: Headers) -> bool:
    """Whether the sender takes trailer fields (RFC 9110 section 10.1.4)."""
    value = headers.get_list(b"te")
    return value is not None and b"trailers" in (part.strip().lower() for part in value.split(b","))


_STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {phrase}".encode()
    for status, phrase in [(code, "") for code in range(100, 1000)]
    + [(known.value, known.phrase) for known in HTTPStatus]
}


def has_no_body(status: int, method: str) -> bool:
    """Whether a reply ends with its head, whatever its headers say (RFC 9112 section 6.3)."""
    return method == "HEAD" or status == 204 or status == 304 or 100 <= status < 200


def reply_head(
    reply: Reply, exchange: Exchange, *, now_s: float, is_http10: bool, keep_alive: bool
) -> tuple[bytes, bool]:
    """The head for the client, and whether the body goes in chunks.

    A reply of unknown length ends with the connection where the client speaks HTTP/1.0; the caller sees to that.
    """
    body = reply.body
    length = reply.length
    status = reply.status
    is_bodiless = has_no_body(status, exchange.method)
    is_chunked = False
    if length is None and (body or not is_bodiless):
        length = len(body) if isinstance(body, bytes) else body.length
    headers = reply.headers
    fields = headers.lines
    texts = headers.texts
    lines = [_STATUS_LINES[status]]
    known = 0
    if texts is not None:
        known = len(texts)
        lines += texts
    has_date = False
    for index in range(len(fields)):
        line = fields[index]
        if index >= known:
            lines.append(line[0] + b": " + line[1])
        if line[0] == b"date":
            has_date = True
    if status == 204 or (status == 304 and not length):
        pass
    elif reply.trailers is not None and not is_bodiless and not is_http10 and wants_trailers(exchange.headers):
        # Trailer fields need chunks, also where the body is here in one piece.
        is_chunked = True
    elif length is not None:
        lines.append(b"content-length: %d" % length)
    elif not is_bodiless and not is_http10:
        is_chunked = True
    if is_chunked:
        lines.append(b"transfer-encoding: chunked")
    total_ms, total_rest = milliseconds(now_s - exchange.started_s)
    upstream_ms, upstream_rest = milliseconds(exchange.upstream_s)
    lines.append(
        (
            f"x-request-id: {exchange.request_id}\r\nserver-timing: "
            f"total;dur={total_ms}{total_rest}, upstream;dur={upstream_ms}{upstream_rest}"
        ).encode()
    )
    if not has_date:
        lines.append(_date_line())
    if not keep_alive:
        lines.append(b"connection: close")
    elif is_http10:
        lines.append(b"connection: keep-alive")
    lines.append(b"\r\n")
    return b"\r\n".join(lines), is_chunked


def interim_head(status: int, lines: Headers) -> bytes:
    """The head of a 1xx reply (RFC 9110 section 15.2)."""
    return b"\r\n".join([_STATUS_LINES[status], *[b": ".join(line) for line in lines.lines], b"\r\n"])


_date: tuple[int, bytes] = (0, b"")


def _date_line() -> bytes:
    """RFC 9110 section 6.6.1; written once a second."""
    global _date
    second = int(time.time())
    if _date[0] != second:
        _date = second, b"date: " + formatdate(second, usegmt=True).encode()
    return _date[1]
