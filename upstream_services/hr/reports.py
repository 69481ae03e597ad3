"""The reports of HR about people and their time."""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, Field
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.hr.models import Department, Employee, Location
from upstream_services.hr.pay import month_bounds
from upstream_services.hr.talent_models import Asset, Candidate, Interview, JobOpening
from upstream_services.hr.time_models import Attendance, LeaveRequest
from upstream_services.kit.model import utc_now
from upstream_services.kit.operations import report
from upstream_services.kit.validation import Query

Day = Annotated[date, Field(ge=date(1950, 1, 1), le=date(2150, 12, 31))]
MONTH = r"^2[01][0-9]{2}-(0[1-9]|1[0-2])$"
UNKNOWN = "none"  # of those that are at no department, location, ...


class OnQuery(Query):
    """Which day; today without."""

    on: Day | None = None


class MonthQuery(Query):
    """Which month, such as "2026-04"; this one without."""

    month: str | None = Field(default=None, pattern=MONTH)

    def asked(self) -> str:
        """The month."""
        return self.month or f"{utc_now():%Y-%m}"


class PeriodQuery(Query):
    """From which day to which, both included; without, the twelve months to today."""

    since: Day | None = None
    until: Day | None = None

    def bounds(self) -> tuple[date, date]:
        """Both days."""
        until = self.until or utc_now().date()
        return self.since or until.replace(year=until.year - 1, day=min(until.day, 28)), until


class Count(BaseModel):
    """How many there are of what `name` says."""

    name: str
    count: int


class HeadcountReport(BaseModel):
    """Who is employed on a day."""

    on: date
    total: int
    departments: list[Count]
    locations: list[Count]
    designations: list[Count]


class Attrition(BaseModel):
    """Who came and went; `rate` in percent of the average of those employed at both ends; null where nobody was."""

    name: str
    at_start: int
    joined: int
    left: int
    at_end: int
    rate: float | None


class AttritionReport(BaseModel):
    """Who came and went in a period, in all and by department."""

    since: date
    until: date
    total: Attrition
    departments: list[Attrition]


class AttendanceTotal(BaseModel):
    """The days of one employee in a month."""

    employee_id: str
    name: str
    present: int
    absent: int
    late: int
    minutes: int


class AttendanceReport(BaseModel):
    """The attendance of a month."""

    month: str
    employees: list[AttendanceTotal]


class DashboardStats(BaseModel):
    """The figures of the first page."""

    employees: int
    joined_this_month: int
    left_this_month: int
    on_leave_today: int
    present_today: int
    leave_pending: int
    openings: int
    candidates_open: int
    interviews_coming: int
    assets_assigned: int


def employed_on(day: date) -> Any:
    """The condition of who is employed on a day. Of who has left without a last day it is not known when: never."""
    stays = or_(Employee.left_on >= day, Employee.left_on.is_(None) & (Employee.status != "left"))
    return (Employee.joined_on <= day) & stays


async def _by(session: AsyncSession, day: date, name: Any, table: Any = None, key: Any = None) -> list[Count]:
    statement = select(func.coalesce(name, UNKNOWN), func.count(Employee.id)).select_from(Employee)
    if table is not None:
        statement = statement.outerjoin(table, (table.tenant_id == Employee.tenant_id) & (table.id == key))
    rows = await session.execute(statement.where(employed_on(day)).group_by(name).order_by(name))
    return [Count(name=found, count=count) for found, count in rows]


@report("reports/headcount", query=OnQuery, reply=HeadcountReport)
async def headcount(session: AsyncSession, query: OnQuery) -> HeadcountReport:
    """How many are employed on a day, by department, location and designation."""
    day = query.on or utc_now().date()
    departments = await _by(session, day, Department.name, Department, Employee.department_id)
    return HeadcountReport(
        on=day,
        total=sum(one.count for one in departments),
        departments=departments,
        locations=await _by(session, day, Location.name, Location, Employee.location_id),
        designations=await _by(session, day, Employee.designation),
    )


def attrition_of(name: str, at_start: int, joined: int, left: int) -> Attrition:
    """One line, with what follows from it."""
    at_end = at_start + joined - left
    average = (at_start + at_end) / 2
    rate = round(100 * left / average, 2) if average else None
    return Attrition(name=name, at_start=at_start, joined=joined, left=left, at_end=at_end, rate=rate)


@report("reports/attrition", query=PeriodQuery, reply=AttritionReport)
async def attrition(session: AsyncSession, query: PeriodQuery) -> AttritionReport:
    """Who came and went in a period, and the rate of those who left."""
    since, until = query.bounds()
    is_known = or_(Employee.left_on.is_not(None), Employee.status != "left")
    before = (Employee.joined_on < since) & or_(Employee.left_on.is_(None), Employee.left_on >= since)
    came = (Employee.joined_on >= since) & (Employee.joined_on <= until)
    went = (Employee.left_on >= since) & (Employee.left_on <= until)
    counts = [func.count().filter(condition) for condition in (before, came, went)]
    rows = (
        await session.execute(
            select(Department.name, *counts)
            .select_from(Employee)
            .join(
                Department,
                (Department.tenant_id == Employee.tenant_id) & (Department.id == Employee.department_id),
            )
            .where(is_known)
            .group_by(Department.name)
            .order_by(Department.name)
        )
    ).all()
    total = attrition_of("all", *(sum(row[number] for row in rows) for number in (1, 2, 3)))
    return AttritionReport(since=since, until=until, total=total, departments=[attrition_of(*row) for row in rows])


@report("reports/attendance", query=MonthQuery, reply=AttendanceReport)
async def attendance_report(session: AsyncSession, query: MonthQuery) -> AttendanceReport:
    """The days present, absent and late of each employee in a month."""
    first, last = month_bounds(query.asked())
    is_absent = Attendance.status == "absent"
    rows = await session.execute(
        select(
            Employee.id,
            Employee.name,
            func.count().filter(~is_absent),
            func.count().filter(is_absent),
            func.count().filter(Attendance.is_late),
            func.coalesce(func.sum(Attendance.minutes), 0),
        )
        .join(Employee, (Employee.tenant_id == Attendance.tenant_id) & (Employee.id == Attendance.employee_id))
        .where(Attendance.day >= first, Attendance.day <= last)
        .group_by(Employee.id, Employee.name)
        .order_by(Employee.name, Employee.id)
    )
    names = tuple(AttendanceTotal.model_fields)
    found = [AttendanceTotal(**dict(zip(names, (str(row[0]), *row[1:]), strict=True))) for row in rows]
    return AttendanceReport(month=query.asked(), employees=found)


async def _count(session: AsyncSession, table: Any, *conditions: Any) -> int:
    return int(await session.scalar(select(func.count(table.id)).where(*conditions)) or 0)


@report("dashboard/stats", reply=DashboardStats)
async def dashboard_stats(session: AsyncSession) -> DashboardStats:
    """The figures of the first page."""
    now = utc_now()
    today, (first, last) = now.date(), month_bounds(f"{now:%Y-%m}")
    on_leave = (LeaveRequest.status == "approved", LeaveRequest.first_day <= today, LeaveRequest.last_day >= today)
    places = select(func.coalesce(func.sum(JobOpening.openings - JobOpening.filled), 0))
    return DashboardStats(
        employees=await _count(session, Employee, employed_on(today)),
        joined_this_month=await _count(session, Employee, Employee.joined_on >= first, Employee.joined_on <= last),
        left_this_month=await _count(session, Employee, Employee.left_on >= first, Employee.left_on <= last),
        on_leave_today=await _count(session, LeaveRequest, *on_leave),
        present_today=await _count(session, Attendance, Attendance.day == today, Attendance.status != "absent"),
        leave_pending=await _count(session, LeaveRequest, LeaveRequest.status == "pending"),
        openings=int(await session.scalar(places.where(JobOpening.status == "open")) or 0),
        candidates_open=await _count(session, Candidate, Candidate.outcome == "open"),
        interviews_coming=await _count(
            session, Interview, Interview.status == "scheduled", Interview.scheduled_at >= now
        ),
        assets_assigned=await _count(session, Asset, Asset.status == "assigned"),
    )
