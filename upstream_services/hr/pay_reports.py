"""The reports of HR about pay, and the tables of the law that it goes by."""

import uuid
from datetime import date
from decimal import Decimal

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.hr.pay_models import PayrollRun, Payslip
from upstream_services.hr.reports import MonthQuery, OnQuery
from upstream_services.hr.statutes.income_tax import INCOME_TAX
from upstream_services.hr.statutes.professional_tax import PROFESSIONAL_TAX
from upstream_services.hr.statutes.provident_fund import PROVIDENT_FUND
from upstream_services.hr.statutes.state_insurance import STATE_INSURANCE
from upstream_services.hr.statutes.tables import ZERO
from upstream_services.kit.model import utc_now
from upstream_services.kit.operations import report

LAWS = {
    "provident_fund": PROVIDENT_FUND,
    "state_insurance": STATE_INSURANCE,
    **{f"income_tax.{regime}": tables for regime, tables in INCOME_TAX.items()},
    **{f"professional_tax.{state}": tables for state, tables in PROFESSIONAL_TAX.items()},
}


class Amounts(BaseModel):
    """Amounts of a month in rupees."""

    gross: Decimal
    pf_employee: Decimal
    esi_employee: Decimal
    professional_tax: Decimal
    tds: Decimal
    deductions: Decimal
    net: Decimal
    pf_employer: Decimal
    pension_employer: Decimal
    insurance_employer: Decimal
    pf_charges: Decimal
    esi_employer: Decimal
    employer_cost: Decimal


class RegisterLine(Amounts):
    """The pay of one employee."""

    employee_id: uuid.UUID
    name: str
    paid_days: Decimal


class PayrollRegister(BaseModel):
    """The pay of a month, by employee and in all; `status` null where there is no run of it."""

    month: str
    status: str | None
    employees: list[RegisterLine]
    total: Amounts


class LawTable(BaseModel):
    """A table of a law: since when it is in force, and where it is written."""

    law: str
    since: date
    source: str


class StatutoryTables(BaseModel):
    """The tables in force on a day."""

    on: date
    tables: list[LawTable]


@report("reports/payroll-register", query=MonthQuery, reply=PayrollRegister)
async def payroll_register(session: AsyncSession, query: MonthQuery) -> PayrollRegister:
    """What each employee is paid for a month, what is deducted, and the sums that are due to the authorities."""
    month, names = query.asked(), tuple(Amounts.model_fields)
    status = await session.scalar(select(PayrollRun.status).where(PayrollRun.month == month))
    columns = (getattr(Payslip, name) for name in names)
    of_month = select(Payslip.employee_id, Payslip.employee_name, Payslip.paid_days, *columns).where(
        Payslip.month == month
    )
    rows = (await session.execute(of_month.order_by(Payslip.employee_name, Payslip.employee_id))).all()
    lines = [
        RegisterLine(employee_id=row[0], name=row[1], paid_days=row[2], **dict(zip(names, row[3:], strict=True)))
        for row in rows
    ]
    total = Amounts(**{name: sum((getattr(line, name) for line in lines), ZERO) for name in names})
    return PayrollRegister(month=month, status=status, employees=lines, total=total)


@report("reports/statutory-tables", query=OnQuery, reply=StatutoryTables)
async def statutory_tables(_session: AsyncSession, query: OnQuery) -> StatutoryTables:
    """The tables of provident fund, state insurance, professional tax and income tax on a day, with their sources."""
    day = query.on or utc_now().date()
    found = []
    for law, tables in LAWS.items():
        begun = [table for table in tables if table.since <= day]
        if begun:
            newest = max(begun, key=lambda table: table.since)
            found.append(LawTable(law=law, since=newest.since, source=newest.source))
    return StatutoryTables(on=day, tables=found)
