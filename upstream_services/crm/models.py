"""The tables of CRM."""

import uuid
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from upstream_services.kit.fields import Currency, Email, Money, Name, Phone, Text, Url
from upstream_services.kit.model import PRIVATE, READ_ONLY, Row, by, choice, reference


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


class Contact(Row, Base):
    """A person the tenant does business with, or hopes to, such as {"name": "Asha Rao", "email": "asha@x.example"}."""

    __tablename__ = "contacts"
    __feed__ = "contact"
    __search__ = ("name", "email")
    __covering__ = ("name", "email", "phone")
    __indexes__ = (by("status", "created_at desc"),)

    name: Mapped[Name]
    email: Mapped[Email | None]
    phone: Mapped[Phone | None]
    status: Mapped[Literal["lead", "active", "inactive"]] = choice("lead")
    company: Mapped[Name | None]
    company_id: Mapped[uuid.UUID | None] = reference("companies", nullable=True)


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
    title: Mapped[Name]
    description: Mapped[Text | None]
    stage: Mapped[Literal["new", "qualified", "proposal", "negotiation", "won", "lost"]] = choice("new")
    value: Mapped[Money] = mapped_column(default=Decimal("0.00"))
    currency: Mapped[Currency] = mapped_column(default="INR")
    expected_close: Mapped[date | None]
    invoice_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    conversion: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True), info=PRIVATE)
