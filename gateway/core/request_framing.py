"""Where a request begins and ends on the wire, judged so that no two parsers can disagree (RFC 9112).

The complete lane reads every byte of a client twice: here first, then in aiohttp's parser, which is given one message
at a time and only what has passed here. What either of them refuses reaches no upstream. No line of a request is mended
or guessed at: it is right, or the connection ends.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import is_token

HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
"""uri-host and port of RFC 9112 section 3.2, without percent-encoding and sub-delims: no name on a network has them."""
TEXT: Final = bytes([9, *range(32, 127), *range(128, 256)])
"""What a field line may consist of (RFC 9110 section 5.5)."""
LENGTH_DIGITS_MAX: Final = 15

_REQUEST_LINE: Final = re.compile(rb"([!-~]+) ([!-~\x80-\xff]+) HTTP/([0-9]\.[0-9])")
_TARGET: Final = re.compile(rb'[!"$-~]+')
# A request line is the target and the longest method and version that are known, and some room for those that are not.
_LINE_EXTRA: Final = 64
# 15 digits are 2**60 at most: out of reach of any integer's sign.
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})((?:;[\t -~]*)?)\r\n")
_CHUNK_LINE_MAX: Final = 256
_FRAMING_NAMES: Final = (b"host", b"content-length", b"transfer-encoding", b"expect")


def is_host(value: bytes) -> bool:
    """Whether the bytes are one host, with or without a port."""
    return HOST.fullmatch(value) is not None


class Framing(NamedTuple):
    """length: that of the body that follows, None where it is chunked. has_expectation: the client may wait for a reply
    before it sends the body.
    """

    length: int | None
    has_expectation: bool


class HeadRules:
    """What a request head has to be. target_max: bytes of the target. header_max: bytes of all field lines together,
    header_line_max: of one of them. header_count_max: field lines.
    """

    __slots__ = ("head_max", "header_count_max", "header_line_max", "header_max", "target_max")

    def __init__(self, *, target_max: int, header_max: int, header_line_max: int, header_count_max: int) -> None:
        self.target_max = target_max
        self.header_max = header_max
        self.header_line_max = header_line_max
        self.header_count_max = header_count_max
        self.head_max = target_max + _LINE_EXTRA + header_max

    def check_unfinished(self, data: bytes) -> None:
        """Judge the front of a head whose end has not come yet. Raises GatewayError: 414, 431."""
        line_end = data.find(b"\r\n")
        if line_end < 0:
            line_end = len(data)
        if line_end > self.target_max + _LINE_EXTRA:
            raise _target_too_long(self.target_max)
        if len(data) - line_end > self.header_max:
            raise _headers_too_large(f"All headers may have {self.header_max} bytes")

    def check(self, head: bytes) -> Framing:
        """Judge a head up to, and without, its empty line. Raises GatewayError: 400, 414, 431, 501, 505."""
        self.check_unfinished(head)
        request_line, *lines = head.split(b"\r\n")
        if head.translate(None, TEXT) != b"\r\n" * len(lines):
            raise _bad("The head has a control character, or a line that does not end in CRLF")
        found = _REQUEST_LINE.fullmatch(request_line)
        if found is None:
            raise _bad("The request line is not a method, a target and a version")
        method, target, version = found.groups()
        if not is_token(method):
            raise _bad("The method is not a token")
        if method == b"CONNECT":
            # What follows would be no HTTP for whoever takes it for granted (RFC 9110 section 9.3.6).
            raise GatewayError(errors.NOT_IMPLEMENTED, "This is no forward proxy: CONNECT is not served", close=True)
        if version not in (b"1.0", b"1.1"):
            raise GatewayError(errors.VERSION_NOT_SUPPORTED, "HTTP/1.0 and HTTP/1.1 are served here", close=True)
        if len(target) > self.target_max:
            raise _target_too_long(self.target_max)
        if _TARGET.fullmatch(target) is None:
            raise _bad("The request target has a character that must be percent-encoded")
        if len(lines) > self.header_count_max:
            raise _headers_too_large(f"A request may have {self.header_count_max} header lines")
        found_of: dict[bytes, list[bytes]] = {name: [] for name in _FRAMING_NAMES}
        for line in lines:
            if len(line) > self.header_line_max:
                raise _headers_too_large(f"One header may have {self.header_line_max} bytes")
            name, value = _split(line)
            if name in found_of:
                found_of[name].append(value)
        _check_host(found_of[b"host"], version)
        length = _body_length(found_of[b"content-length"], found_of[b"transfer-encoding"], version)
        return Framing(length, bool(found_of[b"expect"]))


class ChunkedBody:
    """Follows the chunked coding (RFC 9112 section 7.1) to its end; the bytes themselves are the caller's.

    Extensions are held to printable characters and one short line, trailer fields to the rules of header fields.
    """

    __slots__ = ("_data_left", "_expect", "_line", "_rules", "_trailer_count", "_trailer_size", "is_complete")

    def __init__(self, rules: HeadRules) -> None:
        self._rules = rules
        # A function, not a bound method, which would be a reference cycle for each body.
        self._expect: Callable[[ChunkedBody, bytes], None] = ChunkedBody._take_size
        self._line = b""
        self._data_left = 0
        self._trailer_count = 0
        self._trailer_size = 0
        self.is_complete = False

    def feed(self, data: bytes) -> int:
        """How many of the bytes belong to the body. Raises GatewayError: 400, 431."""
        at = 0
        while at < len(data) and not self.is_complete:
            if self._data_left:
                step = min(self._data_left, len(data) - at)
                self._data_left -= step
                at += step
                continue
            end = data.find(b"\n", at) + 1 or len(data)
            line = self._line + data[at:end]
            at = end
            if len(line) > max(_CHUNK_LINE_MAX, self._rules.header_max):
                raise _bad("A line of the chunked coding is too long")
            if line.endswith(b"\n"):
                self._line = b""
                self._expect(self, line)
            else:
                self._line = line
        return at

    def _take_size(self, line: bytes) -> None:
        found = _CHUNK_SIZE.fullmatch(line)
        if found is None or len(line) > _CHUNK_LINE_MAX:
            raise _bad("A chunk size is not a short hexadecimal number")
        self._data_left = int(found[1], 16)
        self._expect = ChunkedBody._take_data_end if self._data_left else ChunkedBody._take_trailer

    def _take_data_end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise _bad("A chunk is longer than its size")
        self._expect = ChunkedBody._take_size

    def _take_trailer(self, line: bytes) -> None:
        if line == b"\r\n":
            self.is_complete = True
            return
        text = line.removesuffix(b"\r\n")
        if text.translate(None, TEXT):
            raise _bad("A trailer field has a control character, or does not end in CRLF")
        _split(text)
        self._trailer_count += 1
        self._trailer_size += len(line)
        if self._trailer_count > self._rules.header_count_max or self._trailer_size > self._rules.header_max:
            raise _headers_too_large("The trailer fields are too large")

    def __repr__(self) -> str:
        return f"<ChunkedBody {'complete' if self.is_complete else self._expect.__name__} left={self._data_left}>"


def _split(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    # Also refuses a folded line and a blank before the colon (RFC 9112 sections 5.1 and 5.2).
    if not colon or not is_token(name):
        raise _bad("A header line is not a name, a colon and a value")
    return name.lower(), value.strip(b" \t")


def _check_host(values: list[bytes], version: bytes) -> None:
    """RFC 9112 section 3.2. HTTP/1.0 has no need of it."""
    if (len(values) != 1 or not is_host(values[0])) and (values or version != b"1.0"):
        raise _bad("Exactly one valid Host is needed")


def _body_length(lengths: list[bytes], codings: list[bytes], version: bytes) -> int | None:
    """RFC 9112 section 6.3, and whatever it lets a server guess at refused."""
    if codings:
        if lengths:
            raise _bad("A body has a Content-Length or is chunked, not both")
        if version == b"1.0":
            raise _bad("HTTP/1.0 has no Transfer-Encoding")
        if len(codings) > 1:
            raise _bad("Transfer-Encoding stands there twice")
        if codings[0].lower() != b"chunked":
            raise GatewayError(errors.NOT_IMPLEMENTED, "The only transfer coding served is chunked", close=True)
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > LENGTH_DIGITS_MAX:
        raise _bad(f"Content-Length is one number of at most {LENGTH_DIGITS_MAX} digits")
    return int(lengths[0])


def _bad(detail: str) -> GatewayError:
    return GatewayError(errors.BAD_REQUEST, detail, close=True)


def _target_too_long(target_max: int) -> GatewayError:
    return GatewayError(errors.TARGET_TOO_LONG, f"The request target may have {target_max} bytes", close=True)


def _headers_too_large(detail: str) -> GatewayError:
    return GatewayError(errors.HEADERS_TOO_LARGE, detail, close=True)
