"""The tables of time: holidays, attendance, and leave with its balances."""

import uuid
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from sqlalchemy import CheckConstraint, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from upstream_services.hr.models import Base, Code
from upstream_services.kit.fields import Moment, Name, Text
from upstream_services.kit.model import READ_ONLY, Row, by, choice, reference, unique

DAYS = Numeric(6, 1)


def _tenths(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.1"))


# Whole and half days; one place always, so that a reply to a write reads as the row will from the database.
Days = Annotated[Decimal, Field(ge=0, le=366, multiple_of=Decimal("0.5")), AfterValidator(_tenths)]


class Holiday(Row, Base):
    """A day on which nobody works at a location, or without one at any. Those that are optional are worked."""

    __tablename__ = "holidays"
    __indexes__ = (by("day"),)

    name: Mapped[Name]
    day: Mapped[date]
    location_id: Mapped[uuid.UUID | None] = reference("locations", nullable=True)
    is_optional: Mapped[bool] = mapped_column(default=False)


class Attendance(Row, Base):
    """A day of an employee. `check-in` and `check-out` write it; it can also be written and corrected by hand.

    `minutes` are those worked, without the shift's break; `is_late` is judged by the shift and the place's own time.
    """

    __tablename__ = "attendance"
    __indexes__ = (unique("employee_id", "day"), by("day desc"))

    employee_id: Mapped[uuid.UUID] = reference("employees")
    day: Mapped[date]
    status: Mapped[Literal["present", "remote", "half_day", "absent"]] = choice("present")
    check_in: Mapped[Moment | None]
    check_out: Mapped[Moment | None]
    minutes: Mapped[int | None] = mapped_column(info=READ_ONLY)
    is_late: Mapped[bool] = mapped_column(default=False, info=READ_ONLY)
    notes: Mapped[Text | None]


class LeaveType(Row, Base):
    """A kind of leave, such as {"name": "Earned leave", "code": "EL", "days_per_year": "18"}.

    Of one that is paid, nobody takes more than their balance of the year, which is `days_per_year` unless
    something else was written; one that is not paid has no balance, and the pay of its days is not paid.
    """

    __tablename__ = "leave_types"
    __indexes__ = (unique("code"),)

    name: Mapped[Name]
    code: Mapped[Code]
    is_paid: Mapped[bool] = mapped_column(default=True)
    days_per_year: Mapped[Days] = mapped_column(DAYS, default=Decimal("0.0"))


class LeaveBalance(Row, Base):
    """What an employee may take of a kind of leave in a year; `used` counts the leave that was approved."""

    __tablename__ = "leave_balances"
    __indexes__ = (unique("employee_id", "leave_type_id", "year"),)

    employee_id: Mapped[uuid.UUID] = reference("employees")
    leave_type_id: Mapped[uuid.UUID] = reference("leave_types")
    year: Mapped[Annotated[int, Field(ge=2000, le=2999)]]
    granted: Mapped[Days] = mapped_column(DAYS, default=Decimal("0.0"))
    used: Mapped[Decimal] = mapped_column(DAYS, default=Decimal("0.0"), info=READ_ONLY)

    @classmethod
    def constraints(cls) -> tuple[Any, ...]:
        """The actions see to it under a lock; the database has the last word."""
        return (CheckConstraint("used >= 0 and used <= granted", name="leave_balances_never_negative"),)


class LeaveRequest(Row, Base):
    """Leave from `first_day` to `last_day`, both included, of one calendar year; or half of one day.

    `days` are the working days of it, by the shift of the employee and the holidays of their location.
    """

    __tablename__ = "leave_requests"
    __feed__ = "leave_request"
    __indexes__ = (by("first_day"), by("status", "first_day"), by("employee_id", "first_day"))

    employee_id: Mapped[uuid.UUID] = reference("employees")
    leave_type_id: Mapped[uuid.UUID] = reference("leave_types")
    first_day: Mapped[date]
    last_day: Mapped[date]
    is_half_day: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[Text | None]
    status: Mapped[Literal["pending", "approved", "rejected", "cancelled"]] = choice("pending", info=READ_ONLY)
    days: Mapped[Decimal] = mapped_column(DAYS, info=READ_ONLY)
    is_paid: Mapped[bool | None] = mapped_column(info=READ_ONLY)  # as its kind was when it was approved
    decided_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    decided_by: Mapped[str | None] = mapped_column(info=READ_ONLY)
    decision_note: Mapped[Text | None] = mapped_column(info=READ_ONLY)
