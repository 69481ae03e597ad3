"""The tables of Finance: the tenant itself, whom it deals with, what it sells, and its invoices.

The books are in `ledger_models.py`, what changes hands for invoices in `trade_models.py`, purchases in
`purchase_models.py`.
"""

import uuid
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Numeric, String, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column, relationship

from upstream_services.finance.fields import FinancialYear, Gstin, Hsn, Rate, StateCode, Terms
from upstream_services.kit.fields import MONEY, Currency, Email, Moment, Money, Name, Phone, Text, code
from upstream_services.kit.idempotency import IdempotentCreate, unique_key
from upstream_services.kit.jobs.tables import job_tables
from upstream_services.kit.model import READ_ONLY, Row, by, choice, reference, unique
from upstream_services.kit.tenancy import Tenanted


class Base(DeclarativeBase):
    """The tables of this service."""


class Profile(Tenanted, Base):
    """The tenant as a supplier: one row, which says in which state it is registered."""

    __tablename__ = "profiles"

    legal_name: Mapped[str] = mapped_column(String(200))
    home_state: Mapped[str] = mapped_column(String(2))


class Counter(Tenanted, Base):
    """The last number that a tenant gave out in a series and financial year."""

    __tablename__ = "counters"

    series: Mapped[str] = mapped_column(String(10), primary_key=True)
    year: Mapped[FinancialYear] = mapped_column(primary_key=True)
    value: Mapped[int]


class Customer(Row, Base):
    """Somebody the tenant sells to. With a GSTIN a business, whose invoices are told one by one in GSTR-1."""

    __tablename__ = "customers"
    __feed__ = "customer"
    __search__ = ("name", "email")
    __indexes__ = (by("name"), by("email"))

    name: Mapped[Name]
    email: Mapped[Email | None]
    phone: Mapped[Phone | None]
    gstin: Mapped[Gstin | None]
    state: Mapped[StateCode | None]
    billing_address: Mapped[Text | None]
    currency: Mapped[Currency] = mapped_column(default="INR")
    payment_terms: Mapped[Terms] = mapped_column(default=30)
    contact_id: Mapped[uuid.UUID | None]


class Vendor(Row, Base):
    """Somebody the tenant buys from."""

    __tablename__ = "vendors"
    __feed__ = "vendor"
    __search__ = ("name", "email")
    __indexes__ = (by("name"),)

    name: Mapped[Name]
    email: Mapped[Email | None]
    phone: Mapped[Phone | None]
    gstin: Mapped[Gstin | None]
    state: Mapped[StateCode | None]
    address: Mapped[Text | None]
    currency: Mapped[Currency] = mapped_column(default="INR")
    payment_terms: Mapped[Terms] = mapped_column(default=30)


class TaxRate(Row, Base):
    """A rate of GST, in percent, that holds from a day on, or until one."""

    __tablename__ = "tax_rates"
    __indexes__ = (by("rate"), unique("name"))

    name: Mapped[Name]
    rate: Mapped[Rate]
    hsn: Mapped[Hsn | None]
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]


class Item(Row, Base):
    """Goods or a service that is sold; `price` without tax. Lines that name it take what they leave out from it."""

    __tablename__ = "items"
    __search__ = ("name", "sku", "description")
    __indexes__ = (unique("sku"), by("name"))

    name: Mapped[Name]
    sku: Mapped[code(r"[A-Za-z0-9._-]{1,40}", 40)]  # type: ignore[valid-type]
    kind: Mapped[Literal["goods", "service"]] = choice("service")
    description: Mapped[Text | None]
    hsn: Mapped[Hsn | None]
    unit: Mapped[code(r"[A-Z]{1,10}", 10)] = mapped_column(default="NOS")  # type: ignore[valid-type]
    price: Mapped[Money]
    tax_rate_id: Mapped[uuid.UUID | None] = reference("tax_rates", nullable=True)
    is_active: Mapped[bool] = mapped_column(default=True)


class Line:
    """A line of a document. The amounts are kept as computed, so what was sent never changes with the program."""

    position: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[uuid.UUID | None]
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


def lines_of(document: str, column: str) -> tuple[Any, ...]:
    """The constraint that makes a line one of a document's."""
    key = ["tenant_id", column]
    return (ForeignKeyConstraint(key, [f"{document}.tenant_id", f"{document}.id"], ondelete="cascade"),)


class Document:
    """What every document with lines has: a number once it is final, the two states that decide the tax, the sums."""

    number: Mapped[str | None] = mapped_column(String(20), info=READ_ONLY)
    currency: Mapped[Currency] = mapped_column(default="INR")
    home_state: Mapped[str] = mapped_column(String(2), info=READ_ONLY)
    place_of_supply: Mapped[str] = mapped_column(String(2))
    taxable: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)
    cgst: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)
    sgst: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)
    igst: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)
    total: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)

    __line__: Any

    @declared_attr
    def lines(cls) -> Mapped[list[Any]]:  # noqa: N805 - SQLAlchemy calls it with the class
        """In their order."""
        line = cls.__line__
        return relationship(
            line, cascade="all, delete-orphan", passive_deletes=True, order_by=line.position, lazy="selectin"
        )


class Owed:
    """What an invoice or a bill has yet to be paid. The database holds: nobody pays more than is owed."""

    amount_paid: Mapped[Decimal] = mapped_column(MONEY, default=Decimal("0.00"), info=READ_ONLY)
    amount_credited: Mapped[Decimal] = mapped_column(MONEY, default=Decimal("0.00"), info=READ_ONLY)
    balance: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)


def owed(table: str) -> CheckConstraint:
    """The constraint of an `Owed` table."""
    rule = "balance >= 0 and amount_paid >= 0 and balance = total - amount_paid - amount_credited"
    return CheckConstraint(rule, name=f"{table}_balance")


class InvoiceLine(Tenanted, Line, Base):
    """A line of an invoice."""

    __tablename__ = "invoice_lines"
    __table_args__ = lines_of("invoices", "invoice_id")

    invoice_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)


class Invoice(Row, IdempotentCreate, Document, Owed, Base):
    """An invoice with its lines and their sums. States: see `states.py`."""

    __tablename__ = "invoices"
    __feed__ = "invoice"
    __line__ = InvoiceLine
    __search__ = ("number", "customer_name", "customer_email")
    __indexes__ = (
        by("status", "due_date"),
        by("due_date"),
        by("issue_date"),
        by("customer_email", "created_at desc"),
        by("deal_id", "created_at desc"),
        unique("number"),
    )

    customer_id: Mapped[uuid.UUID | None] = reference("customers", nullable=True)
    customer_name: Mapped[str] = mapped_column(String(200))
    customer_email: Mapped[Email | None]
    customer_gstin: Mapped[Gstin | None]
    deal_id: Mapped[uuid.UUID | None]
    recurring_invoice_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    status: Mapped[Literal["draft", "sent", "partially_paid", "paid", "void"]] = choice("draft", info=READ_ONLY)
    issue_date: Mapped[date]
    due_date: Mapped[date | None]
    notes: Mapped[Text | None]
    entry_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    sent_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    paid_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    voided_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)

    @classmethod
    def constraints(cls) -> tuple[Any, ...]:
        """One invoice for one Idempotency-Key; a number where it is no draft."""
        numbered = CheckConstraint("status = 'draft' or number is not null", name="invoices_numbered")
        return (unique_key("invoices"), owed("invoices"), numbered)


Job, JobStep, JobFile = job_tables(Base)
