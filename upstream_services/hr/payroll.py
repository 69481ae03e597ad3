"""Pay: what was agreed, profiles, and runs with their states. How a run is computed is in `payroll_job.py`.

A run goes draft, computing, computed, approved, locked; `reopen` takes one that is not locked back to a draft. Months
of a financial year are locked in their order, because what is deducted of the year's tax depends on what was before.
Payslips have no endpoint that writes them: a locked run has no way back, in one table below.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.hr.models import Employee, Job
from upstream_services.hr.pay import month_bounds
from upstream_services.hr.pay_models import PayProfile, PayrollRun, Payslip, SalaryStructure
from upstream_services.hr.payroll_job import PayrollIn, compute_payroll
from upstream_services.hr.statutes.income_tax import year_start
from upstream_services.hr.time_models import LeaveRequest
from upstream_services.kit.conditional import require_match
from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.jobs.declare import JobOut, enqueue
from upstream_services.kit.model import utc_now
from upstream_services.kit.operations import operation
from upstream_services.kit.requests import load, path_id, transaction
from upstream_services.kit.resource import Resource
from upstream_services.kit.tenancy import WITH_DELETED
from upstream_services.kit.views import json_reply

FIRST_MONTH = "2023-04"  # the tables of income tax begin there

# Action -> the states it is taken in, the state it leads to. Nothing leads out of "locked".
STATES: dict[str, tuple[tuple[str, ...], str]] = {
    "compute": (("draft", "computed"), "computing"),
    "reopen": (("computed", "approved"), "draft"),
    "approve": (("computed",), "approved"),
    "lock": (("approved",), "locked"),
}


def advance(run: PayrollRun, action: str) -> None:
    """Moves a run on. Raises a 409 problem where its state does not allow that."""
    allowed, result = STATES[action]
    if run.status not in allowed:
        raise conflict(f"cannot {action} a run that is {run.status}", "illegal_transition")
    run.status = result


async def structure_rules(_session: AsyncSession, structure: SalaryStructure, _values: Mapping[str, Any]) -> None:
    """Pay changes with a month; the parts are the whole."""
    if structure.effective_from.day != 1:
        raise invalid("effective_from", "pay changes on the first of a month")
    structure.gross = (
        structure.basic + structure.house_rent_allowance + structure.special_allowance + structure.other_allowance
    )


async def require_no_later_locked(session: AsyncSession, run: PayrollRun) -> None:
    """Raises a 409 problem where a later month is locked: its tax was computed without this one."""
    later = select(PayrollRun.month).where(PayrollRun.status == "locked", PayrollRun.month > run.month).limit(1)
    if (month := await session.scalar(later)) is not None:
        raise conflict(f"the payroll of {month} is locked", "payroll_locked")


async def run_rules(session: AsyncSession, run: PayrollRun, values: Mapping[str, Any]) -> None:
    """What was approved stays, and the month of what was computed; no month comes before one that is locked."""
    status = run.status or "draft"
    if status in ("approved", "locked"):
        raise conflict(f"the run is {status}", "illegal_transition")
    if "month" not in values:
        return
    if status != "draft":
        raise conflict(f"the run is {status}; its month stays", "illegal_transition")
    if run.month < FIRST_MONTH:
        raise invalid("month", f"the tables of the law begin with {FIRST_MONTH}")
    await require_no_later_locked(session, run)


def _may_delete_run(run: PayrollRun) -> None:
    if run.status != "draft":
        raise conflict(f"the run is {run.status}", "illegal_transition")


salary_structures = Resource(
    name="salary-structures",
    table=SalaryStructure,
    filters=("employee_id", "effective_from", "gross"),
    sortable=("effective_from",),
    nested_in=("employee_id",),
    rules=structure_rules,
)

pay_profiles = Resource(
    name="pay-profiles",
    table=PayProfile,
    filters=("employee_id", "pan", "uan", "tax_regime", "professional_tax_state"),
)

payroll_runs = Resource(
    name="payroll-runs",
    table=PayrollRun,
    filters=("month", "status"),
    sortable=("month",),
    rules=run_rules,
    may_delete=_may_delete_run,
)

payslips = Resource(
    name="payslips",
    table=Payslip,
    filters=("payroll_run_id", "employee_id", "month"),
    sortable=("month",),
    nested_in=("payroll_run_id", "employee_id"),
    read_only=True,
)


async def require_earlier_locked(session: AsyncSession, run: PayrollRun) -> None:
    """Raises a 409 problem where an earlier run of the financial year is not locked."""
    first = f"{year_start(month_bounds(run.month)[0]):%Y-%m}"
    is_open = (PayrollRun.month >= first, PayrollRun.month < run.month, PayrollRun.status != "locked")
    earlier = select(PayrollRun.month).where(*is_open).order_by(PayrollRun.month).limit(1)
    if (month := await session.scalar(earlier)) is not None:
        raise conflict(f"the payroll of {month} is not locked yet", "earlier_run_open")


async def require_fresh(session: AsyncSession, run: PayrollRun) -> None:
    """Raises a 409 problem where something that its payslips are made of was changed since they were computed."""
    first, last = month_bounds(run.month)
    touches = (LeaveRequest.is_paid.is_(False), LeaveRequest.first_day <= last, LeaveRequest.last_day >= first)
    for what, changed in (
        ("employees", select(Employee.id).where(Employee.updated_at > run.computed_at)),
        ("salary structures", select(SalaryStructure.id).where(SalaryStructure.updated_at > run.computed_at)),
        ("pay profiles", select(PayProfile.id).where(PayProfile.updated_at > run.computed_at)),
        ("unpaid leave", select(LeaveRequest.id).where(LeaveRequest.decided_at > run.computed_at, *touches)),
    ):
        if await session.scalar(changed.limit(1).execution_options(**WITH_DELETED)) is not None:
            raise conflict(f"{what} changed since it was computed: reopen it and compute it again", "out_of_date")


def _job_key(run: PayrollRun) -> str:
    return f"{run.id}-{run.computation}"


@operation("POST", "payroll-runs/{id}/compute", status=202, reply=JobOut)
async def compute_run(request: web.Request) -> web.Response:
    """Compute the payslips of a run by a job; asked again while it runs, the same job."""
    async with transaction(request) as session:
        run = await load(session, payroll_runs, path_id(request, payroll_runs.noun), lock=True)
        require_match(request, run)
        if run.status != "computing":
            advance(run, "compute")
            await require_earlier_locked(session, run)
            await require_no_later_locked(session, run)
            run.computation, run.updated_at = run.computation + 1, utc_now()
            await session.flush()
            await enqueue(session, compute_payroll, PayrollIn(run_id=run.id), key=_job_key(run))
        # Only read where there is one: to write it once more would wait for the job's last step, which waits for our
        # lock of the run.
        is_mine = (Job.name == compute_payroll.name, Job.key == _job_key(run))
        job_id, state = (await session.execute(select(Job.id, Job.state).where(*is_mine))).one()
    told = JobOut(id=job_id, name=compute_payroll.name, state=state)
    return json_reply(told, status=202, headers={"Location": f"/hr/jobs/{job_id}"})


@payroll_runs.action("approve")
async def approve_run(session: AsyncSession, run: PayrollRun) -> None:
    """Approve what was computed."""
    advance(run, "approve")
    await require_fresh(session, run)
    run.approved_at, run.approved_by = utc_now(), session.info.get("user")


@payroll_runs.action("lock")
async def lock_run(session: AsyncSession, run: PayrollRun) -> None:
    """Lock what was approved: neither the run nor its payslips change again."""
    advance(run, "lock")
    await require_earlier_locked(session, run)
    await require_fresh(session, run)
    run.locked_at = utc_now()


@payroll_runs.action("reopen")
async def reopen_run(session: AsyncSession, run: PayrollRun) -> None:
    """Make a draft again of a run that is not locked; its payslips are gone."""
    advance(run, "reopen")
    await session.execute(delete(Payslip).where(Payslip.payroll_run_id == run.id))
    run.employees, run.computed_at, run.approved_at, run.approved_by = 0, None, None, None
    run.gross = run.deductions = run.net = run.employer_cost = run.gross * 0
