"""Attendance: who came when. `check-in` and `check-out` write a day; it can also be written by hand."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from pydantic import AwareDatetime
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.hr.calendars import shift_of, zone_of
from upstream_services.hr.models import Employee
from upstream_services.hr.resources import lock_employee
from upstream_services.hr.time_models import Attendance, Holiday
from upstream_services.hr.working_days import is_late, local, minutes_worked
from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.fields import Text
from upstream_services.kit.model import utc_now
from upstream_services.kit.operations import operation
from upstream_services.kit.requests import row_reply, transaction
from upstream_services.kit.resource import Resource
from upstream_services.kit.validation import Body

DAY_MAX = timedelta(hours=24)  # of one attendance; who has not checked out by then has forgotten to
BACK_MAX = timedelta(days=7)  # how late a check-in or check-out may be told


class CheckIn(Body):
    """Who comes, and when: now, unless `at` tells of a moment of the last seven days."""

    employee_id: uuid.UUID
    at: AwareDatetime | None = None
    is_remote: bool = False
    notes: Text | None = None


class CheckOut(Body):
    """Who goes, and when."""

    employee_id: uuid.UUID
    at: AwareDatetime | None = None


async def _complete(session: AsyncSession, row: Attendance, employee: Employee) -> None:
    """Sets what follows from the times."""
    shift = await shift_of(session, employee)
    row.minutes = None
    if row.check_in is not None and row.check_out is not None:
        row.minutes = minutes_worked(row.check_in, row.check_out, shift.break_minutes if shift else 0)
    row.is_late = False
    if row.check_in is not None and shift is not None:
        came = local(row.check_in, await zone_of(session, employee))
        row.is_late = is_late(came, shift.starts_at, shift.grace_minutes)


async def attendance_rules(session: AsyncSession, row: Attendance, _values: Mapping[str, Any]) -> None:
    """Times in their order, and none for who was absent."""
    if row.check_out is not None:
        if row.check_in is None:
            raise invalid("check_in", "who went has come")
        if not timedelta(0) <= row.check_out - row.check_in <= DAY_MAX:
            raise invalid("check_out", "is not within a day after the check-in")
    if row.status == "absent" and row.check_in is not None:
        raise invalid("status", "who has come is not absent")
    await _complete(session, row, await lock_employee(session, row.employee_id))


attendance = Resource(
    name="attendance",
    table=Attendance,
    filters=("employee_id", "day", "status", "is_late"),
    sortable=("day",),
    nested_in=("employee_id",),
    rules=attendance_rules,
)

holidays = Resource(
    name="holidays",
    table=Holiday,
    filters=("day", "location_id", "is_optional"),
    sortable=("day",),
    nested_in=("location_id",),
)


def _moment(given: datetime | None) -> datetime:
    now = utc_now()
    if given is None:
        return now
    if given > now:
        raise invalid("at", "is in the future")
    if given < now - BACK_MAX:
        raise invalid("at", "is too long ago; write the attendance by hand")
    return given.astimezone(now.tzinfo)


@operation("POST", "attendance/check-in", body=CheckIn, status=201, reply=attendance.shape)
async def check_in(request: web.Request, body: CheckIn) -> web.Response:
    """Say that an employee has come: one attendance a day."""
    at = _moment(body.at)
    async with transaction(request) as session:
        employee = await lock_employee(session, body.employee_id)
        if employee.status == "left":
            raise conflict("they have left", "illegal_transition")
        day = local(at, await zone_of(session, employee)).date()
        same = select(Attendance).where(Attendance.employee_id == employee.id, Attendance.day == day)
        row = await session.scalar(same)
        if row is not None:
            raise conflict(f"there is an attendance of {day}: {row.status}", "checked_in")
        status = "remote" if body.is_remote else "present"
        row = Attendance(employee_id=employee.id, day=day, check_in=at, status=status, notes=body.notes)
        await _complete(session, row, employee)
        session.add(row)
        await session.flush()
    reply = row_reply(attendance, row, status=201)
    reply.headers["Location"] = f"/hr/attendance/{row.id}"
    return reply


@operation("POST", "attendance/check-out", body=CheckOut, reply=attendance.shape)
async def check_out(request: web.Request, body: CheckOut) -> web.Response:
    """Say that an employee goes; it ends the attendance that is open."""
    at = _moment(body.at)
    async with transaction(request) as session:
        employee = await lock_employee(session, body.employee_id)
        is_open = (Attendance.check_out.is_(None), Attendance.check_in.is_not(None))
        recent = (Attendance.check_in <= at, Attendance.check_in >= at - DAY_MAX)
        newest = select(Attendance).where(Attendance.employee_id == employee.id, *is_open, *recent)
        row = await session.scalar(newest.order_by(Attendance.check_in.desc()).limit(1).with_for_update())
        if row is None:
            raise conflict("they have not checked in, or have checked out", "not_checked_in")
        row.check_out, row.updated_at = at, utc_now()
        await _complete(session, row, employee)
        await session.flush()
    return row_reply(attendance, row)
