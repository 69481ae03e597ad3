"""The resources about people and how the business is arranged, and their rules."""

import uuid
from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.hr.models import Department, Designation, Employee, Location, Shift
from upstream_services.hr.talent_models import Asset
from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.fields import Money
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.shapes import body_of
from upstream_services.kit.validation import Body

MANAGERS_MAX = 50  # how high a business may be


class EmployeeCreate(body_of(Employee)):  # type: ignore[misc]
    """A person to be employed. The salary, monthly in rupees, is taken here and shown in no reply."""

    salary: Money


class OffboardIn(Body):
    """Their last day; today without."""

    left_on: date | None = None


async def _require_no_circle(session: AsyncSession, employee: Employee) -> None:
    above = employee.manager_id
    for _ in range(MANAGERS_MAX):
        if above is None:
            return
        if above == employee.id:
            raise invalid("manager_id", "would be under this employee")
        above = await session.scalar(select(Employee.manager_id).where(Employee.id == above))
    raise invalid("manager_id", f"would be under more than {MANAGERS_MAX} managers")


async def employee_rules(session: AsyncSession, employee: Employee, values: Mapping[str, Any]) -> None:
    """Days in their order; nobody is under themselves; who has left has a last day."""
    if values.get("manager_id") is not None and employee.id is not None:
        await _require_no_circle(session, employee)
    if values.get("status") == "left" and employee.left_on is None:
        employee.left_on = max(utc_now().date(), employee.joined_on)
    if employee.left_on is not None and employee.left_on < employee.joined_on:
        raise invalid("left_on", "is before the day of joining")


departments = Resource(name="departments", table=Department, filters=("code",))

designations = Resource(name="designations", table=Designation, filters=("name", "level"), sortable=("level",))

locations = Resource(name="locations", table=Location, filters=("code", "state"))

shifts = Resource(name="shifts", table=Shift, filters=("name",))

employees = Resource(
    name="employees",
    table=Employee,
    create=EmployeeCreate,
    filters=(
        *("status", "department_id", "email", "number", "designation_id", "location_id", "shift_id", "manager_id"),
        *("joined_on", "left_on"),
    ),
    sortable=("joined_on",),
    nested_in=("department_id", "designation_id", "location_id", "shift_id", "manager_id"),
    rules=employee_rules,
)


async def lock_employee(session: AsyncSession, employee_id: uuid.UUID) -> Employee:
    """The employee, whose time is written by nobody else until the end of the transaction. Raises a 422 problem.

    The lock lets others refer to the row, and is not one that reads of it wait for.
    """
    mine = select(Employee).where(Employee.id == employee_id).with_for_update(key_share=True)
    found = await session.scalar(mine.execution_options(populate_existing=True))
    if found is None:
        raise invalid("employee_id", "there is no such employee")
    return found


@employees.action("offboard", body=OffboardIn)
async def offboard(session: AsyncSession, employee: Employee, body: OffboardIn) -> None:
    """Say when an employee leaves; what they were lent comes back first."""
    if employee.status == "left":
        raise conflict("they have left", "illegal_transition")
    if await session.scalar(select(Asset.id).where(Asset.employee_id == employee.id).limit(1)) is not None:
        raise conflict("they hold assets; these are returned first", "holds_assets")
    employee.status, employee.left_on = "left", body.left_on or max(utc_now().date(), employee.joined_on)
    if employee.left_on < employee.joined_on:
        raise invalid("left_on", "is before the day of joining")
