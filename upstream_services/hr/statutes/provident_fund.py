"""Provident fund, pension and deposit-linked insurance: what employee and employer pay of the basic pay.

Employees' Provident Funds and Miscellaneous Provisions Act 1952 with its three schemes. Contributions are of whole
rupees (EPF Scheme 1952, paragraph 38 and the form of the monthly return). The least administrative charge of an
establishment (500 rupees a month) is of its return, not of anybody's pay, and so not here.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from upstream_services.hr.statutes.tables import ZERO, Table, in_force, to_rupee


@dataclass(frozen=True, kw_only=True)
class ProvidentFundTable(Table):
    """Rates in percent of the wage; `ceiling`, of a month, bounds it."""

    ceiling: Decimal
    employee: Decimal
    employer: Decimal  # of which the pension is taken
    pension: Decimal  # always of the wage up to the ceiling
    insurance: Decimal  # the same
    charges: Decimal


PROVIDENT_FUND = (
    ProvidentFundTable(
        since=date(2017, 4, 1),
        source="EPF Act 1952 s. 6; ceiling: G.S.R. 608(E) to 610(E) of 22 August 2014; charges: of 2017",
        ceiling=Decimal(15000), employee=Decimal(12), employer=Decimal(12), pension=Decimal("8.33"),
        insurance=Decimal("0.5"), charges=Decimal("0.65"),
    ),
    ProvidentFundTable(
        since=date(2018, 6, 1),
        source="EPF Act 1952 s. 6; ceiling: G.S.R. 608(E) to 610(E) of 22 August 2014; charges: of 21 May 2018",
        ceiling=Decimal(15000), employee=Decimal(12), employer=Decimal(12), pension=Decimal("8.33"),
        insurance=Decimal("0.5"), charges=Decimal("0.5"),
    ),
)  # fmt: skip


class ProvidentFund(NamedTuple):
    """Contributions of a month in rupees; `employer` is without the pension, which is `pension`."""

    employee: Decimal
    employer: Decimal
    pension: Decimal
    insurance: Decimal
    charges: Decimal


NONE = ProvidentFund(ZERO, ZERO, ZERO, ZERO, ZERO)


def contributions(basic: Decimal, day: date, *, on_full_basic: bool) -> ProvidentFund:
    """The contributions of a month that ends on `day`, of the basic pay that was earned in it.

    The employer's share is as large as the employee's, and what the pension takes of it is not rounded twice.
    """
    table = in_force(PROVIDENT_FUND, day)
    bounded = min(basic, table.ceiling)
    wage = basic if on_full_basic else bounded
    whole = to_rupee(wage * table.employer / 100)
    pension = min(to_rupee(bounded * table.pension / 100), whole)
    return ProvidentFund(
        employee=to_rupee(wage * table.employee / 100),
        employer=whole - pension,
        pension=pension,
        insurance=to_rupee(bounded * table.insurance / 100),
        charges=to_rupee(wage * table.charges / 100),
    )
