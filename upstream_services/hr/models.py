"""The tables of HR: the people, and how the business that employs them is arranged. Their time is in `time_models.py`,
their pay in `pay_models.py`, hiring and growth in `talent_models.py`.
"""

import uuid
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from sqlalchemy import String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from upstream_services.hr.working_days import MONDAY_TO_FRIDAY, WEEKDAYS, is_time_zone
from upstream_services.kit.fields import Count, Email, Money, Name, Phone, Text, code
from upstream_services.kit.jobs.tables import job_tables
from upstream_services.kit.model import PRIVATE, Row, by, choice, reference, unique

Code = code(r"[A-Z0-9-]{1,20}", 20)
Clock = code(r"([01][0-9]|2[0-3]):[0-5][0-9]", 5)  # "09:30", of the place's own time
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _known_zone(name: str) -> str:
    if not is_time_zone(name):
        raise ValueError("must be a time zone, such as Asia/Kolkata")
    return name


def _each_once(days: list[str]) -> list[str]:
    if len(set(days)) != len(days):
        raise ValueError("must name each day once")
    return sorted(days, key=WEEKDAYS.index)


class Base(DeclarativeBase):
    """The tables of this service."""


class Department(Row, Base):
    """A department, such as {"name": "Engineering", "code": "ENG"}; its code is unique in the tenant."""

    __tablename__ = "departments"
    __indexes__ = (unique("code"),)

    name: Mapped[Name]
    code: Mapped[Code]


class Designation(Row, Base):
    """What somebody is called in the business, such as {"name": "Team lead", "level": 3}."""

    __tablename__ = "designations"
    __indexes__ = (unique("name"), by("level"))

    name: Mapped[Name]
    level: Mapped[Count] = mapped_column(default=0)
    description: Mapped[Text | None]


class Location(Row, Base):
    """A place of work; what day it is for those who work there is told by its time zone."""

    __tablename__ = "locations"
    __indexes__ = (unique("code"),)

    name: Mapped[Name]
    code: Mapped[Code]
    address: Mapped[Text | None]
    state: Mapped[Name | None]
    time_zone: Mapped[Annotated[Name, AfterValidator(_known_zone)]] = mapped_column(String(200), default="Asia/Kolkata")


class Shift(Row, Base):
    """The hours of work, such as 09:30 to 18:00 from Monday to Friday; what ends before it starts ends the next day.

    Who comes more than `grace_minutes` after the start is late; `break_minutes` are not worked.
    """

    __tablename__ = "shifts"
    __indexes__ = (unique("name"),)

    name: Mapped[Name]
    starts_at: Mapped[Clock]
    ends_at: Mapped[Clock]
    break_minutes: Mapped[Annotated[int, Field(ge=0, le=480)]] = mapped_column(default=0)
    grace_minutes: Mapped[Annotated[int, Field(ge=0, le=480)]] = mapped_column(default=10)
    working_days: Mapped[Annotated[list[Weekday], Field(min_length=1), AfterValidator(_each_once)]] = mapped_column(
        ARRAY(String(3)), default=lambda: list(MONDAY_TO_FRIDAY)
    )


class Employee(Row, Base):
    """A person employed in a department.

    `salary`, monthly in rupees, may be written here and is shown in no reply: what people are paid is told under
    salary-structures and payslips.
    """

    __tablename__ = "employees"
    __feed__ = "employee"
    __search__ = ("name", "email", "designation")
    __indexes__ = (unique("email"), unique("number"), by("joined_on"), by("status", "created_at desc"))

    department_id: Mapped[uuid.UUID] = reference("departments")
    name: Mapped[Name]
    email: Mapped[Email]
    designation: Mapped[Name | None]
    status: Mapped[Literal["active", "on_leave", "left"]] = choice("active")
    joined_on: Mapped[date]
    salary: Mapped[Money] = mapped_column(info=PRIVATE)
    number: Mapped[code(r"[A-Za-z0-9/-]{1,20}", 20) | None]
    phone: Mapped[Phone | None]
    designation_id: Mapped[uuid.UUID | None] = reference("designations", nullable=True)
    location_id: Mapped[uuid.UUID | None] = reference("locations", nullable=True)
    shift_id: Mapped[uuid.UUID | None] = reference("shifts", nullable=True)
    manager_id: Mapped[uuid.UUID | None] = reference("employees", nullable=True)
    left_on: Mapped[date | None]


Job, JobStep, JobFile = job_tables(Base)
