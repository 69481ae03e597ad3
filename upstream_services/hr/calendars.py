"""Which days an employee works, from their shift and the holidays of their location."""

from collections.abc import Iterable
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.hr.models import Employee, Location, Shift
from upstream_services.hr.time_models import Holiday
from upstream_services.hr.working_days import MONDAY_TO_FRIDAY

USUAL_ZONE = "Asia/Kolkata"


class Calendar(NamedTuple):
    """The weekdays and the holidays of one employee."""

    weekdays: tuple[str, ...]
    holidays: frozenset[date]


async def calendars_of(
    session: AsyncSession, employees: Iterable[Employee], first: date, last: date
) -> dict[Any, Calendar]:
    """Id of an employee -> their calendar between two days."""
    found = list(employees)
    shifts = {one.shift_id for one in found if one.shift_id is not None}
    weekdays = {
        row.id: tuple(row.working_days)
        for row in await session.execute(select(Shift.id, Shift.working_days).where(Shift.id.in_(shifts)))
    }
    places = {one.location_id for one in found if one.location_id is not None}
    there = or_(Holiday.location_id.is_(None), Holiday.location_id.in_(places))
    between = (Holiday.day >= first, Holiday.day <= last, Holiday.is_optional.is_(False))
    holidays = (await session.execute(select(Holiday.day, Holiday.location_id).where(there, *between))).all()
    return {
        one.id: Calendar(
            weekdays.get(one.shift_id, MONDAY_TO_FRIDAY),
            frozenset(day for day, place in holidays if place is None or place == one.location_id),
        )
        for one in found
    }


async def calendar_of(session: AsyncSession, employee: Employee, first: date, last: date) -> Calendar:
    """The calendar of one."""
    return (await calendars_of(session, (employee,), first, last))[employee.id]


async def zone_of(session: AsyncSession, employee: Employee) -> str:
    """The time zone that an employee works in."""
    if employee.location_id is None:
        return USUAL_ZONE
    return await session.scalar(select(Location.time_zone).where(Location.id == employee.location_id)) or USUAL_ZONE


async def shift_of(session: AsyncSession, employee: Employee) -> Shift | None:
    """Their shift, if they have one."""
    if employee.shift_id is None:
        return None
    found: Shift | None = await session.scalar(select(Shift).where(Shift.id == employee.shift_id))
    return found
