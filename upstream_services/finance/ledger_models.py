"""The tables of the books: accounts, journal entries with their lines, bank accounts and what the bank says of them."""

import datetime
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import StringConstraints
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column, relationship

from upstream_services.finance.fields import today
from upstream_services.finance.models import Base
from upstream_services.kit.fields import MONEY, Currency, Moment, Money, Name, Text, code, line
from upstream_services.kit.model import READ_ONLY, Row, by, choice, reference, unique
from upstream_services.kit.tenancy import Tenanted

AccountCode = code(r"[A-Z0-9][A-Z0-9.-]{0,39}", 40)


class Account(Row, Base):
    """An account of the books, such as {"code": "6100", "name": "Rent", "type": "expense"}.

    `role`: what the service posts there by itself, such as "receivable"; these it makes when it first needs them.
    """

    __tablename__ = "accounts"
    __search__ = ("name", "code")
    __indexes__ = (unique("code"), unique("role"), by("type"), by("name"))

    code: Mapped[AccountCode]
    name: Mapped[Name]
    type: Mapped[Literal["asset", "liability", "equity", "income", "expense"]] = choice()
    description: Mapped[Text | None]
    role: Mapped[str | None] = mapped_column(String(30), info=READ_ONLY)


class JournalLine(Tenanted, Base):
    """A line of an entry: a debit or a credit of one account."""

    __tablename__ = "journal_lines"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "entry_id"], ["journal_entries.tenant_id", "journal_entries.id"], ondelete="cascade"
        ),
        ForeignKeyConstraint(["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.id"]),
        CheckConstraint("debit >= 0 and credit >= 0 and (debit = 0) <> (credit = 0)", name="journal_lines_one_side"),
        Index(
            "journal_lines_of_account", "tenant_id", "account_id", "entry_id", postgresql_include=["debit", "credit"]
        ),
    )

    entry_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID]
    debit: Mapped[Decimal] = mapped_column(MONEY)
    credit: Mapped[Decimal] = mapped_column(MONEY)
    description: Mapped[str | None] = mapped_column(String(500))


class JournalEntry(Row, Base):
    """An entry in the books. Posted, its debits equal its credits and it never changes again: it can be reversed.

    `source_type` and `source_id` say which document it comes of; None for one that was written by hand.
    """

    __tablename__ = "journal_entries"
    __indexes__ = (by("date"), by("status", "date"), by("source_id"), unique("number"))
    __search__ = ("number", "description")

    date: Mapped[datetime.date] = mapped_column(default=today)
    description: Mapped[line(500)]  # type: ignore[valid-type]
    currency: Mapped[Currency] = mapped_column(default="INR")
    number: Mapped[str | None] = mapped_column(String(20), info=READ_ONLY)
    status: Mapped[Literal["draft", "posted"]] = choice("draft", info=READ_ONLY)
    total: Mapped[Decimal] = mapped_column(MONEY, info=READ_ONLY)
    source_type: Mapped[str | None] = mapped_column(String(30), info=READ_ONLY)
    source_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    reverses_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    reversed_by_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    posted_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    lines: Mapped[list[JournalLine]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by=JournalLine.position, lazy="selectin"
    )

    @classmethod
    def constraints(cls) -> tuple[Any, ...]:
        """A number where it is posted."""
        rule = "status <> 'posted' or (number is not null and deleted_at is null)"
        return (CheckConstraint(rule, name="journal_entries_numbered"),)


class BankAccount(Row, Base):
    """An account at a bank, or the till; `account_id` is where it is in the books, made where it is left out."""

    __tablename__ = "bank_accounts"
    __indexes__ = (unique("account_id"), by("name"))

    name: Mapped[Name]
    bank: Mapped[Name | None]
    account_number: Mapped[code(r"[0-9A-Z]{4,34}", 34) | None]  # type: ignore[valid-type]
    ifsc: Mapped[code(r"[A-Z]{4}0[A-Z0-9]{6}", 11) | None]  # type: ignore[valid-type]
    currency: Mapped[Currency] = mapped_column(default="INR")
    account_id: Mapped[uuid.UUID | None] = reference("accounts", nullable=True)
    reconciled_until: Mapped[datetime.date | None] = mapped_column(info=READ_ONLY)
    reconciled_balance: Mapped[Decimal | None] = mapped_column(MONEY, info=READ_ONLY)


class BankTransaction(Row, Base):
    """A line of a bank's statement. `match` says which payment it is, `categorize` what else it was for."""

    __tablename__ = "bank_transactions"
    __search__ = ("description", "reference")
    __indexes__ = (
        by("bank_account_id", "date"),
        by("status", "date"),
        by("date"),
        unique("payment_id"),
        unique("expense_id"),
    )

    bank_account_id: Mapped[uuid.UUID] = reference("bank_accounts")
    date: Mapped[datetime.date]
    direction: Mapped[Literal["in", "out"]] = choice()
    amount: Mapped[Money]
    description: Mapped[Annotated[str, StringConstraints(max_length=500)] | None] = mapped_column(String(500))
    reference: Mapped[Name | None]
    status: Mapped[Literal["unmatched", "matched"]] = choice("unmatched", info=READ_ONLY)
    payment_id: Mapped[uuid.UUID | None] = reference("payments", nullable=True, read_only=True)
    expense_id: Mapped[uuid.UUID | None] = reference("expenses", nullable=True, read_only=True)
    entry_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
