"""The tables of pay: what was agreed, what the law wants to know of a person, runs and payslips."""

import uuid
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Numeric, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from upstream_services.hr.models import Base
from upstream_services.hr.statutes.professional_tax import State
from upstream_services.kit.fields import MONEY, Moment, Money, Name, Text, code
from upstream_services.kit.model import PRIVATE, READ_ONLY, Row, by, choice, reference, unique

Month = code(r"2[01][0-9]{2}-(0[1-9]|1[0-2])", 7)
ZERO = Decimal("0.00")


class SalaryStructure(Row, Base):
    """What an employee is paid a month, in rupees, from the first of a month on, until a later structure.

    Provident fund is of the basic pay, up to the ceiling of the law unless `pf_on_full_basic`.
    """

    __tablename__ = "salary_structures"
    __indexes__ = (unique("employee_id", "effective_from"), by("effective_from"))

    employee_id: Mapped[uuid.UUID] = reference("employees")
    effective_from: Mapped[date]
    basic: Mapped[Money]
    house_rent_allowance: Mapped[Money] = mapped_column(default=ZERO)
    special_allowance: Mapped[Money] = mapped_column(default=ZERO)
    other_allowance: Mapped[Money] = mapped_column(default=ZERO)
    gross: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)
    has_pf: Mapped[bool] = mapped_column(default=True)
    pf_on_full_basic: Mapped[bool] = mapped_column(default=False)
    notes: Mapped[Text | None]


class PayProfile(Row, Base):
    """What payroll has to know of an employee: identifiers, the account, the regime of income tax, one for each.

    `declared_deductions` of a year (chapter VI-A and the like) lessen the tax of the old regime only. Without a
    `professional_tax_state` no professional tax is taken. `gender` is what the schedule of Maharashtra asks for.
    """

    __tablename__ = "pay_profiles"
    __indexes__ = (unique("employee_id"), unique("pan"), unique("uan"))

    employee_id: Mapped[uuid.UUID] = reference("employees")
    pan: Mapped[code(r"[A-Z]{5}[0-9]{4}[A-Z]", 10) | None]
    uan: Mapped[code(r"[0-9]{12}", 12) | None]
    esi_number: Mapped[code(r"[0-9]{10,17}", 17) | None]
    bank_account: Mapped[code(r"[0-9]{6,18}", 18) | None]
    ifsc: Mapped[code(r"[A-Z]{4}0[A-Z0-9]{6}", 11) | None]
    tax_regime: Mapped[Literal["new", "old"]] = choice("new")
    declared_deductions: Mapped[Money] = mapped_column(default=ZERO)
    professional_tax_state: Mapped[State | None] = choice()
    gender: Mapped[Literal["female", "male", "other"] | None] = choice()


class PayrollRun(Row, Base):
    """The pay of a month, such as "2026-04". `compute` makes its payslips, of what was known at `computed_at`; locked,
    it and they never change again.
    """

    __tablename__ = "payroll_runs"
    __feed__ = "payroll_run"
    __indexes__ = (unique("month"), by("status", "month desc"), by("month desc"))

    month: Mapped[Month]
    pay_date: Mapped[date | None]
    notes: Mapped[Text | None]
    status: Mapped[Literal["draft", "computing", "computed", "approved", "locked"]] = choice("draft", info=READ_ONLY)
    employees: Mapped[int] = mapped_column(default=0, info=READ_ONLY)
    gross: Mapped[Decimal] = mapped_column(MONEY, default=ZERO, info=READ_ONLY)
    deductions: Mapped[Decimal] = mapped_column(MONEY, default=ZERO, info=READ_ONLY)
    net: Mapped[Decimal] = mapped_column(MONEY, default=ZERO, info=READ_ONLY)
    employer_cost: Mapped[Decimal] = mapped_column(MONEY, default=ZERO, info=READ_ONLY)
    computed_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    approved_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    approved_by: Mapped[str | None] = mapped_column(info=READ_ONLY)
    locked_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    computation: Mapped[int] = mapped_column(default=0, info=PRIVATE)  # how often it was computed: the key of the job


class Payslip(Row, Base):
    """What an employee is paid for a month, and how that came about; all amounts in rupees, kept as computed.

    `deductions` are those of the employee: provident fund, state insurance, professional tax, income tax. `tables`
    says which tables of the law were in force.
    """

    __tablename__ = "payslips"
    __indexes__ = (unique("payroll_run_id", "employee_id"), by("month desc"), by("employee_id", "month desc"))

    payroll_run_id: Mapped[uuid.UUID] = reference("payroll_runs")
    employee_id: Mapped[uuid.UUID] = reference("employees")
    month: Mapped[str] = mapped_column(String(7))
    employee_name: Mapped[Name]
    days_in_month: Mapped[int]
    paid_days: Mapped[Decimal] = mapped_column(Numeric(4, 1))
    unpaid_days: Mapped[Decimal] = mapped_column(Numeric(4, 1))
    basic: Mapped[Decimal] = mapped_column(MONEY)
    house_rent_allowance: Mapped[Decimal] = mapped_column(MONEY)
    special_allowance: Mapped[Decimal] = mapped_column(MONEY)
    other_allowance: Mapped[Decimal] = mapped_column(MONEY)
    gross: Mapped[Decimal] = mapped_column(MONEY)
    pf_employee: Mapped[Decimal] = mapped_column(MONEY)
    esi_employee: Mapped[Decimal] = mapped_column(MONEY)
    professional_tax: Mapped[Decimal] = mapped_column(MONEY)
    tds: Mapped[Decimal] = mapped_column(MONEY)
    deductions: Mapped[Decimal] = mapped_column(MONEY)
    net: Mapped[Decimal] = mapped_column(MONEY)
    pf_employer: Mapped[Decimal] = mapped_column(MONEY)
    pension_employer: Mapped[Decimal] = mapped_column(MONEY)
    insurance_employer: Mapped[Decimal] = mapped_column(MONEY)
    pf_charges: Mapped[Decimal] = mapped_column(MONEY)
    esi_employer: Mapped[Decimal] = mapped_column(MONEY)
    employer_cost: Mapped[Decimal] = mapped_column(MONEY)
    tax_regime: Mapped[str] = mapped_column(String(3))
    annual_income: Mapped[Decimal] = mapped_column(MONEY)
    annual_tax: Mapped[Decimal] = mapped_column(MONEY)
    tables: Mapped[dict[str, Any]] = mapped_column(JSONB)
