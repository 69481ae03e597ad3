"""The plain HTTP/1.1 head, of a request and of a reply, parsed by a few passes at C speed.

Both accept a subset of RFC 9112 that nobody can read two ways, and say nothing of the rest, which goes to a complete
parser, which also words the refusal. So what is accepted here has to be certain; what is not accepted costs only time.

A connection sends the same field lines over and over. So each line is judged once and remembered (`memo.py`), and so is
a request's whole block of them: a known block costs 0.3 us, one of eight known lines 2 us, checking them each time 10.
"""

import re
from typing import Final

from gateway.core.headers import NOT_RETURNED, HeaderBlock, HeaderLine, Headers
from gateway.core.memo import Memo
from gateway.core.reply_framing import HEADER_COUNT_MAX
from gateway.core.request_framing import LENGTH_DIGITS_MAX, is_host

_REQUEST_LINE: Final = re.compile(rb'(GET|POST|PUT|PATCH|DELETE|HEAD) (/[!"$-~]*) HTTP/1\.1')
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) [\t -~]*")
_METHODS: Final = {name.encode(): name for name in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")}
# A field line: a name that is a token, directly before its colon, and text without control characters but the tab.
_FIELD_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t -~\x80-\xff]*)")
# Everything that changes framing or protocol, or asks for a dialogue; and the mark of a WebSocket draft that aiohttp
# refuses whatever else the head says.
_NOT_PLAIN: Final = frozenset(
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

# What a field line means to the parsers.
_ORDINARY: Final = 0
_REFUSED: Final = 1
_HOST: Final = 2
_GOES_ON: Final = 3
_CLOSES: Final = 4
_LENGTH: Final = 5
_KEEP_ALIVE: Final = 6
_ENDS_HERE: Final = 7
_CONNECTION: Final = {b"keep-alive": _GOES_ON, b"Keep-Alive": _GOES_ON, b"close": _CLOSES}


class _Field:
    """A field line, judged. text: as it is written anew. number: of a Content-Length."""

    __slots__ = ("line", "meaning", "number", "text")

    def __init__(self, line: HeaderLine, meaning: int, number: int = 0) -> None:
        self.line = line
        self.text = b": ".join(line)
        self.meaning = meaning
        self.number = number


class _Block:
    """All field lines of a request, judged."""

    __slots__ = ("authority", "fields", "keep_alive", "length")

    def __init__(self, fields: HeaderBlock, authority: str, length: int, *, keep_alive: bool) -> None:
        self.fields = fields
        self.authority = authority
        self.length = length
        self.keep_alive = keep_alive


class PlainHead:
    """A request's. method and target are as sent; authority is the Host in lower case; length is that of the body."""

    __slots__ = ("authority", "headers", "keep_alive", "length", "method", "target")

    def __init__(
        self, method: str, target: str, authority: str, headers: Headers, length: int, *, keep_alive: bool
    ) -> None:
        self.method = method
        self.target = target
        self.authority = authority
        self.headers = headers
        self.length = length
        self.keep_alive = keep_alive


def parse_plain_head(head: bytes) -> PlainHead | None:
    """The head up to, and without, its empty line; None where it is not certainly plain.

    Plain is: one of six methods, an origin-form target, HTTP/1.1, CRLF line ends and no other control character, each
    field name a token directly before its colon and there once, one valid Host, a Content-Length of digits or none, no
    field of `_NOT_PLAIN`, and nothing in Connection but keep-alive or close.
    """
    line_end = head.find(b"\r\n")
    if line_end < 0:
        return None
    request_line = _REQUEST_LINE.fullmatch(head, 0, line_end)
    if request_line is None:
        return None
    try:
        block = _BLOCKS[head[line_end + 2 :]]
    except ValueError:
        return None
    method: bytes
    target: bytes
    method, target = request_line.groups()
    headers = Headers.of_block(block.fields)
    return PlainHead(
        _METHODS[method], target.decode("ascii"), block.authority, headers, block.length, keep_alive=block.keep_alive
    )


class PlainReplyHead:
    """headers: those that may be returned to a client, in order. length is that of the body that follows.
    keep_alive_text: the value of Keep-Alive, or None.
    """

    __slots__ = ("headers", "keep_alive", "keep_alive_text", "length", "status")

    def __init__(
        self, status: int, headers: Headers, length: int, *, keep_alive: bool, keep_alive_text: bytes | None
    ) -> None:
        self.status = status
        self.headers = headers
        self.length = length
        self.keep_alive = keep_alive
        self.keep_alive_text = keep_alive_text


def parse_plain_reply_head(head: bytes) -> PlainReplyHead | None:
    """A reply's head up to, and without, its empty line; None where it is not certainly plain.

    Plain is: HTTP/1.1, a final status other than 204 and 304, one Content-Length, and otherwise as for requests but
    that fields may stand there more than once. Not for replies to HEAD, whose Content-Length announces no body.
    """
    pieces = head.split(b"\r\n")
    if len(pieces) > 1 + HEADER_COUNT_MAX:
        return None
    lines: list[HeaderLine] = []
    texts: list[bytes] = []
    keep_alive_text: bytes | None = None
    connections = lengths = length = 0
    keep_alive = True
    try:
        status = _STATUSES[pieces[0]]
        for number in range(1, len(pieces)):
            field = _FIELDS[pieces[number]]
            meaning = field.meaning
            if meaning in (_ORDINARY, _HOST):
                lines.append(field.line)
                texts.append(field.text)
            elif meaning == _LENGTH:
                length = field.number
                lengths += 1
            elif meaning == _GOES_ON:
                connections += 1
            elif meaning == _CLOSES:
                connections += 1
                keep_alive = False
            elif meaning == _KEEP_ALIVE:
                keep_alive_text = field.line[1]
            elif meaning == _REFUSED:
                return None
    except ValueError:
        return None
    if lengths != 1 or connections > 1:
        return None
    headers = Headers()
    headers.lines = lines
    headers.texts = texts
    return PlainReplyHead(status, headers, length, keep_alive=keep_alive, keep_alive_text=keep_alive_text)


def _judge_block(text: bytes) -> _Block:
    lines: list[HeaderLine] = []
    index: dict[bytes, bytes] = {}
    authority = ""
    keep_alive = True
    length = 0
    for piece in text.split(b"\r\n"):
        field = _FIELDS[piece]
        line = field.line
        meaning = field.meaning
        if meaning == _REFUSED:
            raise ValueError
        if meaning == _HOST:
            authority = _AUTHORITIES[line[1]]
        elif meaning == _CLOSES:
            keep_alive = False
        elif meaning == _LENGTH:
            length = field.number
        lines.append(line)
        index[line[0]] = line[1]
    if not authority or len(index) != len(lines):
        raise ValueError
    return _Block(HeaderBlock(lines, index), authority, length, keep_alive=keep_alive)


def _judge_field(text: bytes) -> _Field:
    found = _FIELD_LINE.fullmatch(text)
    if found is None:
        raise ValueError
    name, value = line = found[1].lower(), found[2].strip(b" \t")
    if name in _NOT_PLAIN:
        return _Field(line, _REFUSED)
    if name == b"host":
        return _Field(line, _HOST)
    if name == b"connection":
        return _Field(line, _CONNECTION.get(value, _REFUSED))
    if name == b"content-length":
        is_number = value.isdigit() and len(value) <= LENGTH_DIGITS_MAX
        return _Field(line, _LENGTH, int(value)) if is_number else _Field(line, _REFUSED)
    if name == b"keep-alive":
        return _Field(line, _KEEP_ALIVE)
    return _Field(line, _ENDS_HERE if name in NOT_RETURNED else _ORDINARY)


def _parse_authority(host: bytes) -> str:
    if not is_host(host):
        raise ValueError
    return host.decode().lower()


def _parse_status(line: bytes) -> int:
    found = _STATUS_LINE.fullmatch(line)
    if found is None or found[1] in (b"204", b"304"):
        raise ValueError
    return int(found[1])


_FIELDS: Final[Memo[bytes, _Field]] = Memo(_judge_field)
_BLOCKS: Final[Memo[bytes, _Block]] = Memo(_judge_block, entries_max=2048, key_max=2048)
_AUTHORITIES: Final[Memo[bytes, str]] = Memo(_parse_authority, entries_max=256)
_STATUSES: Final[Memo[bytes, int]] = Memo(_parse_status, entries_max=256)
