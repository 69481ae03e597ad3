"""Bank accounts, the lines of their statements, and how both are made to agree with the books."""

import datetime
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field
from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance.chart import make_account
from upstream_services.finance.gst import ZERO
from upstream_services.finance.ledger import credit, debit, post, reverse_entry
from upstream_services.finance.ledger_models import Account, BankAccount, BankTransaction
from upstream_services.finance.purchase_models import Expense
from upstream_services.finance.trade_models import Payment
from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.resource import Resource, require_reference
from upstream_services.kit.validation import Body

Balance = Annotated[Decimal, Field(ge=-(10**15), le=10**15, decimal_places=2)]


class MatchIn(Body):
    """The payment or the expense that a line of a statement is; one of both."""

    payment_id: uuid.UUID | None = None
    expense_id: uuid.UUID | None = None


class CategorizeIn(Body):
    """The account that a line of a statement belongs to, such as that of bank charges."""

    account_id: uuid.UUID


class ReconcileIn(Body):
    """What the bank's statement says the balance was at the end of a day."""

    date: datetime.date
    balance: Balance


class Reconciled(BaseModel):
    """A bank account that agrees with its statement."""

    date: datetime.date
    balance: Decimal
    transactions: int


async def bank_account_rules(session: AsyncSession, bank: BankAccount, values: Mapping[str, Any]) -> None:
    """Each has an asset account of its own in the books, and stays in its currency once it was used."""
    if bank.version is not None and values.keys() & {"currency", "account_id"}:
        used = select(BankTransaction.id).where(BankTransaction.bank_account_id == bank.id).limit(1)
        if await session.scalar(used) is not None:
            raise conflict("it has transactions: it keeps its currency and account", "in_use")
    if bank.account_id is None:
        bank.account_id = await make_account(session, f"BANK-{uuid.uuid4().hex[:12].upper()}", bank.name, "asset")
    elif await session.scalar(select(Account.type).where(Account.id == bank.account_id)) != "asset":
        raise invalid("account_id", "must be an account of assets")


async def transaction_rules(session: AsyncSession, line: BankTransaction, _values: Mapping[str, Any]) -> None:
    """What was matched or reconciled stays as it is."""
    if line.status == "matched":
        raise conflict("the transaction is matched: unmatch it first", "matched")
    if line.amount == 0:
        raise invalid("amount", "must be more than nought")
    until = await session.scalar(select(BankAccount.reconciled_until).where(BankAccount.id == line.bank_account_id))
    if until is not None and line.date <= until:
        raise invalid("date", f"the account was reconciled until {until}")


def may_delete_transaction(line: BankTransaction) -> None:
    """What was matched stays."""
    if line.status == "matched":
        raise conflict("the transaction is matched: unmatch it first", "matched")


bank_accounts = Resource(
    name="bank-accounts", table=BankAccount, filters=("currency", "ifsc"), sortable=("name",), rules=bank_account_rules
)

bank_transactions = Resource(
    name="bank-transactions",
    table=BankTransaction,
    filters=("bank_account_id", "status", "direction", "date", "amount"),
    sortable=("date",),
    nested_in=("bank_account_id",),
    rules=transaction_rules,
    may_delete=may_delete_transaction,
)


async def _bank(session: AsyncSession, line: BankTransaction) -> BankAccount:
    if line.status == "matched":
        raise conflict("the transaction is matched: unmatch it first", "matched")
    return (await session.scalars(select(BankAccount).where(BankAccount.id == line.bank_account_id))).one()


@bank_transactions.action("match", body=MatchIn)
async def match(session: AsyncSession, line: BankTransaction, body: MatchIn) -> None:
    """Say which payment or expense a line of the statement is: of the same amount, currency and bank account."""
    bank = await _bank(session, line)
    if (body.payment_id is None) == (body.expense_id is None):
        raise invalid("payment_id", "one of payment_id and expense_id is needed")
    if body.payment_id is not None:
        await require_reference(session, Payment, body.payment_id, "payment_id")
        payment = (await session.scalars(select(Payment).where(Payment.id == body.payment_id).with_for_update())).one()
        direction = "in" if payment.direction == "received" else "out"
        _require_same("payment_id", line, bank, payment, payment.amount, direction, payment.status == "posted")
        line.payment_id = payment.id
    if body.expense_id is not None:
        await require_reference(session, Expense, body.expense_id, "expense_id")
        expense = (await session.scalars(select(Expense).where(Expense.id == body.expense_id).with_for_update())).one()
        _require_same("expense_id", line, bank, expense, expense.total, "out", expense.status == "approved")
        line.expense_id = expense.id
    line.status = "matched"


def _require_same(
    field: str, line: BankTransaction, bank: BankAccount, found: Any, amount: Decimal, direction: str, in_books: bool
) -> None:
    if not in_books:
        raise invalid(field, f"it is {found.status}")
    if found.bank_account_id != bank.id:
        raise invalid(field, "it went through another bank account")
    if (amount, direction, found.currency) != (line.amount, line.direction, bank.currency):
        raise invalid(
            field, f"it is {amount} {found.currency} {direction}, the transaction {line.amount} {line.direction}"
        )


@bank_transactions.action("categorize", body=CategorizeIn)
async def categorize(session: AsyncSession, line: BankTransaction, body: CategorizeIn) -> None:
    """Post a line of the statement that is no payment, such as charges or interest, to an account."""
    bank = await _bank(session, line)
    await require_reference(session, Account, body.account_id, "account_id")
    if bank.account_id is None or body.account_id == bank.account_id:
        raise invalid("account_id", "is the bank account's own")
    sides = [debit(bank.account_id, line.amount), credit(body.account_id, line.amount)]
    if line.direction == "out":
        sides = [debit(body.account_id, line.amount), credit(bank.account_id, line.amount)]
    text = line.description or line.reference or "Bank transaction"
    line.entry_id = await post(session, sides, day=line.date, description=text, currency=bank.currency, source=line)
    line.status = "matched"


@bank_transactions.action("unmatch")
async def unmatch(session: AsyncSession, line: BankTransaction) -> None:
    """Take a match back; what was posted for it is reversed."""
    if line.status != "matched":
        raise conflict("the transaction is not matched", "illegal_transition")
    until = await session.scalar(select(BankAccount.reconciled_until).where(BankAccount.id == line.bank_account_id))
    if until is not None and line.date <= until:
        raise conflict(f"the account was reconciled until {until}", "reconciled")
    await reverse_entry(session, line.entry_id, line.date)
    line.payment_id = line.expense_id = line.entry_id = None
    line.status = "unmatched"


@bank_accounts.action("reconcile", body=ReconcileIn, reply=Reconciled)
async def reconcile(session: AsyncSession, bank: BankAccount, body: ReconcileIn) -> dict[str, Any]:
    """Hold the statement against the transactions until a day; they are final where both agree.

    409 `unmatched` where transactions are not matched, `not_reconciled` where the balance is another.
    """
    if bank.reconciled_until is not None and body.date <= bank.reconciled_until:
        raise invalid("date", f"the account was reconciled until {bank.reconciled_until}")
    signed = case((BankTransaction.direction == "in", BankTransaction.amount), else_=-BankTransaction.amount)
    open_ones = func.count().filter(BankTransaction.status == "unmatched")
    until = (BankTransaction.bank_account_id == bank.id, BankTransaction.date <= body.date)
    count, unmatched, total = (
        await session.execute(select(func.count(BankTransaction.id), open_ones, func.sum(signed)).where(*until))
    ).one()
    if unmatched:
        raise conflict(f"{unmatched} transactions until then are not matched", "unmatched")
    if (total or ZERO) != body.balance:
        raise conflict(
            f"the transactions add up to {total or ZERO}, the statement says {body.balance}", "not_reconciled"
        )
    bank.reconciled_until, bank.reconciled_balance = body.date, body.balance
    return Reconciled(date=body.date, balance=body.balance, transactions=count).model_dump()
