"""What the tenant buys: bills, expenses and purchase orders, with their rules and actions."""

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance import gst, states
from upstream_services.finance.fields import StateCode, today
from upstream_services.finance.inputs import Lines, WithLines, compute, copy_lines, fill, home_state, view
from upstream_services.finance.ledger import Side, credit, debit, post, reverse_entry
from upstream_services.finance.ledger_models import Account, BankAccount, BankTransaction
from upstream_services.finance.models import Vendor
from upstream_services.finance.numbering import next_number
from upstream_services.finance.periods import require_open
from upstream_services.finance.purchase_models import Bill, BillLine, Expense, PurchaseOrder
from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.fields import Name
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.shapes import body_of
from upstream_services.kit.validation import Body

TAXES = ("cgst", "sgst", "igst")


class BillCreate(body_of(Bill)):  # type: ignore[misc]
    """A vendor's invoice; without `place_of_supply` it is the tenant's state. A PATCH of `lines` replaces them all."""

    place_of_supply: StateCode | None = None
    lines: Lines


class OrderCreate(body_of(PurchaseOrder)):  # type: ignore[misc]
    """An order to a vendor. A PATCH of `lines` replaces them all."""

    place_of_supply: StateCode | None = None
    lines: Lines


class BillIn(Body):
    """The number on the vendor's bill."""

    bill_number: Name


async def _states(session: AsyncSession, document: Any) -> None:
    """The supply is from the vendor's state, ours where that is not known, to ours unless it says another."""
    ours = await home_state(session)
    vendors = select(Vendor.state).where(Vendor.id == document.vendor_id)
    document.home_state = await session.scalar(vendors) or ours
    document.place_of_supply = document.place_of_supply or ours


async def bill_rules(session: AsyncSession, bill: Bill, values: Mapping[str, Any]) -> None:
    """Only drafts change; the dates are in order; what is bought is an expense or an asset."""
    states.require_draft(bill.status, "the bill")
    if bill.due_date is not None and bill.due_date < bill.issue_date:
        raise invalid("due_date", "must not be before issue_date")
    await _require_spending(session, bill.account_id)
    await _states(session, bill)
    await fill(session, bill, values, bill.issue_date)


async def order_rules(session: AsyncSession, order: PurchaseOrder, values: Mapping[str, Any]) -> None:
    """Only drafts change."""
    states.require_draft(order.status, "the purchase order")
    if order.expected_date is not None and order.expected_date < order.order_date:
        raise invalid("expected_date", "must not be before order_date")
    await _states(session, order)
    await fill(session, order, values, order.order_date)


async def expense_rules(session: AsyncSession, expense: Expense, _values: Mapping[str, Any]) -> None:
    """Only drafts change; the tax is computed anew."""
    states.require_draft(expense.status, "the expense")
    await _require_spending(session, expense.account_id)
    ours = await home_state(session)
    intra = (expense.supplier_state or ours) == ours
    amounts = gst.line_amounts(Decimal(1), expense.amount, expense.gst_rate or 0, is_intra_state=intra)
    for name in (*TAXES, "total"):
        setattr(expense, name, getattr(amounts, name))


async def _require_spending(session: AsyncSession, account_id: uuid.UUID | None) -> None:
    if account_id is None:
        return
    kind = await session.scalar(select(Account.type).where(Account.id == account_id))
    if kind not in ("expense", "asset"):
        raise invalid("account_id", "must be an account of expenses or assets")


bills = Resource(
    name="bills",
    table=Bill,
    create=BillCreate,
    filters=("status", "vendor_id", "bill_number", "issue_date", "due_date", "currency"),
    sortable=("due_date",),
    nested_in=("vendor_id",),
    rules=bill_rules,
    may_delete=lambda bill: states.require_draft(bill.status, "the bill"),
    view=view,
    extra=WithLines,
)

expenses = Resource(
    name="expenses",
    table=Expense,
    filters=("status", "vendor_id", "account_id", "bank_account_id", "date", "amount", "currency"),
    sortable=("date",),
    nested_in=("vendor_id",),
    rules=expense_rules,
    may_delete=lambda expense: states.require_draft(expense.status, "the expense"),
)

purchase_orders = Resource(
    name="purchase-orders",
    table=PurchaseOrder,
    create=OrderCreate,
    filters=("status", "vendor_id", "order_date", "expected_date"),
    nested_in=("vendor_id",),
    rules=order_rules,
    may_delete=lambda order: states.require_draft(order.status, "the purchase order"),
    view=view,
    extra=WithLines,
)


def purchase(document: Any, account: str | uuid.UUID, amount: Decimal, paid_from: str | uuid.UUID) -> list[Side]:
    """The entry of what was bought: its cost, the tax that is taken off ours, what is owed or was paid for it."""
    taxes = [debit(f"input_{tax}", getattr(document, tax)) for tax in TAXES]
    return [debit(account, amount), *taxes, credit(paid_from, document.total)]


@bills.action("approve")
async def approve_bill(session: AsyncSession, bill: Bill) -> None:
    """Put a draft into the books: it is owed then."""
    bill.status = states.after(states.BILL, "approve", bill.status, "a bill")
    await require_open(session, bill.issue_date, "gstr3b")
    bill.number = await next_number(session, "BILL", bill.issue_date)
    sides = purchase(bill, bill.account_id or "purchases", bill.taxable, "payable")
    bill.entry_id = await post(
        session, sides, day=bill.issue_date, description=f"Bill {bill.number}", currency=bill.currency, source=bill
    )
    bill.approved_at = utc_now()


@bills.action("void")
async def void_bill(session: AsyncSession, bill: Bill) -> None:
    """Void a bill of which nothing was paid."""
    bill.status = states.after(states.BILL, "void", bill.status, "a bill")
    await require_open(session, bill.issue_date, "gstr3b")
    await reverse_entry(session, bill.entry_id, bill.issue_date)


@expenses.action("approve")
async def approve_expense(session: AsyncSession, expense: Expense) -> None:
    """Put a draft into the books."""
    expense.status = states.after(states.EXPENSE, "approve", expense.status, "an expense")
    await require_open(session, expense.date, "gstr3b")
    paid_from: str | uuid.UUID = "cash"
    if expense.bank_account_id is not None:
        found = select(BankAccount).where(BankAccount.id == expense.bank_account_id)
        bank = (await session.scalars(found)).one()
        if bank.currency != expense.currency:
            raise conflict(f"the bank account is in {bank.currency}", "other_currency")
        paid_from = bank.account_id or "bank"
    expense.number = await next_number(session, "EXP", expense.date)
    expense.entry_id = await post(
        session, purchase(expense, expense.account_id or "expenses", expense.amount, paid_from), day=expense.date,
        description=expense.description, currency=expense.currency, source=expense,
    )  # fmt: skip
    expense.approved_at = utc_now()


@expenses.action("void")
async def void_expense(session: AsyncSession, expense: Expense) -> None:
    """Void an expense that was approved."""
    expense.status = states.after(states.EXPENSE, "void", expense.status, "an expense")
    if await session.scalar(select(BankTransaction.id).where(BankTransaction.expense_id == expense.id)) is not None:
        raise conflict("a bank transaction is matched with it: unmatch that first", "matched")
    await require_open(session, expense.date, "gstr3b")
    await reverse_entry(session, expense.entry_id, expense.date)


@purchase_orders.action("send")
async def send_order(session: AsyncSession, order: PurchaseOrder) -> None:
    """Say that a draft went to the vendor; it gets its number."""
    order.status = states.after(states.PURCHASE_ORDER, "send", order.status, "a purchase order")
    order.number, order.sent_at = await next_number(session, "PO", order.order_date), utc_now()


@purchase_orders.action("cancel")
async def cancel_order(_session: AsyncSession, order: PurchaseOrder) -> None:
    """Cancel an order that has not been billed."""
    order.status = states.after(states.PURCHASE_ORDER, "cancel", order.status, "a purchase order")


@purchase_orders.action("bill", body=BillIn)
async def bill_order(session: AsyncSession, order: PurchaseOrder, body: BillIn) -> None:
    """Make a draft bill of an order, once."""
    order.status = states.after(states.PURCHASE_ORDER, "bill", order.status, "a purchase order")
    bill = Bill(
        id=uuid.uuid4(), vendor_id=order.vendor_id, bill_number=body.bill_number, purchase_order_id=order.id,
        status="draft", issue_date=today(), currency=order.currency, home_state=order.home_state,
        place_of_supply=order.place_of_supply, lines=copy_lines(order, BillLine),
    )  # fmt: skip
    compute(bill)
    session.add(bill)
    order.bill_id = bill.id
