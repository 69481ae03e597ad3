"""The tables of what is sold: products, quotes and orders with their lines."""

import uuid
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ForeignKeyConstraint, Numeric, String, Uuid
from sqlalchemy.orm import Mapped, declared_attr, mapped_column, relationship

from upstream_services.crm.models import Base
from upstream_services.kit.fields import MONEY, Currency, Moment, Money, Name, Percent, Text, code
from upstream_services.kit.model import READ_ONLY, Row, by, choice, reference, unique
from upstream_services.kit.tenancy import Tenanted


class Product(Row, Base):
    """Something that is sold; `price` without tax, `tax_rate` in percent."""

    __tablename__ = "products"
    __search__ = ("name", "sku", "description")
    __indexes__ = (unique("sku"), by("name"), by("price"))

    name: Mapped[Name]
    sku: Mapped[code(r"[A-Za-z0-9._-]{1,40}", 40)]
    description: Mapped[Text | None]
    price: Mapped[Money]
    currency: Mapped[Currency] = mapped_column(default="INR")
    tax_rate: Mapped[Percent] = mapped_column(default=Decimal("18.00"))
    is_active: Mapped[bool] = mapped_column(default=True)


class Counter(Tenanted, Base):
    """The last number of a tenant's series, such as its quotes."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(30), primary_key=True)
    value: Mapped[int]


class Line:
    """A line of a quote or an order. The amounts are kept as computed."""

    position: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[uuid.UUID | None]
    description: Mapped[str] = mapped_column(String(500))
    quantity: Mapped[Decimal] = mapped_column(Numeric(12, 3))
    unit_price: Mapped[Decimal] = mapped_column(MONEY)
    discount: Mapped[Decimal] = mapped_column(Numeric(5, 2))
    tax_rate: Mapped[Decimal] = mapped_column(Numeric(5, 2))
    net: Mapped[Decimal] = mapped_column(MONEY)
    tax: Mapped[Decimal] = mapped_column(MONEY)
    total: Mapped[Decimal] = mapped_column(MONEY)


class QuoteLine(Tenanted, Line, Base):
    """A line of a quote."""

    __tablename__ = "quote_lines"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "quote_id"], ["quotes.tenant_id", "quotes.id"], ondelete="cascade"),
    )

    quote_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)


class OrderLine(Tenanted, Line, Base):
    """A line of an order."""

    __tablename__ = "order_lines"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "order_id"], ["orders.tenant_id", "orders.id"], ondelete="cascade"),
    )

    order_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)


class Document:
    """What quotes and orders have in common; the sums are of their lines."""

    number: Mapped[int] = mapped_column(info=READ_ONLY)
    currency: Mapped[Currency] = mapped_column(default="INR")
    notes: Mapped[Text | None]
    net: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)
    tax: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)
    total: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)

    __line__: Any

    @declared_attr
    def lines(cls) -> Mapped[list[Any]]:  # noqa: N805 - SQLAlchemy calls it with the class
        """In their order."""
        line = cls.__line__
        return relationship(
            line, cascade="all, delete-orphan", passive_deletes=True, order_by=line.position, lazy="selectin"
        )


class Quote(Row, Document, Base):
    """An offer, which a customer accepts or declines; accepted, it becomes an order."""

    __tablename__ = "quotes"
    __line__ = QuoteLine
    __feed__ = "quote"
    __indexes__ = (by("status", "created_at desc"), unique("number"))

    contact_id: Mapped[uuid.UUID] = reference("contacts")
    company_id: Mapped[uuid.UUID | None] = reference("companies", nullable=True)
    deal_id: Mapped[uuid.UUID | None] = reference("deals", nullable=True)
    status: Mapped[Literal["draft", "sent", "accepted", "declined"]] = choice("draft", info=READ_ONLY)
    valid_until: Mapped[date | None]
    order_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    sent_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    decided_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)


class Order(Row, Document, Base):
    """What a customer has ordered."""

    __tablename__ = "orders"
    __line__ = OrderLine
    __feed__ = "order"
    __indexes__ = (by("status", "created_at desc"), unique("number"))

    contact_id: Mapped[uuid.UUID] = reference("contacts")
    company_id: Mapped[uuid.UUID | None] = reference("companies", nullable=True)
    quote_id: Mapped[uuid.UUID | None] = reference("quotes", nullable=True, read_only=True)
    status: Mapped[Literal["open", "fulfilled", "cancelled"]] = choice("open", info=READ_ONLY)
    fulfilled_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
