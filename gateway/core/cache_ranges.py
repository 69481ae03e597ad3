"""Byte ranges of a whole reply (RFC 9110 section 14). Pure."""

import re
from typing import Final

from gateway.core.entity_tags import is_entity_tag, is_strong
from gateway.core.headers import Headers
from gateway.core.http_date import parse_http_date

_ONE_RANGE: Final = re.compile(rb"bytes[ \t]*=[ \t,]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t,]*", re.IGNORECASE)
# More digits than any length has; int() refuses more than some thousands.
_DIGITS_MAX: Final = 18


class Unsatisfiable(Exception):  # noqa: N818 - a verdict of the RFC, named as it is there
    """The range begins behind the last byte: 416."""


def select_range(value: bytes, length: int) -> tuple[int, int] | None:
    """The first byte of the range and the one behind its last; None: answer with the whole.

    value: of Range. That is so for other units, for what cannot be read (section 14.2 says to ignore it) and for
    several ranges, which a server may answer whole. Raises Unsatisfiable.
    """
    match = _ONE_RANGE.fullmatch(value.strip(b" \t"))
    if match is None:
        return None
    first_text, last_text, suffix_text = match[1], match[2], match[3]
    if suffix_text is not None:
        suffix = _number(suffix_text)
        if suffix == 0 or length == 0:
            raise Unsatisfiable
        return max(0, length - suffix), length
    first = _number(first_text)
    last = _number(last_text) if last_text else length - 1
    if last_text and last < first:
        return None
    if first >= length:
        raise Unsatisfiable
    return first, min(last, length - 1) + 1


def may_use_range(request: Headers, reply: Headers, now_s: float) -> bool:
    """Whether If-Range lets the range be taken from this reply (RFC 9110 section 13.1.5); so where there is none.

    A tag has to match strongly, a date exactly, and be a strong validator itself: a second older than Date at least
    (section 8.8.2.2).
    """
    condition = request.get(b"if-range")
    if condition is None:
        return True
    if request.is_repeated(b"if-range"):
        return False
    if is_entity_tag(condition):
        return is_strong(condition) and condition == reply.get(b"etag")
    wanted_s = parse_http_date(condition, now_s)
    last_modified, date = reply.get(b"last-modified"), reply.get(b"date")
    if wanted_s is None or last_modified is None or date is None:
        return False
    changed_s, made_s = parse_http_date(last_modified, now_s), parse_http_date(date, now_s)
    return changed_s is not None and made_s is not None and wanted_s == changed_s and changed_s < made_s


def _number(digits: bytes) -> int:
    return 10**_DIGITS_MAX if len(digits.lstrip(b"0")) > _DIGITS_MAX else int(digits[-_DIGITS_MAX:])
