"""Which days somebody works, and how many of them a span of days has. No database, no clock."""

from collections.abc import Container, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONDAY_TO_FRIDAY = WEEKDAYS[:5]
HALF, WHOLE = Decimal("0.5"), Decimal("1.0")


@cache
def is_time_zone(name: str) -> bool:
    """Whether the time zone data of this machine knows the name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def local(moment: datetime, time_zone: str) -> datetime:
    """A moment as the clock of a place shows it."""
    return moment.astimezone(ZoneInfo(time_zone))


def days_between(first: date, last: date) -> Iterator[date]:
    """Every day from the first to the last, both included; none where the last is earlier."""
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def working_days(first: date, last: date, weekdays: Container[str], holidays: Container[date]) -> int:
    """How many of the days from `first` to `last` are worked: on one of the weekdays, and no holiday."""
    return sum(WEEKDAYS[day.weekday()] in weekdays and day not in holidays for day in days_between(first, last))


def leave_days(
    first: date, last: date, weekdays: Container[str], holidays: Container[date], *, is_half: bool
) -> Decimal:
    """How many days a leave takes from a balance: its working days, or half of its only one."""
    return working_days(first, last, weekdays, holidays) * (HALF if is_half else WHOLE)


def minutes_worked(check_in: datetime, check_out: datetime, break_minutes: int) -> int:
    """Whole minutes between the two, without the break where there was time for one."""
    minutes = int((check_out - check_in).total_seconds() // 60)
    return minutes - break_minutes if minutes > break_minutes else minutes


def is_late(check_in: datetime, starts_at: str, grace_minutes: int) -> bool:
    """Whether somebody who came at `check_in`, by the clock of the place, came after "09:30" and the grace.

    Of a shift that starts in the evening, the hours after midnight are late; the twelve before its start are early.
    """
    hours, minutes = map(int, starts_at.split(":"))
    after = (check_in.hour * 60 + check_in.minute - hours * 60 - minutes) % (24 * 60)
    return grace_minutes < after < 12 * 60
