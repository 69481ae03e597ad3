"""Hazard: pay or a deduction of it is off by a rupee, a table applies on the wrong day, or a month does not add up."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstream_services.hr.pay import (
    COMPONENTS,
    Agreed,
    Person,
    YearSoFar,
    compute,
    employed_days,
    month_bounds,
    prorated,
    split,
)
from upstream_services.hr.pay_reports import LAWS
from upstream_services.hr.statutes import income_tax, professional_tax, provident_fund, state_insurance
from upstream_services.hr.statutes.tables import in_force

D = Decimal
DAY = date(2026, 4, 30)
MONTHS_OF_2025 = [f"2025-{number:02d}" for number in range(4, 13)] + ["2026-01", "2026-02", "2026-03"]
SALARIES = st.decimals(0, 2_000_000, places=2)
PERSON = Person(joined_on=date(2020, 1, 1))
STATES = st.sampled_from([None, *professional_tax.PROFESSIONAL_TAX])
HALVES = st.integers(0, 62).map(lambda number: D(number) / 2)


# ---- tables


def test_each_table_names_its_source_and_they_come_in_order() -> None:
    for tables in LAWS.values():
        assert [one.since for one in tables] == sorted({one.since for one in tables})
        assert all(len(one.source) > 20 for one in tables)


def test_a_table_is_in_force_from_its_day_until_the_next() -> None:
    tables = income_tax.INCOME_TAX["new"]
    assert in_force(tables, date(2025, 3, 31)) is tables[1]
    assert in_force(tables, date(2025, 4, 1)) is tables[2]
    assert in_force(tables, date(2040, 1, 1)) is tables[-1]
    with pytest.raises(LookupError, match="the first is since 2023-04-01"):
        in_force(tables, date(2023, 3, 31))


# ---- provident fund


@pytest.mark.parametrize(
    ("basic", "full", "expected"),
    [
        ("15000.00", False, ("1800.00", "550.00", "1250.00", "75.00", "75.00")),
        ("40000.00", False, ("1800.00", "550.00", "1250.00", "75.00", "75.00")),
        ("40000.00", True, ("4800.00", "3550.00", "1250.00", "75.00", "200.00")),
        ("8000.00", False, ("960.00", "294.00", "666.00", "40.00", "40.00")),
        ("4.00", False, ("0.00", "0.00", "0.00", "0.00", "0.00")),
        ("0.00", False, ("0.00", "0.00", "0.00", "0.00", "0.00")),
    ],
)
def test_known_provident_fund(basic: str, full: bool, expected: tuple[str, ...]) -> None:
    found = provident_fund.contributions(D(basic), DAY, on_full_basic=full)
    assert tuple(map(str, found)) == expected


@given(SALARIES, st.booleans())
def test_the_employer_pays_what_the_employee_pays(basic: Decimal, full: bool) -> None:
    found = provident_fund.contributions(basic, DAY, on_full_basic=full)
    assert found.employer + found.pension == found.employee
    assert all(amount >= 0 and amount == amount.to_integral_value() for amount in found)
    assert found.pension <= 1250
    assert found.insurance <= 75
    assert abs(found.employee - (basic if full else min(basic, D(15000))) * 12 / 100) <= D("0.5")
    assert found.employee <= basic


# ---- state insurance


@pytest.mark.parametrize(
    ("wages", "days", "rates", "day", "expected"),
    [
        ("21000.00", "30", ("21000",), DAY, ("158.00", "683.00")),  # 157.50 and 682.50 go up
        ("21000.01", "30", ("21000.01",), DAY, ("0.00", "0.00")),
        ("25000.00", "30", ("25000", "20000"), DAY, ("188.00", "813.00")),  # was covered when the period began
        ("5280.00", "30", ("5280",), DAY, ("0.00", "172.00")),  # 176 a day: the employer alone
        ("5281.00", "30", ("5281",), DAY, ("40.00", "172.00")),
        ("0.00", "0", ("9000",), DAY, ("0.00", "0.00")),
        ("10000.00", "30", ("10000",), date(2019, 6, 30), ("175.00", "475.00")),
        ("10000.00", "31", ("10000",), date(2019, 7, 31), ("75.00", "325.00")),
    ],
)
def test_known_state_insurance(
    wages: str, days: str, rates: tuple[str, ...], day: date, expected: tuple[str, ...]
) -> None:
    found = state_insurance.contributions(D(wages), D(days), tuple(map(D, rates)), day)
    assert tuple(map(str, found)) == expected


@pytest.mark.parametrize(
    ("day", "start"),
    [("2026-03-31", "2025-10-01"), ("2026-04-01", "2026-04-01"), ("2026-09-30", "2026-04-01"),
     ("2026-10-01", "2026-10-01"), ("2026-12-31", "2026-10-01")],
)  # fmt: skip
def test_contribution_periods(day: str, start: str) -> None:
    assert state_insurance.period_start(date.fromisoformat(day)) == date.fromisoformat(start)


# ---- professional tax


@pytest.mark.parametrize(
    ("state", "earned", "day", "woman", "due"),
    [
        (None, "99999.00", DAY, False, "0.00"),
        ("karnataka", "24999.99", DAY, False, "0.00"),
        ("karnataka", "25000.00", DAY, False, "200.00"),
        ("karnataka", "15000.00", date(2023, 3, 31), False, "200.00"),
        ("karnataka", "25000.00", date(2025, 2, 28), False, "200.00"),
        ("karnataka", "25000.00", date(2026, 2, 28), False, "300.00"),
        ("maharashtra", "7500.00", DAY, False, "0.00"),
        ("maharashtra", "7500.01", DAY, False, "175.00"),
        ("maharashtra", "7500.01", date(2026, 2, 28), False, "175.00"),
        ("maharashtra", "10000.01", date(2026, 2, 28), False, "300.00"),
        ("maharashtra", "25000.00", DAY, True, "0.00"),
        ("maharashtra", "25000.01", date(2026, 2, 28), True, "300.00"),
        ("west_bengal", "15000.00", DAY, False, "110.00"),
        ("west_bengal", "40000.01", DAY, False, "200.00"),
        ("telangana", "20000.00", DAY, True, "150.00"),
    ],
)
def test_known_professional_tax(state: str | None, earned: str, day: date, woman: bool, due: str) -> None:
    assert str(professional_tax.tax_of_month(state, D(earned), day, is_woman=woman)) == due


@given(SALARIES, SALARIES, STATES, st.booleans())
def test_professional_tax_grows_and_is_bounded_by_the_constitution(
    one: Decimal, two: Decimal, state: str | None, woman: bool
) -> None:
    def of_year(earned: Decimal) -> Decimal:
        ends = [month_bounds(month)[1] for month in MONTHS_OF_2025]
        return sum((professional_tax.tax_of_month(state, earned, end, is_woman=woman) for end in ends), D(0))

    assert of_year(min(one, two)) <= of_year(max(one, two)) <= 2500


# ---- income tax


@pytest.mark.parametrize(
    ("taxable", "regime", "day", "tax"),
    [
        ("1200000", "new", date(2025, 4, 30), "0.00"),  # 87A
        ("1210000", "new", date(2025, 4, 30), "10400.00"),  # relief: 10,000 and the cess
        ("1300000", "new", date(2025, 4, 30), "78000.00"),
        ("2400000", "new", date(2025, 4, 30), "312000.00"),
        ("700000", "new", date(2024, 4, 30), "0.00"),
        ("1500000", "new", date(2024, 4, 30), "145600.00"),
        ("1500000", "new", date(2023, 4, 30), "156000.00"),
        ("500000", "old", DAY, "0.00"),
        ("500010", "old", DAY, "13000.00"),  # 12,502 and the cess, 13,002.08, to tens
        ("1000000", "old", DAY, "117000.00"),
        ("5000000", "new", DAY, "1123200.00"),
        ("5100000", "new", DAY, "1227200.00"),  # relief: 100,000 more than at 50 lakh, and the cess
        ("0", "new", DAY, "0.00"),
    ],
)
def test_known_income_tax(taxable: str, regime: str, day: date, tax: str) -> None:
    assert str(income_tax.annual_tax(D(taxable), regime, day)) == tax


YEARS = st.sampled_from([date(2023, 6, 30), date(2024, 6, 30), date(2025, 6, 30), date(2026, 6, 30)])


@given(st.integers(0, 80_000_000), st.integers(1, 2_000_000), st.sampled_from(["new", "old"]), YEARS)
def test_more_income_never_pays_less_tax(income: int, more: int, regime: str, day: date) -> None:
    low = income_tax.annual_tax(D(income), regime, day)
    high = income_tax.annual_tax(D(income + more), regime, day)
    assert 0 <= low <= high
    assert low % 10 == 0


@given(st.integers(0, 80_000_000), st.integers(0, 100_000), YEARS)
def test_who_earns_more_keeps_no_less_beside_the_cess(income: int, more: int, day: date) -> None:
    """What the marginal reliefs are for; the cess is on top of them, and both ends are rounded to tens."""
    rise = income_tax.annual_tax(D(income + more), "new", day) - income_tax.annual_tax(D(income), "new", day)
    assert rise <= D(more) * 104 / 100 + 25


@pytest.mark.parametrize(
    ("day", "until", "months"),
    [("2025-04-30", None, 11), ("2026-03-31", None, 0), ("2025-12-31", None, 3), ("2025-04-30", "2025-06-10", 2),
     ("2025-04-30", "2025-04-10", 0), ("2026-02-28", "2027-01-01", 1)],
)  # fmt: skip
def test_months_that_are_left(day: str, until: str | None, months: int) -> None:
    last = date.fromisoformat(until) if until else None
    assert income_tax.months_left(date.fromisoformat(day), last) == months


# ---- a month of pay


@given(SALARIES)
def test_a_salary_is_split_into_what_adds_up(salary: Decimal) -> None:
    agreed = split(salary)
    assert agreed.gross == salary
    assert min(getattr(agreed, name) for name in COMPONENTS) >= 0


@given(SALARIES, st.integers(1, 30))
def test_the_parts_of_a_month_are_the_month_but_for_the_rounding(amount: Decimal, days: int) -> None:
    halves = prorated(amount, D(days), 31) + prorated(amount, D(31 - days), 31)
    assert abs(halves - amount) <= D("0.01")
    assert prorated(amount, D(31), 31) == amount
    assert prorated(amount, D(0), 31) == 0


AGREED = st.builds(Agreed, SALARIES, SALARIES, SALARIES, SALARIES, st.booleans(), st.booleans())
JOINED = st.dates(date(2025, 1, 1), date(2025, 6, 30))
LEFT = st.none() | st.dates(date(2025, 7, 1), date(2025, 12, 31))


@given(
    AGREED | SALARIES.map(split),
    st.builds(
        Person, joined_on=JOINED, left_on=LEFT, regime=st.sampled_from(["new", "old"]), declared_deductions=SALARIES,
        professional_tax_state=STATES, is_woman=st.booleans(),
    ),
    HALVES,
    st.sampled_from(["2025-05", "2025-06", "2025-07", "2025-12", "2026-02"]),
)  # fmt: skip
def test_a_payslip_adds_up_and_nobody_pays_to_work(agreed: Agreed, person: Person, unpaid: Decimal, month: str) -> None:
    slip = compute(month, agreed, person, unpaid, YearSoFar(), (agreed.gross,))
    assert slip["gross"] == sum(slip[name] for name in COMPONENTS)
    assert slip["deductions"] == sum(slip[n] for n in ("pf_employee", "esi_employee", "professional_tax", "tds"))
    assert slip["gross"] - slip["deductions"] == slip["net"] >= 0
    assert slip["employer_cost"] >= slip["gross"]
    assert all(slip[name] >= 0 for name, value in slip.items() if isinstance(value, Decimal))
    assert 0 <= slip["paid_days"] <= slip["days_in_month"]
    span = employed_days(person.joined_on, person.left_on, month)
    assert slip["paid_days"] + slip["unpaid_days"] == ((span[1] - span[0]).days + 1 if span else 0)
    assert slip["gross"] <= agreed.gross
    if slip["paid_days"] == slip["days_in_month"]:
        assert slip["gross"] == agreed.gross


def a_year(agreed: Agreed, unpaid: dict[str, Decimal], person: Person = PERSON) -> list[dict[str, Any]]:
    """The payslips of a financial year, one after the other."""
    so_far, slips = YearSoFar(), []
    for month in MONTHS_OF_2025:
        slip = compute(month, agreed, person, unpaid.get(month, D(0)), so_far)
        so_far = YearSoFar(*(getattr(so_far, name) + slip[name] for name in YearSoFar._fields))
        slips.append(slip)
    return slips


@given(SALARIES.map(split), st.dictionaries(st.sampled_from(MONTHS_OF_2025[:11]), HALVES, max_size=3))
def test_a_years_deductions_are_the_years_tax(agreed: Agreed, unpaid: dict[str, Decimal]) -> None:
    slips = a_year(agreed, unpaid)
    deducted, paid = sum(slip["tds"] for slip in slips), sum(slip["gross"] for slip in slips)
    owed = income_tax.annual_tax(income_tax.taxable_of(paid, "new", DAY), "new", DAY)
    # What was deducted before somebody earned less is not paid back by the employer but by the assessment.
    assert deducted == owed or (unpaid and deducted > owed) or slips[-1]["net"] == 0
    if not unpaid:
        assert deducted == owed
        assert max(slip["tds"] for slip in slips) - min(slip["tds"] for slip in slips) <= 11  # rounding alone


def test_a_known_year() -> None:
    slips = a_year(split(D("150000.00")), {"2025-06": D(15)})
    # 18 lakh less 75,000 standard deduction: 17,25,000; half of June's pay is lost.
    assert (slips[0]["annual_income"], slips[0]["annual_tax"]) == (D("1800000.00"), D("150800.00"))
    assert [str(slip["tds"]) for slip in slips[:2]] == ["12567.00", "12567.00"]
    assert (slips[2]["gross"], slips[2]["annual_income"]) == (D("75000.00"), D("1725000.00"))
    assert slips[-1]["annual_tax"] == D("135200.00") == sum(slip["tds"] for slip in slips)


def test_the_old_regime_counts_declarations_and_professional_tax() -> None:
    person = Person(
        joined_on=date(2020, 1, 1), regime="old", declared_deductions=D(150_000), professional_tax_state="karnataka"
    )
    slip = compute("2025-04", split(D("100000.00")), person, D(0), YearSoFar())
    # 12,00,000 - 50,000 - 1,50,000 - 2,400: the tax of 9,97,600 with its cess is 1,16,500.80.
    assert (slip["professional_tax"], slip["annual_tax"]) == (D("200.00"), D("116500.00"))
    assert slip["tables"] == {
        "provident_fund": "2018-06-01", "state_insurance": "2019-09-06", "income_tax": "2023-04-01",
        "professional_tax": "2025-04-01",
    }  # fmt: skip


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_a_month_has_its_days(day: date) -> None:
    first, last = month_bounds(f"{day:%Y-%m}")
    assert first <= day <= last
    assert (first.day, (last + timedelta(days=1)).day) == (1, 1)
