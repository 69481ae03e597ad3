"""The tables of CRM."""

import uuid
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from upstream_services.kit.model import MONEY, PRIVATE, Row


class Base(DeclarativeBase):
    """The tables of this service."""


class Contact(Row, Base):
    """A person the tenant does business with, or hopes to."""

    __tablename__ = "contacts"
    __feed__ = "contact"

    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(30))
    status: Mapped[str] = mapped_column(String(20))
    company: Mapped[str | None] = mapped_column(String(200))


class Deal(Row, Base):
    """A sale in the making.

    `conversion` is the invoice as it was asked of finance the first time: written before the call, so that however
    often a conversion is tried, and whatever is changed in between, it asks for the same thing.
    """

    __tablename__ = "deals"
    __feed__ = "deal"

    contact_id: Mapped[uuid.UUID]
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None]
    stage: Mapped[str] = mapped_column(String(20))
    value: Mapped[Decimal] = mapped_column(MONEY)
    currency: Mapped[str] = mapped_column(String(3))
    expected_close: Mapped[date | None]
    invoice_id: Mapped[uuid.UUID | None]
    conversion: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True), info=PRIVATE)

    @classmethod
    def constraints(cls) -> tuple[ForeignKeyConstraint | Index, ...]:
        """A contact of the same tenant, and the index of its list of deals."""
        return (
            ForeignKeyConstraint(["tenant_id", "contact_id"], ["contacts.tenant_id", "contacts.id"]),
            Index("deals_of_contact", "tenant_id", "contact_id", "created_at"),
        )
