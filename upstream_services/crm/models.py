"""The tables of CRM: whom the tenant deals with, and the sales in the making. Their work is in `work_models.py`, what
comes of it in `sales_models.py`.
"""

import uuid
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from upstream_services.kit.fields import Count, Currency, Email, Moment, Money, Name, Percent, Phone, Text, Url, code
from upstream_services.kit.jobs.tables import job_tables
from upstream_services.kit.model import PRIVATE, READ_ONLY, Row, by, choice, reference, unique

# Of a business registered for GST: its state, PAN, entity number, Z, check digit.
Gstin = code(r"[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][1-9A-Z]Z[0-9A-Z]", 15)


class Base(DeclarativeBase):
    """The tables of this service."""


class Company(Row, Base):
    """A business that contacts work for and deals are made with."""

    __tablename__ = "companies"
    __feed__ = "company"
    __search__ = ("name", "website")
    __indexes__ = (by("name"),)

    name: Mapped[Name]
    website: Mapped[Url | None]
    industry: Mapped[Name | None]
    phone: Mapped[Phone | None]
    address: Mapped[Text | None]
    gstin: Mapped[Gstin | None]
    owner_id: Mapped[Name | None]


class Contact(Row, Base):
    """A person the tenant does business with, or hopes to, such as {"name": "Asha Rao", "email": "asha@x.example"}."""

    __tablename__ = "contacts"
    __feed__ = "contact"
    __search__ = ("name", "email")
    __covering__ = ("name", "email", "phone")
    __indexes__ = (
        by("status", "created_at desc"), by("name"), by("email"),
        by("company", "created_at desc"), by("owner_id", "created_at desc"),
    )  # fmt: skip

    name: Mapped[Name]
    email: Mapped[Email | None]
    phone: Mapped[Phone | None]
    status: Mapped[Literal["lead", "active", "inactive"]] = choice("lead")
    company: Mapped[Name | None]
    company_id: Mapped[uuid.UUID | None] = reference("companies", nullable=True)
    job_title: Mapped[Name | None]
    owner_id: Mapped[Name | None]
    tag_ids: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid), default=list, info=READ_ONLY)


class Lead(Row, Base):
    """Somebody who may become a customer; `convert` makes a contact, a company and a deal of it."""

    __tablename__ = "leads"
    __feed__ = "lead"
    __search__ = ("name", "email", "company")
    __indexes__ = (by("status", "created_at desc"),)

    name: Mapped[Name]
    email: Mapped[Email | None]
    phone: Mapped[Phone | None]
    company: Mapped[Name | None]
    source: Mapped[Literal["web", "referral", "event", "call", "campaign", "other"]] = choice("other")
    status: Mapped[Literal["new", "contacted", "qualified", "unqualified"]] = choice("new")
    value: Mapped[Money] = mapped_column(default=Decimal("0.00"))
    currency: Mapped[Currency] = mapped_column(default="INR")
    owner_id: Mapped[Name | None]
    converted_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    contact_id: Mapped[uuid.UUID | None] = reference("contacts", nullable=True, on_delete="keep", read_only=True)
    deal_id: Mapped[uuid.UUID | None] = reference("deals", nullable=True, on_delete="keep", read_only=True)


class Pipeline(Row, Base):
    """A way that deals go, stage by stage."""

    __tablename__ = "pipelines"
    __indexes__ = (unique("name"),)

    name: Mapped[Name]
    description: Mapped[Text | None]


class Stage(Row, Base):
    """A step of a pipeline: deals there are won with this probability, in percent."""

    __tablename__ = "stages"
    __indexes__ = (by("pipeline_id", "position"), by("position"), unique("pipeline_id", "name"))

    pipeline_id: Mapped[uuid.UUID] = reference("pipelines")
    name: Mapped[Name]
    position: Mapped[Count] = mapped_column(default=0)
    probability: Mapped[Percent] = mapped_column(default=Decimal("0.00"))


class Deal(Row, Base):
    """A sale in the making, with an existing contact; `value` without tax.

    `conversion` is the invoice as it was asked of finance the first time: written before the call, so that however
    often a conversion is tried, and whatever is changed in between, it asks for the same thing.
    """

    __tablename__ = "deals"
    __feed__ = "deal"
    __search__ = ("title", "description")
    __indexes__ = (by("stage", "value desc"), by("value desc"), by("expected_close"))

    contact_id: Mapped[uuid.UUID] = reference("contacts")
    company_id: Mapped[uuid.UUID | None] = reference("companies", nullable=True)
    stage_id: Mapped[uuid.UUID | None] = reference("stages", nullable=True)
    title: Mapped[Name]
    description: Mapped[Text | None]
    stage: Mapped[Literal["new", "qualified", "proposal", "negotiation", "won", "lost"]] = choice("new")
    value: Mapped[Money] = mapped_column(default=Decimal("0.00"))
    currency: Mapped[Currency] = mapped_column(default="INR")
    expected_close: Mapped[date | None]
    owner_id: Mapped[Name | None]
    closed_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    lost_reason: Mapped[Name | None] = mapped_column(info=READ_ONLY)
    invoice_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    conversion: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True), info=PRIVATE)


Job, JobStep, JobFile = job_tables(Base)
