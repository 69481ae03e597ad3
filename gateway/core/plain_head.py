"""The plain HTTP/1.1 head, of a request and of a reply, parsed by a few passes at C speed.

Both accept a subset of RFC 9112 that nobody can read two ways, and say nothing of the rest, which goes to a complete
parser, which also words the refusal. So what is accepted here has to be certain; what is not accepted costs only time.

Clients and servers send the same field lines over and over, so each line is judged once and remembered (`memo.py`): a
head of eight known lines costs 3 us where checking them each time costs 10.
"""

import re
from typing import NamedTuple

from gateway.core.headers import HeaderLine, Headers
from gateway.core.memo import Memo
from gateway.core.request_framing import LENGTH_DIGITS_MAX, is_host

_REQUEST_LINE = re.compile(rb'(GET|POST|PUT|PATCH|DELETE|HEAD) (/[!"$-~]*) HTTP/1\.1')
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) [\t -~]*")
# A field line: a name that is a token, directly before its colon, and text without control characters but the tab.
_FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t -~\x80-\xff]*)")
# Everything that changes framing or protocol, or asks for a dialogue; and the mark of a WebSocket draft that aiohttp
# refuses whatever else the head says.
_SPECIAL = frozenset(
    {
        b"transfer-encoding",
        b"upgrade",
        b"expect",
        b"te",
        b"trailer",
        b"http2-settings",
        b"proxy-connection",
        b"sec-websocket-key1",
    }
)
_CONNECTION = {None: True, b"keep-alive": True, b"Keep-Alive": True, b"close": False}


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
    start, _, rest = head.partition(b"\r\n")
    request_line = _REQUEST_LINE.fullmatch(start)
    if request_line is None:
        return None
    try:
        fields = [_FIELDS[line] for line in rest.split(b"\r\n")]
        index = dict(fields)
        authority = _AUTHORITIES[index[b"host"]]
    except (ValueError, KeyError):
        return None
    if len(index) != len(fields) or not _SPECIAL.isdisjoint(index):
        return None
    keep_alive = _CONNECTION.get(index.get(b"connection"))
    if keep_alive is None:
        return None
    length = 0
    length_text = index.get(b"content-length")
    if length_text is not None:
        if not length_text.isdigit() or len(length_text) > LENGTH_DIGITS_MAX:
            return None
        length = int(length_text)
    method, target = request_line.groups()
    return PlainHead(method.decode(), target.decode(), authority, Headers.indexed(fields, index), length, keep_alive)


class PlainReplyHead(NamedTuple):
    """length is that of the body that follows; fields are in order, names in lower case."""

    status: int
    fields: list[HeaderLine]
    length: int
    keep_alive: bool


def parse_plain_reply_head(head: bytes) -> PlainReplyHead | None:
    """A reply's head up to, and without, its empty line; None where it is not certainly plain.

    Plain is: HTTP/1.1, a final status other than 204 and 304, one Content-Length, and otherwise as for requests but
    that fields may stand there more than once. Not for replies to HEAD, whose Content-Length announces no body.
    """
    start, _, rest = head.partition(b"\r\n")
    try:
        status = _STATUSES[start]
        fields = [_FIELDS[line] for line in rest.split(b"\r\n")]
    except ValueError:
        return None
    index = dict(fields)
    length = index.get(b"content-length")
    if length is None or not length.isdigit() or len(length) > LENGTH_DIGITS_MAX or not _SPECIAL.isdisjoint(index):
        return None
    keep_alive = _CONNECTION.get(index.get(b"connection"))
    if keep_alive is None:
        return None
    if len(index) != len(fields):
        names = [name for name, _ in fields]
        if names.count(b"content-length") > 1 or names.count(b"connection") > 1:
            return None
    return PlainReplyHead(status, fields, int(length), keep_alive)


def _parse_field(line: bytes) -> HeaderLine:
    found = _FIELD_LINE.fullmatch(line)
    if found is None:
        raise ValueError
    return found[1].lower(), found[2].strip(b" \t")


def _parse_authority(host: bytes) -> str:
    if not is_host(host):
        raise ValueError
    return host.decode().lower()


def _parse_status(line: bytes) -> int:
    found = _STATUS_LINE.fullmatch(line)
    if found is None or found[1] in (b"204", b"304"):
        raise ValueError
    return int(found[1])


_FIELDS = Memo(_parse_field)
_AUTHORITIES = Memo(_parse_authority, entries_max=256)
_STATUSES = Memo(_parse_status, entries_max=256)
