"""The tables of Finance."""

import uuid
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import DateTime, ForeignKeyConstraint, Numeric, String, UniqueConstraint, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from upstream_services.kit.fields import MONEY
from upstream_services.kit.idempotency import IdempotentCreate, unique_key
from upstream_services.kit.model import Row
from upstream_services.kit.tenancy import Tenanted


class Base(DeclarativeBase):
    """The tables of this service."""


class Profile(Tenanted, Base):
    """The tenant as a supplier: one row, which says in which state it is registered."""

    __tablename__ = "profiles"

    legal_name: Mapped[str] = mapped_column(String(200))
    home_state: Mapped[str] = mapped_column(String(2))


class InvoiceLine(Tenanted, Base):
    """A line. The amounts are kept as computed, so an invoice that was sent never changes with the program."""

    __tablename__ = "invoice_lines"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "invoice_id"], ["invoices.tenant_id", "invoices.id"], ondelete="cascade"),
    )

    invoice_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(String(500))
    hsn: Mapped[str | None] = mapped_column(String(8))
    quantity: Mapped[Decimal] = mapped_column(Numeric(12, 3))
    unit_price: Mapped[Decimal] = mapped_column(MONEY)
    gst_rate: Mapped[int]
    taxable: Mapped[Decimal] = mapped_column(MONEY)
    cgst: Mapped[Decimal] = mapped_column(MONEY)
    sgst: Mapped[Decimal] = mapped_column(MONEY)
    igst: Mapped[Decimal] = mapped_column(MONEY)
    total: Mapped[Decimal] = mapped_column(MONEY)


class Invoice(Row, IdempotentCreate, Base):
    """An invoice with its lines and their sums. States: see `states.py`."""

    __tablename__ = "invoices"

    customer_name: Mapped[str] = mapped_column(String(200))
    customer_email: Mapped[str | None] = mapped_column(String(254))
    deal_id: Mapped[uuid.UUID | None]
    status: Mapped[str] = mapped_column(String(20), default="draft")
    issue_date: Mapped[date]
    due_date: Mapped[date | None]
    currency: Mapped[str] = mapped_column(String(3))
    home_state: Mapped[str] = mapped_column(String(2))
    place_of_supply: Mapped[str] = mapped_column(String(2))
    taxable: Mapped[Decimal] = mapped_column(MONEY)
    cgst: Mapped[Decimal] = mapped_column(MONEY)
    sgst: Mapped[Decimal] = mapped_column(MONEY)
    igst: Mapped[Decimal] = mapped_column(MONEY)
    total: Mapped[Decimal] = mapped_column(MONEY)
    sent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    paid_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    lines: Mapped[list[InvoiceLine]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by=InvoiceLine.position, lazy="selectin"
    )

    @classmethod
    def constraints(cls) -> tuple[UniqueConstraint, ...]:
        """One invoice for one Idempotency-Key."""
        return (unique_key("invoices"),)
