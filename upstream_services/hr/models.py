"""The tables of HR."""

import uuid
from datetime import date
from decimal import Decimal

from sqlalchemy import ForeignKeyConstraint, Index, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from upstream_services.kit.model import MONEY, Row


class Base(DeclarativeBase):
    """The tables of this service."""


class Department(Row, Base):
    """A department; its code is unique in the tenant."""

    __tablename__ = "departments"

    name: Mapped[str] = mapped_column(String(200))
    code: Mapped[str] = mapped_column(String(20))

    @classmethod
    def constraints(cls) -> tuple[UniqueConstraint, ...]:
        """One code once."""
        return (UniqueConstraint("tenant_id", "code", name="departments_unique_code"),)


class Employee(Row, Base):
    """A person employed in a department. The salary is monthly, in rupees."""

    __tablename__ = "employees"

    department_id: Mapped[uuid.UUID]
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254))
    designation: Mapped[str | None] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(20))
    joined_on: Mapped[date]
    salary: Mapped[Decimal] = mapped_column(MONEY)

    @classmethod
    def constraints(cls) -> tuple[UniqueConstraint | ForeignKeyConstraint | Index, ...]:
        """One address once; a department of the same tenant."""
        return (
            UniqueConstraint("tenant_id", "email", name="employees_unique_email"),
            ForeignKeyConstraint(["tenant_id", "department_id"], ["departments.tenant_id", "departments.id"]),
            Index("employees_of_department", "tenant_id", "department_id", "created_at"),
        )
