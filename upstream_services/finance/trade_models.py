"""The tables of what follows an invoice: credit notes, payments and what they pay, invoices that come again."""

import datetime
import uuid
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column, relationship

from upstream_services.finance.fields import Positive, Terms, today
from upstream_services.finance.models import Base, Document, Line, lines_of
from upstream_services.kit.fields import MONEY, Currency, Email, Moment, Name, Text
from upstream_services.kit.idempotency import IdempotentCreate, unique_key
from upstream_services.kit.model import READ_ONLY, Row, by, choice, reference, unique
from upstream_services.kit.tenancy import Tenanted


class CreditNoteLine(Tenanted, Line, Base):
    """A line of a credit note."""

    __tablename__ = "credit_note_lines"
    __table_args__ = lines_of("credit_notes", "credit_note_id")

    credit_note_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)


class CreditNote(Row, IdempotentCreate, Document, Base):
    """What is taken back of an invoice. Issued, it lowers what is yet to be paid; `unapplied` is the rest."""

    __tablename__ = "credit_notes"
    __feed__ = "credit_note"
    __line__ = CreditNoteLine
    __indexes__ = (by("status", "issue_date"), unique("number"))

    invoice_id: Mapped[uuid.UUID] = reference("invoices")
    customer_name: Mapped[str] = mapped_column(String(200), info=READ_ONLY)
    customer_gstin: Mapped[str | None] = mapped_column(String(15), info=READ_ONLY)
    status: Mapped[Literal["draft", "issued", "void"]] = choice("draft", info=READ_ONLY)
    issue_date: Mapped[datetime.date] = mapped_column(default=today)
    reason: Mapped[Name | None]
    unapplied: Mapped[Decimal] = mapped_column(MONEY, default=Decimal("0.00"), info=READ_ONLY)
    entry_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    issued_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)

    @classmethod
    def constraints(cls) -> tuple[Any, ...]:
        """One for one Idempotency-Key; a number where it is no draft."""
        numbered = CheckConstraint("status = 'draft' or number is not null", name="credit_notes_numbered")
        rest = CheckConstraint("unapplied >= 0 and unapplied <= total", name="credit_notes_rest")
        return (unique_key("credit_notes"), numbered, rest)


class Allocation(Tenanted, Base):
    """What of a payment goes to one invoice or one bill: `document_id` is whichever of them it is."""

    __tablename__ = "allocations"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "payment_id"], ["payments.tenant_id", "payments.id"], ondelete="cascade"),
        ForeignKeyConstraint(["tenant_id", "invoice_id"], ["invoices.tenant_id", "invoices.id"]),
        ForeignKeyConstraint(["tenant_id", "bill_id"], ["bills.tenant_id", "bills.id"]),
        CheckConstraint(
            "amount > 0 and num_nonnulls(invoice_id, bill_id) = 1 and document_id = coalesce(invoice_id, bill_id)",
            name="allocations_of_one",
        ),
        Index("allocations_of_document", "tenant_id", "document_id"),
    )

    payment_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    document_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    invoice_id: Mapped[uuid.UUID | None]
    bill_id: Mapped[uuid.UUID | None]
    amount: Mapped[Decimal] = mapped_column(MONEY)


class Payment(Row, IdempotentCreate, Base):
    """Money that was received from a customer or paid to a vendor. Posted, it is in the books and can be allocated."""

    __tablename__ = "payments"
    __feed__ = "payment"
    __indexes__ = (by("status", "date"), by("date"), unique("number"))
    __search__ = ("number", "reference", "notes")

    direction: Mapped[Literal["received", "paid"]] = choice("received")
    customer_id: Mapped[uuid.UUID | None] = reference("customers", nullable=True)
    vendor_id: Mapped[uuid.UUID | None] = reference("vendors", nullable=True)
    date: Mapped[datetime.date] = mapped_column(default=today)
    amount: Mapped[Positive] = mapped_column(MONEY)
    currency: Mapped[Currency] = mapped_column(default="INR")
    method: Mapped[Literal["cash", "bank_transfer", "upi", "card", "cheque", "other"]] = choice("bank_transfer")
    bank_account_id: Mapped[uuid.UUID | None] = reference("bank_accounts", nullable=True)
    reference: Mapped[Name | None]
    notes: Mapped[Text | None]
    number: Mapped[str | None] = mapped_column(String(20), info=READ_ONLY)
    status: Mapped[Literal["draft", "posted", "void"]] = choice("draft", info=READ_ONLY)
    allocated: Mapped[Decimal] = mapped_column(MONEY, default=Decimal("0.00"), info=READ_ONLY)
    entry_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    posted_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    allocations: Mapped[list[Allocation]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by=Allocation.document_id, lazy="selectin"
    )

    @classmethod
    def constraints(cls) -> tuple[Any, ...]:
        """One for one Idempotency-Key; no more goes to documents than there is."""
        within = CheckConstraint("allocated >= 0 and allocated <= amount", name="payments_allocated")
        numbered = CheckConstraint("status = 'draft' or number is not null", name="payments_numbered")
        return (unique_key("payments"), within, numbered)


class RecurringLine(Tenanted, Line, Base):
    """A line of each of the invoices to come."""

    __tablename__ = "recurring_invoice_lines"
    __table_args__ = lines_of("recurring_invoices", "recurring_invoice_id")

    recurring_invoice_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)


class RecurringInvoice(Row, Document, Base):
    """An invoice that comes again: on `start_date` and each `every` weeks, months or years until `end_date`."""

    __tablename__ = "recurring_invoices"
    __line__ = RecurringLine
    __scheduled__ = True
    __indexes__ = (by("status", "next_date"),)

    customer_id: Mapped[uuid.UUID | None] = reference("customers", nullable=True)
    customer_name: Mapped[str] = mapped_column(String(200))
    customer_email: Mapped[Email | None]
    unit: Mapped[Literal["week", "month", "year"]] = choice("month")
    every: Mapped[int] = mapped_column(default=1)
    start_date: Mapped[datetime.date] = mapped_column(default=today)
    end_date: Mapped[datetime.date | None]
    payment_terms: Mapped[Terms] = mapped_column(default=30)
    is_sent: Mapped[bool] = mapped_column(default=False)
    status: Mapped[Literal["active", "paused", "ended"]] = choice("active", info=READ_ONLY)
    made: Mapped[int] = mapped_column(default=0, info=READ_ONLY)
    next_date: Mapped[datetime.date | None] = mapped_column(info=READ_ONLY)
