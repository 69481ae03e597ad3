"""The plain HTTP/1.1 request head, parsed by a few passes at C speed.

It accepts a subset of RFC 9112 that nobody can read two ways, and says nothing of anything else: the fast lane then
hands the connection to a complete parser, which also words the refusal. So what is accepted here has to be certain;
what is not accepted costs only time.
"""

import re
from typing import NamedTuple

from gateway.core.headers import Headers

_REQUEST_LINE = re.compile(rb"(GET|POST|PUT|PATCH|DELETE|HEAD) (/[!-~]*) HTTP/1\.1")
_HOST = re.compile(rb"[A-Za-z0-9._~-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?")
_TEXT = bytes([9, *range(32, 127), *range(128, 256)])
_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Everything that changes framing or protocol, or asks for a dialogue.
_SPECIAL = frozenset(
    {b"transfer-encoding", b"upgrade", b"expect", b"te", b"trailer", b"http2-settings", b"proxy-connection"}
)
_CONNECTION = {None: True, b"keep-alive": True, b"Keep-Alive": True, b"close": False}
_LENGTH_DIGITS_MAX = 15


class PlainHead(NamedTuple):
    """method and target are as sent; authority is the Host in lower case; length is that of the body."""

    method: str
    target: str
    authority: str
    headers: Headers
    length: int
    keep_alive: bool


def parse_plain_head(head: bytes) -> PlainHead | None:
    """The head up to, and without, its empty line; None where it is not certainly plain.

    Plain is: one of six methods, an origin-form target, HTTP/1.1, CRLF line ends and no other control character, each
    field name a token directly before its colon and there once, one valid Host, a Content-Length of digits or none, no
    field of `_SPECIAL`, and nothing in Connection but keep-alive or close.
    """
    lines = head.split(b"\r\n")
    if head.translate(None, _TEXT) != b"\r\n" * (len(lines) - 1):
        return None
    request_line = _REQUEST_LINE.fullmatch(lines[0])
    if request_line is None:
        return None
    try:
        fields = [(name.lower(), value.strip(b" \t")) for name, value in [line.split(b":", 1) for line in lines[1:]]]
    except ValueError:
        return None
    index = dict(fields)
    if (
        len(index) != len(fields)
        or b"" in index
        or b"".join(index).translate(None, _TOKEN)
        or not _SPECIAL.isdisjoint(index)
    ):
        return None
    host = index.get(b"host")
    if host is None or _HOST.fullmatch(host) is None:
        return None
    keep_alive = _CONNECTION.get(index.get(b"connection"))
    if keep_alive is None:
        return None
    length = 0
    length_text = index.get(b"content-length")
    if length_text is not None:
        if not length_text.isdigit() or len(length_text) > _LENGTH_DIGITS_MAX:
            return None
        length = int(length_text)
    method, target = request_line.groups()
    return PlainHead(
        method.decode(), target.decode(), host.decode().lower(), Headers.indexed(fields, index), length, keep_alive
    )
