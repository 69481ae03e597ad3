"""What an upstream's reply has to be, beyond what llhttp asks of it, to have one meaning only (RFC 9112).

llhttp refuses bare CR and LF, NUL, folded lines, blanks before a colon, and a length that is doubled, signed, listed or
beside chunks. It is more generous than a gateway may be in what is judged here.
"""

import re
from typing import Final

from gateway.core.request_framing import LENGTH_DIGITS_MAX, TEXT

_KEEP_ALIVE_TIMEOUT: Final = re.compile(rb"timeout\s*=\s*(\d{1,6})")

START: Final = b"HTTP/1."
"""How a reply begins; llhttp would also skip empty lines and read other protocols' replies."""
HEADER_COUNT_MAX: Final = 256
INTERIM_MAX: Final = 64
"""More than a service that only says that it is still at work sends within the usual `timeout.total`."""


class ReplyRefused(Exception):  # noqa: N818 - a verdict on the reply, raised through the parser
    """The reply is not passed on; the message says why, after "The upstream's reply is not valid HTTP"."""


def check_reason(reason: bytes) -> None:
    """A part of the reason phrase (section 4). Raises ReplyRefused."""
    if reason.translate(None, TEXT):
        raise ReplyRefused("its status line has a control character")


def check_status(version: str, status: int) -> None:
    """Version and status (RFC 9110 section 15). Raises ReplyRefused."""
    if version != "1.1" and version != "1.0":
        raise ReplyRefused(f"its version is {version}")
    if status < 100 or status > 599:
        raise ReplyRefused(f"its status is {status}")


def content_length(value: bytes) -> int:
    """The number that Content-Length is (RFC 9110 section 8.6). Raises ReplyRefused."""
    if not value.isdigit() or len(value) > LENGTH_DIGITS_MAX:
        raise ReplyRefused(f"its Content-Length is no number of at most {LENGTH_DIGITS_MAX} digits")
    return int(value)


def check_coding(value: bytes, version: str, *, is_repeated: bool) -> None:
    """A Transfer-Encoding line (sections 6.1 and 7). is_repeated: it is not the first. Raises ReplyRefused."""
    if value.lower() != b"chunked":
        raise ReplyRefused("its Transfer-Encoding is not chunked")
    if is_repeated:
        raise ReplyRefused("its Transfer-Encoding stands there twice")
    if version == "1.0":
        raise ReplyRefused("HTTP/1.0 has no Transfer-Encoding")


def keep_alive_s(value: bytes) -> float | None:
    """How long the sender of a Keep-Alive line keeps an idle connection, where it says (RFC 2068 section 19.7.1.1)."""
    found = _KEEP_ALIVE_TIMEOUT.search(value)
    return float(found[1]) if found else None
