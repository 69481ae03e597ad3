"""Payments: what comes in and goes out, and which invoices and bills it pays."""

import datetime
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance import states
from upstream_services.finance.fields import Positive, today
from upstream_services.finance.ledger import credit, debit, post, reverse_entry
from upstream_services.finance.ledger_models import BankAccount, BankTransaction
from upstream_services.finance.models import Invoice
from upstream_services.finance.numbering import next_number
from upstream_services.finance.purchase_models import Bill
from upstream_services.finance.purchases import bills
from upstream_services.finance.sales import invoices, settle
from upstream_services.finance.trade_models import Allocation, Payment
from upstream_services.kit.errors import conflict, invalid, within
from upstream_services.kit.fields import Name
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource, require_reference
from upstream_services.kit.validation import Body
from upstream_services.kit.views import plain_view

# Direction -> what such a payment pays, and the account of what is owed.
PAYS: dict[str, tuple[str, Any, str]] = {
    "received": ("invoice", Invoice, "receivable"),
    "paid": ("bill", Bill, "payable"),
}


class AllocationIn(Body):
    """What of a payment goes to an invoice, or to a bill."""

    document_id: uuid.UUID
    amount: Positive


class AllocateIn(Body):
    """Where a payment goes."""

    allocations: Annotated[list[AllocationIn], Field(min_length=1, max_length=100)]


class DeallocateIn(Body):
    """The invoice or bill from which it is taken."""

    document_id: uuid.UUID


class RecordIn(Body):
    """A payment as it came; all that is still owed if `amount` is left out."""

    amount: Positive | None = None
    date: datetime.date | None = None
    bank_account_id: uuid.UUID | None = None
    reference: Name | None = None


class AllocationOut(BaseModel):
    """What of a payment went to one document."""

    document_id: uuid.UUID
    amount: Decimal


class PaymentExtra(BaseModel):
    """What a reply shows of a payment beyond its columns."""

    allocations: list[AllocationOut]


def payment_view(payment: Payment) -> dict[str, Any]:
    """A payment with its allocations."""
    shown = [{"document_id": one.document_id, "amount": one.amount} for one in payment.allocations]
    return plain_view(payment) | {"allocations": shown}


async def payment_rules(session: AsyncSession, payment: Payment, _values: Mapping[str, Any]) -> None:
    """Only drafts change; what is received is of customers, what is paid is to vendors; the bank has the currency."""
    states.require_draft(payment.status, "the payment")
    if payment.version is None:
        payment.allocations = []
    if payment.direction == "received" and payment.vendor_id is not None:
        raise invalid("vendor_id", "what is received is of a customer")
    if payment.direction == "paid" and payment.customer_id is not None:
        raise invalid("customer_id", "what is paid is to a vendor")
    await bank_of(session, payment)


async def bank_of(session: AsyncSession, document: Any) -> str | uuid.UUID:
    """The account in the books that money goes through: its bank account's, else the till or the bank of the chart."""
    if document.bank_account_id is None:
        return "cash" if getattr(document, "method", None) == "cash" else "bank"
    bank = await session.scalar(select(BankAccount).where(BankAccount.id == document.bank_account_id))
    if bank is None or bank.account_id is None:
        raise invalid("bank_account_id", "there is no such bank account")
    if bank.currency != document.currency:
        raise invalid("bank_account_id", f"the bank account is in {bank.currency}")
    return bank.account_id


payments = Resource(
    name="payments",
    table=Payment,
    filters=("status", "direction", "method", "customer_id", "vendor_id", "bank_account_id", "date", "amount"),
    sortable=("date",),
    nested_in=("customer_id", "vendor_id"),
    rules=payment_rules,
    may_delete=lambda payment: states.require_draft(payment.status, "the payment"),
    view=payment_view,
    extra=PaymentExtra,
)


async def post_payment(session: AsyncSession, payment: Payment) -> None:
    """Numbers a draft and puts it into the books, with the transaction."""
    payment.status = states.after(states.PAYMENT, "post", payment.status, "a payment")
    received = payment.direction == "received"
    owed, bank = PAYS[payment.direction][2], await bank_of(session, payment)
    payment.number = await next_number(session, "RCT" if received else "PAY", payment.date)
    sides = [debit(bank, payment.amount), credit(owed, payment.amount)]
    if not received:
        sides = [debit(owed, payment.amount), credit(bank, payment.amount)]
    payment.entry_id = await post(
        session, sides, day=payment.date, description=f"Payment {payment.number}", currency=payment.currency,
        source=payment,
    )  # fmt: skip
    payment.posted_at = utc_now()


async def _locked(session: AsyncSession, payment: Payment, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Any]:
    """The documents, locked in one order, so that payments that share some of them wait and do not embrace."""
    table = PAYS[payment.direction][1]
    statement = select(table).where(table.id.in_(ids)).order_by(table.id).with_for_update(of=table)
    return {row.id: row for row in (await session.scalars(statement)).all()}


async def allocate_to(session: AsyncSession, payment: Payment, wishes: Sequence[tuple[uuid.UUID, Decimal]]) -> None:
    """Lets a posted payment, which is locked, pay documents. Raises problems where there is not so much, or owed."""
    kind = PAYS[payment.direction][0]
    if payment.status != "posted":
        raise conflict(f"the payment is {payment.status}: post it first", "illegal_transition")
    documents = await _locked(session, payment, [document_id for document_id, _ in wishes])
    known = {one.document_id: one for one in payment.allocations}
    for number, (document_id, amount) in enumerate(wishes):
        document = documents.get(document_id)
        with within(f"allocations.{number}"):
            if document is None:
                raise invalid("document_id", f"there is no such {kind}")
            if document.status not in states.OWED[kind][:2]:
                raise conflict(f"the {kind} is {document.status}: nothing is to be paid", "illegal_transition")
            if document.currency != payment.currency:
                raise invalid("document_id", f"the {kind} is in {document.currency}")
            whose = "customer_id" if kind == "invoice" else "vendor_id"
            if getattr(payment, whose) is not None and getattr(document, whose) != getattr(payment, whose):
                raise invalid("document_id", f"the {kind} is of somebody else")
            if amount > document.balance:
                raise invalid("amount", f"only {document.balance} is to be paid")
            if amount > payment.amount - payment.allocated:
                raise invalid("amount", f"only {payment.amount - payment.allocated} of the payment is left")
        if document_id in known:
            known[document_id].amount += amount
        else:
            column = {f"{kind}_id": document_id}
            known[document_id] = Allocation(document_id=document_id, amount=amount, **column)
            payment.allocations.append(known[document_id])
        payment.allocated += amount
        document.amount_paid += amount
        settle(kind, document, -amount)


async def take_back(session: AsyncSession, payment: Payment, ids: Sequence[uuid.UUID]) -> None:
    """Takes a payment back from documents."""
    kind = PAYS[payment.direction][0]
    documents = await _locked(session, payment, ids)
    for one in [one for one in payment.allocations if one.document_id in documents]:
        document = documents[one.document_id]
        document.amount_paid -= one.amount
        settle(kind, document, one.amount)
        payment.allocated -= one.amount
        payment.allocations.remove(one)


@payments.action("post")
async def post_one(session: AsyncSession, payment: Payment) -> None:
    """Put a draft into the books; it can be allocated then."""
    await post_payment(session, payment)


@payments.action("allocate", body=AllocateIn)
async def allocate(session: AsyncSession, payment: Payment, body: AllocateIn) -> None:
    """Say which invoices or bills a payment pays, and how much of each."""
    await allocate_to(session, payment, [(one.document_id, one.amount) for one in body.allocations])


@payments.action("auto-allocate")
async def auto_allocate(session: AsyncSession, payment: Payment) -> None:
    """Let a payment pay what its customer or vendor has owed longest."""
    kind, table, _ = PAYS[payment.direction]
    whose = "customer_id" if kind == "invoice" else "vendor_id"
    if getattr(payment, whose) is None:
        raise conflict(f"the payment has no {whose}", "no_party")
    statement = select(table.id).where(
        getattr(table, whose) == getattr(payment, whose), table.status.in_(states.OWED[kind][:2]),
        table.currency == payment.currency,
    )  # fmt: skip
    ordered = statement.order_by(table.due_date.asc().nulls_last(), table.issue_date, table.id).limit(100)
    ids = list((await session.scalars(ordered)).all())
    documents, left, wishes = await _locked(session, payment, ids), payment.amount - payment.allocated, []
    for document_id in ids:
        amount = min(left, documents[document_id].balance)
        if amount > 0:
            wishes.append((document_id, amount))
            left -= amount
    await allocate_to(session, payment, wishes)


@payments.action("deallocate", body=DeallocateIn)
async def deallocate(session: AsyncSession, payment: Payment, body: DeallocateIn) -> None:
    """Take a payment back from an invoice or bill."""
    if body.document_id not in {one.document_id for one in payment.allocations}:
        raise invalid("document_id", "the payment does not pay this")
    await take_back(session, payment, [body.document_id])


@payments.action("void")
async def void_payment(session: AsyncSession, payment: Payment) -> None:
    """Void a payment: what it paid is owed again, its entry is reversed."""
    result = states.after(states.PAYMENT, "void", payment.status, "a payment")
    matched = select(BankTransaction.id).where(BankTransaction.payment_id == payment.id)
    if await session.scalar(matched) is not None:
        raise conflict("a bank transaction is matched with it: unmatch that first", "matched")
    await take_back(session, payment, [one.document_id for one in payment.allocations])
    await reverse_entry(session, payment.entry_id, max(today(), payment.date))
    payment.status = result


async def record(session: AsyncSession, kind: str, document: Any, body: RecordIn) -> None:
    """Makes and posts a payment that pays a document, which is locked."""
    table = states.INVOICE if kind == "invoice" else states.BILL
    states.after(table, "pay", document.status, f"an {kind}" if kind == "invoice" else f"a {kind}")
    amount = document.balance if body.amount is None else body.amount
    if amount > document.balance:
        raise invalid("amount", f"only {document.balance} is to be paid")
    if amount == 0:
        settle(kind, document, Decimal("0.00"))
        return
    if body.bank_account_id is not None:
        await require_reference(session, BankAccount, body.bank_account_id, "bank_account_id")
    payment = Payment(
        id=uuid.uuid4(), direction="received" if kind == "invoice" else "paid", status="draft",
        date=body.date or today(), amount=amount, currency=document.currency, method="bank_transfer",
        bank_account_id=body.bank_account_id, reference=body.reference, allocated=Decimal("0.00"),
        customer_id=getattr(document, "customer_id", None), vendor_id=getattr(document, "vendor_id", None),
    )  # fmt: skip
    payment.allocations = []
    session.add(payment)
    await post_payment(session, payment)
    await allocate_to(session, payment, [(document.id, amount)])


@invoices.action("pay")
async def pay(session: AsyncSession, invoice: Invoice) -> None:
    """Say that a sent invoice has been paid in full, today, to the bank of the chart."""
    await record(session, "invoice", invoice, RecordIn())


@invoices.action("record-payment", body=RecordIn)
async def record_payment(session: AsyncSession, invoice: Invoice, body: RecordIn) -> None:
    """Record a payment of an invoice, of all or of a part."""
    await record(session, "invoice", invoice, body)


@bills.action("pay", body=RecordIn)
async def pay_bill(session: AsyncSession, bill: Bill, body: RecordIn) -> None:
    """Record the payment of a bill, of all or of a part."""
    await record(session, "bill", bill, body)
