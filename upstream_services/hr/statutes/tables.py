"""What the tables of each law have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import TypeVar

PAISA, RUPEE = Decimal("0.01"), Decimal(1)
ZERO = Decimal("0.00")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A rule of law that is in force from a day on; `source` names where it is written."""

    since: date
    source: str


T = TypeVar("T", bound=Table)


def in_force(tables: Sequence[T], day: date) -> T:
    """The newest of the tables that are in force on a day. Raises LookupError where none is yet."""
    found = [table for table in tables if table.since <= day]
    if not found:
        raise LookupError(f"no table is in force on {day}; the first is since {min(t.since for t in tables)}")
    return max(found, key=lambda table: table.since)


def to_paisa(amount: Decimal) -> Decimal:
    """Rounded half up, to two places."""
    return amount.quantize(PAISA, ROUND_HALF_UP)


def to_rupee(amount: Decimal) -> Decimal:
    """Rounded half up to whole rupees, with two places."""
    return amount.quantize(RUPEE, ROUND_HALF_UP).quantize(PAISA)


def up_to_rupee(amount: Decimal) -> Decimal:
    """Rounded up to whole rupees, with two places."""
    return amount.quantize(RUPEE, ROUND_CEILING).quantize(PAISA)


def to_ten_rupees(amount: Decimal) -> Decimal:
    """Rounded half up to tens of rupees, with two places."""
    return ((amount / 10).quantize(RUPEE, ROUND_HALF_UP) * 10).quantize(PAISA)
