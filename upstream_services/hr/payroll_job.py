"""The job that computes a run: first who is paid, then their payslips in batches, then the sums.

Each of these is a step that no further attempt repeats, so whatever dies in between, everybody has one payslip.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.hr.calendars import calendars_of
from upstream_services.hr.models import Employee
from upstream_services.hr.pay import Agreed, Person, YearSoFar, compute, employed_days, month_bounds, split
from upstream_services.hr.pay_models import PayProfile, PayrollRun, Payslip, SalaryStructure
from upstream_services.hr.statutes.income_tax import year_start
from upstream_services.hr.statutes.state_insurance import period_start
from upstream_services.hr.statutes.tables import ZERO
from upstream_services.hr.time_models import LeaveRequest
from upstream_services.hr.working_days import leave_days
from upstream_services.kit.jobs.declare import job
from upstream_services.kit.jobs.run import Run
from upstream_services.kit.model import utc_now
from upstream_services.kit.validation import Body

BATCH = 100  # payslips of one transaction
BEGIN, END = "begin", "end"


class PayrollIn(Body):
    """The run."""

    run_id: uuid.UUID


@job("payroll.compute", input=PayrollIn)
async def compute_payroll(run: Run, given: PayrollIn) -> dict[str, Any]:
    """Computes the payslips of a run."""
    async with run.once(BEGIN) as session:
        if session is not None:
            payroll_run = await _run_of(session, given, lock=True)
            payroll_run.computed_at = payroll_run.updated_at = utc_now()
            await session.execute(delete(Payslip).where(Payslip.payroll_run_id == given.run_id))
            ids = await _who_is_paid(session, payroll_run.month)
            await run.note(session, BEGIN, [str(one) for one in ids])
    ids = [uuid.UUID(one) for one in await run.noted(BEGIN)]
    for start in range(0, len(ids), BATCH):
        async with run.once(f"batch-{start}") as session:
            if session is not None:
                session.add_all(await _payslips_of(session, await _run_of(session, given), ids[start : start + BATCH]))
        await run.progress(min(start + BATCH, len(ids)), len(ids))
    async with run.once(END) as session:
        if session is not None:
            await _add_up(session, await _run_of(session, given, lock=True))
    return {"payroll_run_id": str(given.run_id), "payslips": len(ids)}


async def _run_of(session: AsyncSession, given: PayrollIn, *, lock: bool = False) -> PayrollRun:
    found = select(PayrollRun).where(PayrollRun.id == given.run_id, PayrollRun.status == "computing")
    return (await session.scalars(found.with_for_update() if lock else found)).one()


async def _who_is_paid(session: AsyncSession, month: str) -> Sequence[uuid.UUID]:
    """Who is employed on a day of the month. Who has left without a last day is known to be gone, not since when."""
    first, last = month_bounds(month)
    stays = or_(Employee.left_on >= first, Employee.left_on.is_(None) & (Employee.status != "left"))
    return (
        await session.scalars(select(Employee.id).where(Employee.joined_on <= last, stays).order_by(Employee.id))
    ).all()


async def _payslips_of(session: AsyncSession, run: PayrollRun, ids: Sequence[uuid.UUID]) -> list[Payslip]:
    first, last = month_bounds(run.month)
    employees = (await session.scalars(select(Employee).where(Employee.id.in_(ids)))).all()
    structures = await _structures(session, ids, first)
    profiles = {
        row.employee_id: row for row in await session.scalars(select(PayProfile).where(PayProfile.employee_id.in_(ids)))
    }
    unpaid, so_far = await _unpaid_days(session, employees, run.month), await _so_far(session, ids, run.month)
    made = []
    for employee in employees:
        profile, mine = profiles.get(employee.id), structures[employee.id]
        agreed = _in_force(mine, first) or split(employee.salary)
        rates = [_in_force(mine, period_start(last)) or split(employee.salary)]
        rates += [_agreed(one) for one in mine if one.effective_from > period_start(last)]
        person = Person(
            joined_on=employee.joined_on,
            left_on=employee.left_on,
            regime=profile.tax_regime if profile else "new",
            declared_deductions=profile.declared_deductions if profile else ZERO,
            professional_tax_state=profile.professional_tax_state if profile else None,
            is_woman=profile is not None and profile.gender == "female",
        )
        columns = compute(
            run.month, agreed, person, unpaid[employee.id], so_far.get(employee.id, YearSoFar()),
            tuple(rate.gross for rate in rates),
        )  # fmt: skip
        made.append(Payslip(payroll_run_id=run.id, employee_id=employee.id, employee_name=employee.name, **columns))
    return made


def _agreed(structure: SalaryStructure) -> Agreed:
    return Agreed(*(getattr(structure, name) for name in Agreed._fields))


def _in_force(structures: Sequence[SalaryStructure], day: date) -> Agreed | None:
    """What is agreed on a day, of structures in the order of their days."""
    found = [one for one in structures if one.effective_from <= day]
    return _agreed(found[-1]) if found else None


async def _structures(
    session: AsyncSession, ids: Sequence[uuid.UUID], until: date
) -> dict[uuid.UUID, list[SalaryStructure]]:
    statement = select(SalaryStructure).where(
        SalaryStructure.employee_id.in_(ids), SalaryStructure.effective_from <= until
    )
    found: dict[uuid.UUID, list[SalaryStructure]] = defaultdict(list)
    for row in await session.scalars(statement.order_by(SalaryStructure.effective_from)):
        found[row.employee_id].append(row)
    return found


async def _unpaid_days(session: AsyncSession, employees: Sequence[Employee], month: str) -> dict[uuid.UUID, Decimal]:
    """The days of the month that approved leave which is not paid takes, of each."""
    first, last = month_bounds(month)
    by_id = {one.id: one for one in employees}
    calendars = await calendars_of(session, employees, first, last)
    is_taken = (LeaveRequest.status == "approved", LeaveRequest.is_paid.is_(False))
    in_month = (LeaveRequest.first_day <= last, LeaveRequest.last_day >= first)
    leaves = select(LeaveRequest).where(LeaveRequest.employee_id.in_(by_id), *is_taken, *in_month)
    found: dict[uuid.UUID, Decimal] = defaultdict(Decimal)
    for leave in await session.scalars(leaves):
        employee = by_id[leave.employee_id]
        span = employed_days(employee.joined_on, employee.left_on, month)
        if span is not None:
            start, end = max(span[0], leave.first_day), min(span[1], leave.last_day)
            found[employee.id] += leave_days(start, end, *calendars[employee.id], is_half=leave.is_half_day)
    return found


async def _so_far(session: AsyncSession, ids: Sequence[uuid.UUID], month: str) -> dict[uuid.UUID, YearSoFar]:
    """What the earlier months of the financial year paid; their runs are locked."""
    first = f"{year_start(month_bounds(month)[0]):%Y-%m}"
    sums = (func.sum(Payslip.gross), func.sum(Payslip.professional_tax), func.sum(Payslip.tds))
    earlier = (Payslip.month >= first, Payslip.month < month, Payslip.employee_id.in_(ids))
    rows = await session.execute(select(Payslip.employee_id, *sums).where(*earlier).group_by(Payslip.employee_id))
    return {employee_id: YearSoFar(*amounts) for employee_id, *amounts in rows}


async def _add_up(session: AsyncSession, run: PayrollRun) -> None:
    sums = (func.sum(getattr(Payslip, name)) for name in ("gross", "deductions", "net", "employer_cost"))
    row = (await session.execute(select(func.count(), *sums).where(Payslip.payroll_run_id == run.id))).one()
    run.employees = row[0]
    run.gross, run.deductions, run.net, run.employer_cost = (amount or ZERO for amount in row[1:])
    run.status, run.updated_at = "computed", utc_now()
