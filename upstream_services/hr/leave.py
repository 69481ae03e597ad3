"""Leave: kinds, balances, and requests that are approved, rejected and cancelled.

A balance cannot go below nothing however many approve at once: an approval locks the balance's row, and looks, before
it takes from it; the table has the same as a constraint. Locks are taken in one order: request, employee, balance or
payroll runs.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.hr.calendars import calendar_of
from upstream_services.hr.models import Employee
from upstream_services.hr.pay_models import PayrollRun
from upstream_services.hr.resources import lock_employee
from upstream_services.hr.time_models import LeaveBalance, LeaveRequest, LeaveType
from upstream_services.hr.working_days import leave_days
from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.fields import Text
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.validation import Body

# Action -> the states it is taken in, the state it leads to.
STATES: dict[str, tuple[tuple[str, ...], str]] = {
    "approve": (("pending",), "approved"),
    "reject": (("pending",), "rejected"),
    "cancel": (("pending", "approved"), "cancelled"),
}


class DecideIn(Body):
    """A word to the employee."""

    note: Text | None = None


def _may_delete_request(leave: LeaveRequest) -> None:
    if leave.status == "approved":
        raise conflict("it was approved; cancel it first", "illegal_transition")


def _may_delete_balance(balance: LeaveBalance) -> None:
    if balance.used:
        raise conflict("days were taken from it", "in_use")


async def _require_free(session: AsyncSession, leave: LeaveRequest, statuses: tuple[str, ...]) -> None:
    """Raises a 409 problem where the employee has other leave on these days; they are locked."""
    same_days = (LeaveRequest.first_day <= leave.last_day, LeaveRequest.last_day >= leave.first_day)
    others = select(LeaveRequest.id).where(
        LeaveRequest.employee_id == leave.employee_id, LeaveRequest.status.in_(statuses), *same_days
    )
    if leave.id is not None:
        others = others.where(LeaveRequest.id != leave.id)
    if await session.scalar(others.limit(1)) is not None:
        raise conflict("the employee has other leave on these days", "overlaps")


async def _count_days(session: AsyncSession, leave: LeaveRequest, employee: Employee) -> None:
    calendar = await calendar_of(session, employee, leave.first_day, leave.last_day)
    leave.days = leave_days(leave.first_day, leave.last_day, *calendar, is_half=bool(leave.is_half_day))
    if not leave.days:
        raise invalid("first_day", "there is no working day in it")


async def request_rules(session: AsyncSession, leave: LeaveRequest, _values: Mapping[str, Any]) -> None:
    """Of one year, of days that are worked and free, and only while nobody has decided."""
    if (leave.status or "pending") != "pending":
        raise conflict(f"it is {leave.status}; only while it is pending may it be changed", "illegal_transition")
    if leave.last_day < leave.first_day:
        raise invalid("last_day", "is before the first day")
    if leave.last_day.year != leave.first_day.year:
        raise invalid("last_day", "is in another year; ask for each year by itself")
    if leave.is_half_day and leave.first_day != leave.last_day:
        raise invalid("is_half_day", "half a day is of one day")
    employee = await lock_employee(session, leave.employee_id)
    if leave.first_day < employee.joined_on or (employee.left_on is not None and leave.last_day > employee.left_on):
        raise invalid("first_day", "they are not employed on all of these days")
    await _require_free(session, leave, ("pending", "approved"))
    await _count_days(session, leave, employee)


async def balance_rules(_session: AsyncSession, balance: LeaveBalance, _values: Mapping[str, Any]) -> None:
    """No less is granted than was used."""
    if balance.granted < (balance.used or 0):
        raise conflict(f"{balance.used} days of it are used", "balance_used")


leave_types = Resource(name="leave-types", table=LeaveType, filters=("code", "is_paid"))

leave_balances = Resource(
    name="leave-balances",
    table=LeaveBalance,
    filters=("employee_id", "leave_type_id", "year"),
    nested_in=("employee_id",),
    rules=balance_rules,
    may_delete=_may_delete_balance,
)

leave_requests = Resource(
    name="leave-requests",
    table=LeaveRequest,
    filters=("status", "employee_id", "leave_type_id", "first_day", "last_day"),
    sortable=("first_day",),
    nested_in=("employee_id",),
    rules=request_rules,
    may_delete=_may_delete_request,
)


async def lock_balance(session: AsyncSession, leave: LeaveRequest, kind: LeaveType) -> LeaveBalance:
    """The balance that a request takes from, locked; made with what the kind grants a year where there is none yet."""
    now, user = utc_now(), session.info.get("user")
    values = {
        "tenant_id": session.info["tenant"], "id": uuid.uuid4(), "employee_id": leave.employee_id,
        "leave_type_id": kind.id, "year": leave.first_day.year, "granted": kind.days_per_year, "used": 0,
        "created_at": now, "updated_at": now, "created_by": user, "updated_by": user, "version": 1,
    }  # fmt: skip
    made = insert(LeaveBalance.__table__).values(values).on_conflict_do_nothing()  # type: ignore[arg-type]
    await (await session.connection()).execute(made)
    mine = select(LeaveBalance).where(
        LeaveBalance.employee_id == leave.employee_id,
        LeaveBalance.leave_type_id == kind.id,
        LeaveBalance.year == leave.first_day.year,
    )
    return (await session.scalars(mine.with_for_update().execution_options(populate_existing=True))).one()


async def _kind_of(session: AsyncSession, leave: LeaveRequest) -> LeaveType:
    return (await session.scalars(select(LeaveType).where(LeaveType.id == leave.leave_type_id))).one()


async def _require_unlocked(session: AsyncSession, leave: LeaveRequest) -> None:
    """Leave that is not paid changes pay, and the pay of locked months is what it is.

    The runs are held until the end of the transaction: who locks one sees this leave, or this leave sees the lock.
    """
    months = (PayrollRun.month >= f"{leave.first_day:%Y-%m}", PayrollRun.month <= f"{leave.last_day:%Y-%m}")
    found = await session.scalars(select(PayrollRun).where(*months).with_for_update(read=True))
    if any(run.status == "locked" for run in found):
        raise conflict("the payroll of these days is locked", "payroll_locked")


def _decide(session: AsyncSession, leave: LeaveRequest, action: str, note: str | None) -> None:
    allowed, result = STATES[action]
    if leave.status not in allowed:
        raise conflict(f"cannot {action} what is {leave.status}", "illegal_transition")
    leave.status, leave.decided_at, leave.decision_note = result, utc_now(), note
    leave.decided_by = session.info.get("user")


@leave_requests.action("approve", body=DecideIn)
async def approve_leave(session: AsyncSession, leave: LeaveRequest, body: DecideIn) -> None:
    """Approve leave; its days are taken from the balance of the year."""
    _decide(session, leave, "approve", body.note)
    employee = await lock_employee(session, leave.employee_id)
    await _require_free(session, leave, ("approved",))
    await _count_days(session, leave, employee)
    kind = await _kind_of(session, leave)
    leave.is_paid = kind.is_paid
    if not kind.is_paid:
        await _require_unlocked(session, leave)
        return
    balance = await lock_balance(session, leave, kind)
    if balance.used + leave.days > balance.granted:
        left = balance.granted - balance.used
        raise conflict(f"{leave.days} days are more than the {left} that are left", "balance_too_small")
    balance.used, balance.updated_at = balance.used + leave.days, utc_now()


@leave_requests.action("reject", body=DecideIn)
async def reject_leave(session: AsyncSession, leave: LeaveRequest, body: DecideIn) -> None:
    """Reject a request that is pending."""
    _decide(session, leave, "reject", body.note)


@leave_requests.action("cancel", body=DecideIn)
async def cancel_leave(session: AsyncSession, leave: LeaveRequest, body: DecideIn) -> None:
    """Cancel leave that is pending or approved; what was approved goes back to the balance."""
    was_approved = leave.status == "approved"
    _decide(session, leave, "cancel", body.note)
    if not was_approved:
        return
    if not leave.is_paid:
        await _require_unlocked(session, leave)
        return
    balance = await lock_balance(session, leave, await _kind_of(session, leave))
    balance.used, balance.updated_at = balance.used - leave.days, utc_now()
