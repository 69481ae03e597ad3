"""HTTP dates (RFC 9110 section 5.6.7) as seconds since the epoch. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS: Final = {name.lower().encode(): number for number, name in enumerate(_MONTHS, 1)}

_TIME: Final = rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_MONTH: Final = rb"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
# Dates are case-sensitive, but a cache should read them in any case (RFC 9111 section 4.2).
_FORMS: Final = (
    re.compile(rb"(?:mon|tue|wed|thu|fri|sat|sun), (?P<day>\d\d) %b (?P<year>\d{4}) %b gmt" % (_MONTH, _TIME)),
    re.compile(
        rb"(?:mon|tues|wednes|thurs|fri|satur|sun)day, (?P<day>\d\d)-%b-(?P<year>\d\d) %b gmt" % (_MONTH, _TIME)
    ),
    re.compile(rb"(?:mon|tue|wed|thu|fri|sat|sun) %b (?P<day>\d\d| \d) %b (?P<year>\d{4})" % (_MONTH, _TIME)),
)
_LONGEST: Final = len(b"Wednesday, 09-Nov-94 08:49:37 GMT")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_http_date(value: bytes, now_s: float) -> int | None:
    """Seconds since the epoch, or None for what is no HTTP date.

    now_s: wall clock; a year of two digits (RFC 850) that would lie more than 50 years ahead is in the past.
    """
    if len(value) > _LONGEST:
        return None
    lowered = value.lower()
    for form in _FORMS:
        match = form.fullmatch(lowered)
        if match is not None:
            return _seconds(match, now_s)
    return None


def format_http_date(seconds: float) -> bytes:
    """The preferred form (IMF-fixdate), a fraction cut off. Raises OverflowError beyond the year 9999."""
    then = _EPOCH + timedelta(seconds=int(seconds))
    day = f"{_DAYS[then.weekday()]}, {then.day:02d} {_MONTHS[then.month - 1]} {then.year:04d}"
    return f"{day} {then.hour:02d}:{then.minute:02d}:{then.second:02d} GMT".encode()


def _seconds(match: re.Match[bytes], now_s: float) -> int | None:
    year = int(match["year"])
    if len(match["year"]) == 2:
        this_year = (_EPOCH + timedelta(seconds=now_s)).year
        year += this_year - this_year % 100
        if year > this_year + 50:
            year -= 100
    second = int(match["second"])
    is_leap_second = second == 60
    try:
        then = datetime(
            year,
            _MONTH_NUMBERS[match["month"]],
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            59 if is_leap_second else second,
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return int((then - _EPOCH).total_seconds()) + is_leap_second
