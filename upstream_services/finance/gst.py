"""Indian GST on invoice lines, in decimal arithmetic.

A supply inside the supplier's state bears CGST and SGST, each half the rate; one to another state bears IGST at the
whole rate (IGST Act 2017, sections 7 and 8). Every amount of a line is rounded half up to the paisa, and an invoice
adds up rounded lines, so what is printed adds up as well.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple, Protocol

PAISA = Decimal("0.01")
ZERO = Decimal("0.00")
RATES = (0, 3, 5, 12, 18, 28, 40)  # percent


class Amounts(NamedTuple):
    """Rupees with two places. `total` is the sum of the others."""

    taxable: Decimal
    cgst: Decimal
    sgst: Decimal
    igst: Decimal
    total: Decimal


class HasAmounts(Protocol):
    """A line that was computed."""

    taxable: Decimal
    cgst: Decimal
    sgst: Decimal
    igst: Decimal
    total: Decimal


def _round(amount: Decimal) -> Decimal:
    return amount.quantize(PAISA, ROUND_HALF_UP)


def line_amounts(quantity: Decimal, unit_price: Decimal, rate: int, *, is_intra_state: bool) -> Amounts:
    """The amounts of one line; `rate` in percent."""
    taxable = _round(quantity * unit_price)
    if is_intra_state:
        half = _round(taxable * rate / 200)
        return Amounts(taxable, half, half, ZERO, taxable + half + half)
    igst = _round(taxable * rate / 100)
    return Amounts(taxable, ZERO, ZERO, igst, taxable + igst)


def sum_amounts(lines: Iterable[HasAmounts]) -> Amounts:
    """The totals of an invoice: each column added up."""
    columns = [(line.taxable, line.cgst, line.sgst, line.igst, line.total) for line in lines]
    return Amounts(*(sum(column, ZERO) for column in zip(*columns, strict=True)))
