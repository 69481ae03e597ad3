"""The tables of HR."""

import uuid
from datetime import date
from typing import Literal

from sqlalchemy.orm import DeclarativeBase, Mapped

from upstream_services.kit.fields import Email, Money, Name, code
from upstream_services.kit.model import Row, choice, reference, unique


class Base(DeclarativeBase):
    """The tables of this service."""


class Department(Row, Base):
    """A department, such as {"name": "Engineering", "code": "ENG"}; its code is unique in the tenant."""

    __tablename__ = "departments"
    __indexes__ = (unique("code"),)

    name: Mapped[Name]
    code: Mapped[code(r"[A-Z0-9-]{1,20}", 20)]


class Employee(Row, Base):
    """A person employed in a department. The salary is monthly, in rupees."""

    __tablename__ = "employees"
    __search__ = ("name", "email", "designation")
    __indexes__ = (unique("email"),)

    department_id: Mapped[uuid.UUID] = reference("departments")
    name: Mapped[Name]
    email: Mapped[Email]
    designation: Mapped[Name | None]
    status: Mapped[Literal["active", "on_leave", "left"]] = choice("active")
    joined_on: Mapped[date]
    salary: Mapped[Money]
