"""Employees' state insurance (ESI): Employees' State Insurance Act 1948 and the (Central) Rules 1950.

Whoever earns no more than the ceiling is covered, and stays so until the end of the contribution period (April to
September, October to March) in which they come to earn more (rule 50, proviso; regulation 4). Contributions are
rounded up to the next rupee.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from upstream_services.hr.statutes.tables import ZERO, Table, in_force, up_to_rupee


@dataclass(frozen=True, kw_only=True)
class InsuranceTable(Table):
    """Rates in percent of the wages; who earns no more than `exempt_per_day` pays no share of their own."""

    ceiling: Decimal
    employee: Decimal
    employer: Decimal
    exempt_per_day: Decimal


STATE_INSURANCE = (
    InsuranceTable(
        since=date(2017, 1, 1),
        source="ESI (Central) Rules 1950, rules 50 to 52; ceiling: notification of 22 December 2016",
        ceiling=Decimal(21000), employee=Decimal("1.75"), employer=Decimal("4.75"), exempt_per_day=Decimal(137),
    ),
    InsuranceTable(
        since=date(2019, 7, 1),
        source="ESI (Central) Rules 1950, rules 50 to 52; rates: G.S.R. 423(E) of 13 June 2019",
        ceiling=Decimal(21000), employee=Decimal("0.75"), employer=Decimal("3.25"), exempt_per_day=Decimal(137),
    ),
    InsuranceTable(
        since=date(2019, 9, 6),
        source="ESI (Central) Rules 1950, rules 50 to 52; rates: G.S.R. 423(E) of 2019; exemption of 6 September 2019",
        ceiling=Decimal(21000), employee=Decimal("0.75"), employer=Decimal("3.25"), exempt_per_day=Decimal(176),
    ),
)  # fmt: skip


class StateInsurance(NamedTuple):
    """Contributions of a month in rupees."""

    employee: Decimal
    employer: Decimal


NONE = StateInsurance(ZERO, ZERO)


def period_start(day: date) -> date:
    """The first day of the contribution period of a day."""
    if day.month < 4:
        return date(day.year - 1, 10, 1)
    return date(day.year, 4 if day.month < 10 else 10, 1)


def contributions(wages: Decimal, paid_days: Decimal, rates: tuple[Decimal, ...], day: date) -> StateInsurance:
    """The contributions of a month that ends on `day`, of the wages earned on `paid_days`.

    `rates` are what the person was to earn in a whole month: now, and in the months of the period before.
    """
    table = in_force(STATE_INSURANCE, day)
    if not paid_days or min(rates) > table.ceiling:
        return NONE
    is_exempt = wages / paid_days <= table.exempt_per_day
    return StateInsurance(
        employee=ZERO if is_exempt else up_to_rupee(wages * table.employee / 100),
        employer=up_to_rupee(wages * table.employer / 100),
    )
