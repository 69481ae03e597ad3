"""What HR answers under /hr."""

import uuid
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.hr.models import Base, Department, Employee
from upstream_services.kit.app import Service
from upstream_services.kit.resource import Resource, require_reference
from upstream_services.kit.validation import Body, Email, Money, Name


class DepartmentCreate(Body):
    """A department, such as {"name": "Engineering", "code": "ENG"}."""

    name: Name
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9-]{1,20}$")]


class EmployeeCreate(Body):
    """An employee of an existing department; `salary` is monthly, in rupees."""

    department_id: uuid.UUID
    name: Name
    email: Email
    designation: Name | None = None
    status: Literal["active", "on_leave", "left"] = "active"
    joined_on: date
    salary: Money


async def employee_rules(session: AsyncSession, employee: Employee, values: Mapping[str, Any]) -> None:
    """The department exists in the same tenant."""
    if "department_id" in values:
        await require_reference(session, Department, employee.department_id, "department_id")


departments = Resource(name="departments", table=Department, create=DepartmentCreate, filters=("code",))

employees = Resource(
    name="employees",
    table=Employee,
    create=EmployeeCreate,
    filters=("status", "department_id", "email"),
    parents={"departments": "department_id"},
    rules=employee_rules,
)

SERVICE = Service(name="hr", port=8103, metadata=Base.metadata, resources=(departments, employees))
