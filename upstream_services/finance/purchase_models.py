"""The tables of what the tenant buys, bills, expenses and purchase orders, and of its GST returns."""

import datetime
import uuid
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import CheckConstraint, String, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from upstream_services.finance.fields import Positive, Rate, StateCode, today
from upstream_services.finance.models import Base, Document, Line, Owed, lines_of, owed
from upstream_services.kit.fields import MONEY, Currency, Moment, Name, Text, code, line
from upstream_services.kit.idempotency import IdempotentCreate, unique_key
from upstream_services.kit.model import READ_ONLY, Row, by, choice, reference, unique
from upstream_services.kit.tenancy import Tenanted

Month = code(r"20[0-9]{2}-(0[1-9]|1[0-2])", 7)


class BillLine(Tenanted, Line, Base):
    """A line of a bill."""

    __tablename__ = "bill_lines"
    __table_args__ = lines_of("bills", "bill_id")

    bill_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)


class Bill(Row, IdempotentCreate, Document, Owed, Base):
    """A vendor's invoice. Approved, it is in the books and owed; `number` is ours, `bill_number` the vendor's."""

    __tablename__ = "bills"
    __feed__ = "bill"
    __line__ = BillLine
    __search__ = ("number", "bill_number")
    __indexes__ = (by("status", "due_date"), by("due_date"), unique("number"), unique("vendor_id", "bill_number"))

    vendor_id: Mapped[uuid.UUID] = reference("vendors")
    bill_number: Mapped[Name]
    account_id: Mapped[uuid.UUID | None] = reference("accounts", nullable=True)
    purchase_order_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    status: Mapped[Literal["draft", "approved", "partially_paid", "paid", "void"]] = choice("draft", info=READ_ONLY)
    issue_date: Mapped[datetime.date] = mapped_column(default=today)
    due_date: Mapped[datetime.date | None]
    notes: Mapped[Text | None]
    entry_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    approved_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    paid_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)

    @classmethod
    def constraints(cls) -> tuple[Any, ...]:
        """One for one Idempotency-Key; a number where it is no draft."""
        numbered = CheckConstraint("status = 'draft' or number is not null", name="bills_numbered")
        return (unique_key("bills"), owed("bills"), numbered)


class Expense(Row, IdempotentCreate, Base):
    """Something that was bought and paid at once; `amount` without tax."""

    __tablename__ = "expenses"
    __feed__ = "expense"
    __search__ = ("description", "number")
    __indexes__ = (by("status", "date"), by("date"), unique("number"))

    description: Mapped[line(500)]  # type: ignore[valid-type]
    vendor_id: Mapped[uuid.UUID | None] = reference("vendors", nullable=True)
    account_id: Mapped[uuid.UUID | None] = reference("accounts", nullable=True)
    bank_account_id: Mapped[uuid.UUID | None] = reference("bank_accounts", nullable=True)
    date: Mapped[datetime.date] = mapped_column(default=today)
    amount: Mapped[Positive] = mapped_column(MONEY)
    currency: Mapped[Currency] = mapped_column(default="INR")
    gst_rate: Mapped[Rate] = mapped_column(default=0)
    supplier_state: Mapped[StateCode | None]
    cgst: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)
    sgst: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)
    igst: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)
    total: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)
    number: Mapped[str | None] = mapped_column(String(20), info=READ_ONLY)
    status: Mapped[Literal["draft", "approved", "void"]] = choice("draft", info=READ_ONLY)
    entry_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    approved_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)

    @classmethod
    def constraints(cls) -> tuple[Any, ...]:
        """One for one Idempotency-Key; a number where it is no draft."""
        numbered = CheckConstraint("status = 'draft' or number is not null", name="expenses_numbered")
        return (unique_key("expenses"), numbered)


class PurchaseOrderLine(Tenanted, Line, Base):
    """A line of a purchase order."""

    __tablename__ = "purchase_order_lines"
    __table_args__ = lines_of("purchase_orders", "purchase_order_id")

    purchase_order_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)


class PurchaseOrder(Row, Document, Base):
    """What is ordered of a vendor; it is in the books when the vendor's bill is."""

    __tablename__ = "purchase_orders"
    __feed__ = "purchase_order"
    __line__ = PurchaseOrderLine
    __indexes__ = (by("status", "order_date"), unique("number"))

    vendor_id: Mapped[uuid.UUID] = reference("vendors")
    status: Mapped[Literal["draft", "sent", "billed", "cancelled"]] = choice("draft", info=READ_ONLY)
    order_date: Mapped[datetime.date] = mapped_column(default=today)
    expected_date: Mapped[datetime.date | None]
    notes: Mapped[Text | None]
    bill_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    sent_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)


class GstReturn(Row, Base):
    """A return of one month. Filed, the documents of its month are final; `figures` are as they were computed."""

    __tablename__ = "gst_returns"
    __indexes__ = (unique("type", "period"), by("period"))

    type: Mapped[Literal["gstr1", "gstr3b"]] = choice()
    period: Mapped[Month]
    notes: Mapped[Name | None]
    status: Mapped[Literal["draft", "computed", "filed"]] = choice("draft", info=READ_ONLY)
    figures: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True), info=READ_ONLY)
    arn: Mapped[str | None] = mapped_column(String(30), info=READ_ONLY)
    entry_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    computed_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    filed_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
