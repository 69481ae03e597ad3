"""The pay of one employee for one month: from what was agreed and worked to what is paid. No database, no clock."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from upstream_services.hr.statutes import income_tax, professional_tax, provident_fund, state_insurance
from upstream_services.hr.statutes.tables import ZERO, in_force, to_paisa

COMPONENTS = ("basic", "house_rent_allowance", "special_allowance", "other_allowance")
# How a salary is made up where nothing else was agreed: half basic, and two fifths of that for the rent.
BASIC_SHARE, RENT_SHARE = Decimal("0.5"), Decimal("0.2")


class Agreed(NamedTuple):
    """What a whole month pays, in rupees, and whether provident fund is of it."""

    basic: Decimal
    house_rent_allowance: Decimal
    special_allowance: Decimal
    other_allowance: Decimal
    has_pf: bool = True
    pf_on_full_basic: bool = False

    @property
    def gross(self) -> Decimal:
        """All of it."""
        return self.basic + self.house_rent_allowance + self.special_allowance + self.other_allowance


@dataclass(frozen=True, kw_only=True)
class Person:
    """What the law wants to know of somebody."""

    joined_on: date
    left_on: date | None = None
    regime: str = "new"
    declared_deductions: Decimal = ZERO
    professional_tax_state: str | None = None
    is_woman: bool = False


class YearSoFar(NamedTuple):
    """What was paid in the financial year's months before."""

    gross: Decimal = ZERO
    professional_tax: Decimal = ZERO
    tds: Decimal = ZERO


def split(salary: Decimal) -> Agreed:
    """The usual make-up of a salary, which adds up to it."""
    basic, rent = to_paisa(salary * BASIC_SHARE), to_paisa(salary * RENT_SHARE)
    return Agreed(basic, rent, salary - basic - rent, ZERO)


def month_bounds(month: str) -> tuple[date, date]:
    """The first and the last day of "2026-04"."""
    year, number = map(int, month.split("-"))
    return date(year, number, 1), date(year, number, monthrange(year, number)[1])


def employed_days(joined_on: date, left_on: date | None, month: str) -> tuple[date, date] | None:
    """The first and the last day of the month on which somebody is employed; None where there is none."""
    first, last = month_bounds(month)
    start, end = max(first, joined_on), last if left_on is None else min(last, left_on)
    return (start, end) if start <= end else None


def prorated(amount: Decimal, paid_days: Decimal, days_in_month: int) -> Decimal:
    """The part of a month's amount that is paid, rounded half up."""
    return to_paisa(amount * paid_days / days_in_month)


def compute(
    month: str, agreed: Agreed, person: Person, unpaid_days: Decimal, so_far: YearSoFar, rates: tuple[Decimal, ...] = ()
) -> dict[str, Any]:
    """The columns of a payslip, beside whose it is.

    `rates` are what whole months of the contribution period before this one were to pay. Raises LookupError where a law
    has no table for the month.
    """
    _, last = month_bounds(month)
    span = employed_days(person.joined_on, person.left_on, month)
    employed = Decimal((span[1] - span[0]).days + 1) if span else Decimal(0)
    unpaid = min(unpaid_days, employed)
    paid = employed - unpaid
    earned = {name: prorated(getattr(agreed, name), paid, last.day) for name in COMPONENTS}
    gross = sum(earned.values(), ZERO)

    fund = provident_fund.NONE
    if agreed.has_pf:
        fund = provident_fund.contributions(earned["basic"], last, on_full_basic=agreed.pf_on_full_basic)
    insurance = state_insurance.contributions(gross, paid, (agreed.gross, *rates), last)
    state = person.professional_tax_state
    of_profession = professional_tax.tax_of_month(state, gross, last, is_woman=person.is_woman)
    # Fund and insurance are small parts of the pay and the tax of the profession begins far above itself: only the tax
    # on income, which is of the whole year, can be more than what is left of a month.
    left = gross - fund.employee - insurance.employee

    months_after = income_tax.months_left(last, person.left_on)
    yearly_profession = so_far.professional_tax + of_profession * (months_after + 1)
    annual_income = so_far.gross + gross + agreed.gross * months_after
    taxable = income_tax.taxable_of(
        annual_income, person.regime, last, declared=person.declared_deductions, professional_tax=yearly_profession
    )
    annual = income_tax.annual_tax(taxable, person.regime, last)
    tds = min(income_tax.deducted_now(annual, so_far.tds, months_after), left - of_profession)

    deductions = fund.employee + insurance.employee + of_profession + tds
    employer = fund.employer + fund.pension + fund.insurance + fund.charges + insurance.employer
    return {
        "month": month, "days_in_month": last.day, "paid_days": paid, "unpaid_days": unpaid, **earned, "gross": gross,
        "pf_employee": fund.employee, "esi_employee": insurance.employee, "professional_tax": of_profession,
        "tds": tds, "deductions": deductions, "net": gross - deductions, "pf_employer": fund.employer,
        "pension_employer": fund.pension, "insurance_employer": fund.insurance, "pf_charges": fund.charges,
        "esi_employer": insurance.employer, "employer_cost": gross + employer, "tax_regime": person.regime,
        "annual_income": annual_income, "annual_tax": annual,
        "tables": {name: table.since.isoformat() for name, table in tables_of(last, person.regime, state).items()},
    }  # fmt: skip


def tables_of(day: date, regime: str, state: str | None) -> dict[str, Any]:
    """Name of a law -> its table in force on a day."""
    found: dict[str, Any] = {
        "provident_fund": in_force(provident_fund.PROVIDENT_FUND, day),
        "state_insurance": in_force(state_insurance.STATE_INSURANCE, day),
        "income_tax": in_force(income_tax.INCOME_TAX[regime], day),
    }
    if state is not None:
        found["professional_tax"] = in_force(professional_tax.PROFESSIONAL_TAX[state], day)
    return found
