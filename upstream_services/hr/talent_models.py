"""The tables of hiring, growth, and what people are lent."""

import uuid
from datetime import date
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.orm import Mapped, mapped_column

from upstream_services.hr.models import Base
from upstream_services.kit.fields import Email, Moment, Name, Phone, Text, Url, line
from upstream_services.kit.model import READ_ONLY, Row, by, choice, reference, unique

Rating = Annotated[int, Field(ge=1, le=5)]


class JobOpening(Row, Base):
    """Places to be filled; `filled` counts those hired for it, and it closes when it has all."""

    __tablename__ = "job_openings"
    __search__ = ("title", "description")
    __indexes__ = (by("status", "created_at desc"),)

    title: Mapped[Name]
    description: Mapped[Text | None]
    department_id: Mapped[uuid.UUID] = reference("departments")
    designation_id: Mapped[uuid.UUID | None] = reference("designations", nullable=True)
    location_id: Mapped[uuid.UUID | None] = reference("locations", nullable=True)
    openings: Mapped[Annotated[int, Field(ge=1, le=1000)]] = mapped_column(default=1)
    status: Mapped[Literal["open", "on_hold", "closed"]] = choice("open")
    filled: Mapped[int] = mapped_column(default=0, info=READ_ONLY)


class Candidate(Row, Base):
    """Somebody who would like to work here; `hire` makes an employee of them, once."""

    __tablename__ = "candidates"
    __feed__ = "candidate"
    __search__ = ("name", "email")
    __indexes__ = (by("stage", "created_at desc"), by("email"))

    job_opening_id: Mapped[uuid.UUID] = reference("job_openings")
    name: Mapped[Name]
    email: Mapped[Email]
    phone: Mapped[Phone | None]
    source: Mapped[Literal["website", "referral", "agency", "job_board", "campus", "other"]] = choice("other")
    stage: Mapped[Literal["applied", "screening", "interview", "offer"]] = choice("applied")
    resume_url: Mapped[Url | None]
    notes: Mapped[Text | None]
    outcome: Mapped[Literal["open", "hired", "rejected"]] = choice("open", info=READ_ONLY)
    outcome_reason: Mapped[Text | None] = mapped_column(info=READ_ONLY)
    decided_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    employee_id: Mapped[uuid.UUID | None] = reference("employees", nullable=True, on_delete="keep", read_only=True)


class Interview(Row, Base):
    """A conversation with a candidate, and what came of it."""

    __tablename__ = "interviews"
    __indexes__ = (by("scheduled_at"), by("status", "scheduled_at"))

    candidate_id: Mapped[uuid.UUID] = reference("candidates")
    interviewer_id: Mapped[uuid.UUID] = reference("employees")
    scheduled_at: Mapped[Moment]
    minutes: Mapped[Annotated[int, Field(ge=5, le=600)]] = mapped_column(default=60)
    mode: Mapped[Literal["video", "phone", "in_person"]] = choice("video")
    status: Mapped[Literal["scheduled", "done", "cancelled"]] = choice("scheduled", info=READ_ONLY)
    rating: Mapped[int | None] = mapped_column(info=READ_ONLY)
    recommendation: Mapped[Literal["hire", "hold", "reject"] | None] = choice(info=READ_ONLY)
    feedback: Mapped[Text | None] = mapped_column(info=READ_ONLY)


class Review(Row, Base):
    """What a reviewer says of an employee's work in a period: a draft, submitted, then acknowledged by the employee."""

    __tablename__ = "reviews"
    __indexes__ = (by("period_end desc"), by("status", "created_at desc"))

    employee_id: Mapped[uuid.UUID] = reference("employees")
    reviewer_id: Mapped[uuid.UUID] = reference("employees")
    period_start: Mapped[date]
    period_end: Mapped[date]
    rating: Mapped[Rating | None]
    summary: Mapped[Text | None]
    status: Mapped[Literal["draft", "submitted", "acknowledged"]] = choice("draft", info=READ_ONLY)
    submitted_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    acknowledged_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)


class Goal(Row, Base):
    """What an employee wants to reach; `progress` in percent."""

    __tablename__ = "goals"
    __indexes__ = (by("due"), by("status", "due"))

    employee_id: Mapped[uuid.UUID] = reference("employees")
    title: Mapped[Name]
    description: Mapped[Text | None]
    due: Mapped[date | None]
    progress: Mapped[Annotated[int, Field(ge=0, le=100)]] = mapped_column(default=0)
    status: Mapped[Literal["open", "done", "dropped"]] = choice("open", info=READ_ONLY)
    closed_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)


class Asset(Row, Base):
    """Something of the business that an employee may be lent, such as a laptop."""

    __tablename__ = "assets"
    __search__ = ("name", "tag", "serial_number")
    __indexes__ = (unique("tag"), by("status", "created_at desc"))

    name: Mapped[Name]
    tag: Mapped[line(50)]
    kind: Mapped[Literal["laptop", "phone", "monitor", "vehicle", "card", "furniture", "other"]] = choice("other")
    serial_number: Mapped[line(100) | None]
    purchased_on: Mapped[date | None]
    notes: Mapped[Text | None]
    status: Mapped[Literal["available", "assigned", "retired"]] = choice("available", info=READ_ONLY)
    employee_id: Mapped[uuid.UUID | None] = reference("employees", nullable=True, read_only=True)
    assigned_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
