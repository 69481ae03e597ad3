"""Income tax on salaries, and what of it is deducted each month: Income-tax Act 1961, section 192.

A table is of a financial year and regime: slabs, standard deduction (section 16), rebate (87A), surcharge and cess
(the Finance Act of the year). Where a threshold makes more pay into less, its marginal relief is given. Income is
rounded to tens of rupees (288A), and so is the tax (288B).
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from upstream_services.hr.statutes.tables import ZERO, Table, in_force, to_rupee, to_ten_rupees

Regime = Literal["new", "old"]
LAKH = 100_000
CRORE = 100 * LAKH


@dataclass(frozen=True, kw_only=True)
class IncomeTaxTable(Table):
    """`slabs`: (income above, percent), ascending; `surcharges` the same, in percent of the tax.

    Whose income is at most `rebate_limit` is rebated up to `rebate`; `has_rebate_relief` where an income above it pays
    no more tax than it is above it.
    """

    slabs: tuple[tuple[int, int], ...]
    standard_deduction: int
    rebate_limit: int
    rebate: int
    has_rebate_relief: bool
    surcharges: tuple[tuple[int, int], ...]
    cess: int = 4


_SURCHARGES_NEW = ((50 * LAKH, 10), (CRORE, 15), (2 * CRORE, 25))
_SURCHARGES_OLD = (*_SURCHARGES_NEW, (5 * CRORE, 37))

INCOME_TAX: dict[str, tuple[IncomeTaxTable, ...]] = {
    "new": (
        IncomeTaxTable(
            since=date(2023, 4, 1), source="Income-tax Act 1961 s. 115BAC(1A), 87A, 16(ia), by the Finance Act 2023",
            slabs=((3 * LAKH, 5), (6 * LAKH, 10), (9 * LAKH, 15), (12 * LAKH, 20), (15 * LAKH, 30)),
            standard_deduction=50_000, rebate_limit=7 * LAKH, rebate=25_000, has_rebate_relief=True,
            surcharges=_SURCHARGES_NEW,
        ),
        IncomeTaxTable(
            since=date(2024, 4, 1),
            source="Income-tax Act 1961 s. 115BAC(1A), 87A, 16(ia), by the Finance (No. 2) Act 2024",
            slabs=((3 * LAKH, 5), (7 * LAKH, 10), (10 * LAKH, 15), (12 * LAKH, 20), (15 * LAKH, 30)),
            standard_deduction=75_000, rebate_limit=7 * LAKH, rebate=25_000, has_rebate_relief=True,
            surcharges=_SURCHARGES_NEW,
        ),
        IncomeTaxTable(
            since=date(2025, 4, 1), source="Income-tax Act 1961 s. 115BAC(1A), 87A, 16(ia), by the Finance Act 2025",
            slabs=((4 * LAKH, 5), (8 * LAKH, 10), (12 * LAKH, 15), (16 * LAKH, 20), (20 * LAKH, 25), (24 * LAKH, 30)),
            standard_deduction=75_000, rebate_limit=12 * LAKH, rebate=60_000, has_rebate_relief=True,
            surcharges=_SURCHARGES_NEW,
        ),
    ),
    "old": (
        IncomeTaxTable(
            since=date(2023, 4, 1), source="Income-tax Act 1961 s. 87A, 16(ia), first schedule of the Finance Act 2023",
            slabs=((LAKH * 5 // 2, 5), (5 * LAKH, 20), (10 * LAKH, 30)),
            standard_deduction=50_000, rebate_limit=5 * LAKH, rebate=12_500, has_rebate_relief=False,
            surcharges=_SURCHARGES_OLD,
        ),
    ),
}  # fmt: skip


def year_start(day: date) -> date:
    """The first day of the financial year of a day."""
    return date(day.year - (day.month < 4), 4, 1)


def months_left(day: date, until: date | None) -> int:
    """How many months of pay the financial year has after that of `day`, for one who leaves on `until`."""
    end = date(year_start(day).year + 1, 3, 31)
    last = end if until is None else min(until, end)
    return max(0, (last.year - day.year) * 12 + last.month - day.month)


def _by_slabs(income: Decimal, slabs: tuple[tuple[int, int], ...]) -> Decimal:
    tops = [*(Decimal(above) for above, _ in slabs[1:]), None]
    tax = ZERO
    for (above, percent), top in zip(slabs, tops, strict=True):
        part = (income if top is None else min(income, top)) - above
        tax += max(part, ZERO) * percent / 100
    return tax


def _with_surcharge(income: Decimal, table: IncomeTaxTable) -> Decimal:
    """The tax with its surcharge, which takes no more than what the income is above the threshold of the surcharge."""
    tax = _by_slabs(income, table.slabs)
    reached = [(above, percent) for above, percent in table.surcharges if income > above]
    if not reached:
        return tax
    above, percent = reached[-1]
    return min(tax * (100 + percent) / 100, _with_surcharge(Decimal(above), table) + income - above)


def annual_tax(taxable: Decimal, regime: str, day: date) -> Decimal:
    """The tax of the financial year of `day` on a taxable income, with cess, in rupees."""
    table = in_force(INCOME_TAX[regime], day)
    income = to_ten_rupees(max(taxable, ZERO))
    tax = _with_surcharge(income, table)
    if income <= table.rebate_limit:
        tax = max(ZERO, tax - table.rebate)
    elif table.has_rebate_relief:
        tax = min(tax, income - table.rebate_limit)
    return to_ten_rupees(tax * (100 + table.cess) / 100)


def taxable_of(
    annual_gross: Decimal, regime: str, day: date, *, declared: Decimal = ZERO, professional_tax: Decimal = ZERO
) -> Decimal:
    """What of a year's pay is taxed. Declarations and professional tax (16(iii)) count in the old regime only."""
    deducted = Decimal(in_force(INCOME_TAX[regime], day).standard_deduction)
    if regime == "old":
        deducted += declared + professional_tax
    return max(annual_gross - deducted, ZERO)


def deducted_now(annual: Decimal, before: Decimal, months_after: int) -> Decimal:
    """What of a year's tax is deducted this month: what is left of it, in equal parts over the months that are left."""
    return to_rupee(max(annual - before, ZERO) / (months_after + 1))
