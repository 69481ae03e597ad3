"""The tables of what people do in CRM: tasks, activities, notes, tickets; and what they sort and keep things by."""

import uuid
from typing import Any, Literal

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from upstream_services.crm.models import Base
from upstream_services.kit.fields import Count, Moment, Name, Text, code, line
from upstream_services.kit.model import READ_ONLY, Row, by, choice, reference, unique

Colour = code(r"#[0-9a-f]{6}", 7)
Sha256 = code(r"[0-9a-f]{64}", 64)
MediaType = code(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+", 127)


def about(table: str) -> Any:
    """A column that says which record something is about; it goes on saying so when that is deleted."""
    return reference(table, nullable=True, on_delete="keep")


class Task(Row, Base):
    """Something to be done, perhaps by somebody and by some time."""

    __tablename__ = "tasks"
    __feed__ = "task"
    __search__ = ("title", "description")
    __indexes__ = (by("due_at"), by("status", "due_at"), by("owner_id", "due_at"))

    title: Mapped[Name]
    description: Mapped[Text | None]
    status: Mapped[Literal["open", "done"]] = choice("open", info=READ_ONLY)
    priority: Mapped[Literal["low", "normal", "high"]] = choice("normal")
    due_at: Mapped[Moment | None]
    owner_id: Mapped[Name | None]
    completed_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    contact_id: Mapped[uuid.UUID | None] = about("contacts")
    deal_id: Mapped[uuid.UUID | None] = about("deals")


class Activity(Row, Base):
    """What has happened with a contact, a company or a deal."""

    __tablename__ = "activities"
    __feed__ = "activity"
    __search__ = ("subject", "body")
    __indexes__ = (by("happened_at desc"), by("type", "happened_at desc"))

    type: Mapped[Literal["call", "email", "meeting", "message", "visit"]] = choice()
    subject: Mapped[Name]
    body: Mapped[Text | None]
    happened_at: Mapped[Moment]
    minutes: Mapped[Count | None]
    owner_id: Mapped[Name | None]
    contact_id: Mapped[uuid.UUID | None] = about("contacts")
    company_id: Mapped[uuid.UUID | None] = about("companies")
    deal_id: Mapped[uuid.UUID | None] = about("deals")


class Note(Row, Base):
    """Something to remember of a contact, a company, a deal or a lead."""

    __tablename__ = "notes"
    __feed__ = "note"
    __search__ = ("body",)

    body: Mapped[line(5000)]
    is_pinned: Mapped[bool] = mapped_column(default=False)
    contact_id: Mapped[uuid.UUID | None] = about("contacts")
    company_id: Mapped[uuid.UUID | None] = about("companies")
    deal_id: Mapped[uuid.UUID | None] = about("deals")
    lead_id: Mapped[uuid.UUID | None] = about("leads")


class Tag(Row, Base):
    """A word that contacts are sorted by."""

    __tablename__ = "tags"
    __indexes__ = (unique("name"),)

    name: Mapped[line(50)]
    colour: Mapped[Colour] = mapped_column(default="#808080")


class Segment(Row, Base):
    """The contacts that a list with these parameters has, such as {"status": "active", "q": "rao"}."""

    __tablename__ = "segments"
    __indexes__ = (unique("name"),)

    name: Mapped[Name]
    parameters: Mapped[dict[str, str]] = mapped_column(JSONB, default=dict)


class Ticket(Row, Base):
    """What a customer has asked for or complained of."""

    __tablename__ = "tickets"
    __feed__ = "ticket"
    __search__ = ("subject", "description")
    __indexes__ = (by("status", "created_at desc"), by("priority", "created_at desc"))

    subject: Mapped[Name]
    description: Mapped[Text | None]
    status: Mapped[Literal["open", "pending", "solved", "closed"]] = choice("open", info=READ_ONLY)
    priority: Mapped[Literal["low", "normal", "high", "urgent"]] = choice("normal")
    owner_id: Mapped[Name | None]
    solution: Mapped[Text | None] = mapped_column(info=READ_ONLY)
    solved_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    contact_id: Mapped[uuid.UUID | None] = reference("contacts", nullable=True)
    company_id: Mapped[uuid.UUID | None] = reference("companies", nullable=True)


class File(Row, Base):
    """What is known of a file that is kept elsewhere, at `location`."""

    __tablename__ = "files"
    __search__ = ("name",)
    __indexes__ = (by("name"),)

    name: Mapped[Name]
    media_type: Mapped[MediaType]
    size_bytes: Mapped[Count]
    sha256: Mapped[Sha256 | None]
    location: Mapped[line(1000)]
    contact_id: Mapped[uuid.UUID | None] = about("contacts")
    company_id: Mapped[uuid.UUID | None] = about("companies")
    deal_id: Mapped[uuid.UUID | None] = about("deals")
    ticket_id: Mapped[uuid.UUID | None] = about("tickets")
