"""What the tenant sells: customers, items, invoices and credit notes, with their rules and actions."""

import uuid
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance import states
from upstream_services.finance.fields import StateCode, today
from upstream_services.finance.inputs import Lines, WithLines, compute, copy_lines, fill, home_state, view
from upstream_services.finance.ledger import Side, credit, debit, post, reverse_entry
from upstream_services.finance.mailing import InvoiceOf, send_invoice
from upstream_services.finance.models import Customer, Invoice, InvoiceLine, Item, TaxRate, Vendor
from upstream_services.finance.numbering import next_number
from upstream_services.finance.periods import require_open
from upstream_services.finance.trade_models import CreditNote
from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.fields import Currency, Name
from upstream_services.kit.jobs.declare import enqueue
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.shapes import body_of


class InvoiceCreate(body_of(Invoice)):  # type: ignore[misc]
    """An invoice to a customer, or to somebody named here; without `place_of_supply` it is the customer's state.

    That of a customer of no known state is the tenant's own. A PATCH of `lines` replaces them all.
    """

    customer_name: Name | None = None
    issue_date: date = Field(default_factory=today)
    currency: Currency = "INR"
    place_of_supply: StateCode | None = None
    lines: Lines


class CreditNoteCreate(body_of(CreditNote)):  # type: ignore[misc]
    """What is taken back of an invoice, in its currency. A PATCH of `lines` replaces them all."""

    currency: None = None
    place_of_supply: None = None
    lines: Lines


async def party_rules(session: AsyncSession, row: Any, values: Mapping[str, Any]) -> None:
    """The state is that of the GSTIN, and where it is left out, it is taken from there."""
    if row.gstin is not None and (row.state or row.gstin[:2]) != row.gstin[:2]:
        raise invalid("state", f"the GSTIN is one of state {row.gstin[:2]}")
    if row.gstin is not None:
        row.state = row.gstin[:2]


async def tax_rate_rules(_session: AsyncSession, rate: TaxRate, _values: Mapping[str, Any]) -> None:
    """It ends after it begins."""
    if rate.valid_from and rate.valid_until and rate.valid_until < rate.valid_from:
        raise invalid("valid_until", "must not be before valid_from")


async def take_customer(session: AsyncSession, document: Any, values: Mapping[str, Any]) -> Customer | None:
    """What the document leaves out, its customer says. Raises a 422 problem where it has neither name nor customer."""
    customer = None
    if document.customer_id is not None and ("customer_id" in values or document.place_of_supply is None):
        customer = await session.scalar(select(Customer).where(Customer.id == document.customer_id))
    if customer is not None:
        document.customer_name = values.get("customer_name") or customer.name
        document.customer_email = values.get("customer_email") or customer.email
        document.place_of_supply = values.get("place_of_supply") or customer.state
    if document.customer_name is None:
        raise invalid("customer_name", "is needed without a customer")
    return customer


async def invoice_rules(session: AsyncSession, invoice: Invoice, values: Mapping[str, Any]) -> None:
    """Only drafts change; the dates are in order; lines and totals are computed anew."""
    states.require_draft(invoice.status)
    customer = await take_customer(session, invoice, values)
    if customer is not None:
        invoice.customer_gstin = values.get("customer_gstin") or customer.gstin
        if invoice.due_date is None:
            invoice.due_date = invoice.issue_date + timedelta(days=customer.payment_terms)
    if invoice.due_date is not None and invoice.due_date < invoice.issue_date:
        raise invalid("due_date", "must not be before issue_date")
    if invoice.home_state is None:
        invoice.home_state = await home_state(session)
    invoice.place_of_supply = invoice.place_of_supply or invoice.home_state
    await fill(session, invoice, values, invoice.issue_date)


async def credit_note_rules(session: AsyncSession, note: CreditNote, values: Mapping[str, Any]) -> None:
    """It is of an invoice, under the same states and in the same currency; only one that was sent can be credited."""
    states.require_draft(note.status, "the credit note")
    invoice = (await session.scalars(select(Invoice).where(Invoice.id == note.invoice_id))).one_or_none()
    if invoice is None or invoice.status == "void":
        raise invalid("invoice_id", "there is nothing to credit of an invoice that is void")
    if note.issue_date < invoice.issue_date:
        raise invalid("issue_date", "must not be before the invoice's")
    for name in ("customer_name", "customer_gstin", "currency", "home_state", "place_of_supply"):
        setattr(note, name, getattr(invoice, name))
    await fill(session, note, values, invoice.issue_date)


customers = Resource(
    name="customers", table=Customer, filters=("email", "gstin", "state", "currency"), sortable=("name",),
    rules=party_rules,
)  # fmt: skip

vendors = Resource(
    name="vendors", table=Vendor, filters=("email", "gstin", "state", "currency"), sortable=("name",),
    rules=party_rules,
)  # fmt: skip

tax_rates = Resource(name="tax-rates", table=TaxRate, filters=("rate", "hsn"), sortable=("rate",), rules=tax_rate_rules)

items = Resource(
    name="items", table=Item, filters=("sku", "kind", "hsn", "is_active", "price"), sortable=("name",),
    nested_in=("tax_rate_id",),
)  # fmt: skip

invoices = Resource(
    name="invoices",
    table=Invoice,
    create=InvoiceCreate,
    filters=("status", "customer_id", "customer_email", "deal_id", "number", "issue_date", "due_date", "currency"),
    sortable=("due_date", "issue_date"),
    nested_in=("customer_id",),
    rules=invoice_rules,
    may_delete=lambda invoice: states.require_draft(invoice.status),
    view=view,
    extra=WithLines,
)

credit_notes = Resource(
    name="credit-notes",
    table=CreditNote,
    create=CreditNoteCreate,
    filters=("status", "invoice_id", "number", "issue_date"),
    nested_in=("invoice_id",),
    rules=credit_note_rules,
    may_delete=lambda note: states.require_draft(note.status, "the credit note"),
    view=view,
    extra=WithLines,
)


def sale(document: Any) -> list[Side]:
    """The entry of an invoice: what the customer owes, what was sold, what of it is tax."""
    return [
        debit("receivable", document.total),
        credit("sales", document.taxable),
        *(credit(f"output_{tax}", getattr(document, tax)) for tax in ("cgst", "sgst", "igst")),
    ]


async def make_final(session: AsyncSession, invoice: Invoice) -> None:
    """Numbers a draft and puts it into the books, with the transaction."""
    invoice.status = states.after(states.INVOICE, "send", invoice.status, "an invoice")
    await require_open(session, invoice.issue_date, "gstr1")
    invoice.number = await next_number(session, "INV", invoice.issue_date)
    invoice.entry_id = await post(
        session, sale(invoice), day=invoice.issue_date, description=f"Invoice {invoice.number}",
        currency=invoice.currency, source=invoice,
    )  # fmt: skip
    invoice.sent_at = utc_now()
    if invoice.customer_email is not None:
        await enqueue(session, send_invoice, InvoiceOf(invoice_id=invoice.id), key=f"send-{invoice.id}")


@invoices.action("send")
async def send(session: AsyncSession, invoice: Invoice) -> None:
    """Make a draft final: it gets its number, is put into the books, and goes to the customer by mail."""
    await make_final(session, invoice)


@invoices.action("remind")
async def remind(session: AsyncSession, invoice: Invoice) -> None:
    """Send an invoice that has not been paid once more."""
    if invoice.status not in ("sent", "partially_paid"):
        raise conflict(f"the invoice is {invoice.status}: nothing is to be paid", "illegal_transition")
    if invoice.customer_email is None:
        raise conflict("the invoice has no customer_email", "no_address")
    await enqueue(session, send_invoice, InvoiceOf(invoice_id=invoice.id), key=f"remind-{invoice.id}-{invoice.version}")


@invoices.action("void")
async def void(session: AsyncSession, invoice: Invoice) -> None:
    """Void an invoice of which nothing was paid or credited: its entry is reversed, its number stays."""
    result = states.after(states.INVOICE, "void", invoice.status, "an invoice")
    if invoice.balance != invoice.total:
        raise conflict("something of it was credited: void that first", "illegal_transition")
    await require_open(session, invoice.issue_date, "gstr1")
    await reverse_entry(session, invoice.entry_id, invoice.issue_date)
    invoice.status, invoice.voided_at = result, utc_now()


@invoices.action("duplicate")
async def duplicate(session: AsyncSession, invoice: Invoice) -> None:
    """Make a draft with the same lines, dated today."""
    session.add(copy_of(invoice, today(), id=uuid.uuid4()))


def copy_of(source: Any, day: date, **fields: Any) -> Invoice:
    """A draft of today with the lines of another document."""
    made = Invoice(
        status="draft", issue_date=day, customer_id=source.customer_id, customer_name=source.customer_name,
        customer_email=source.customer_email, customer_gstin=getattr(source, "customer_gstin", None),
        currency=source.currency, home_state=source.home_state, place_of_supply=source.place_of_supply, **fields,
    )  # fmt: skip
    made.lines = copy_lines(source, InvoiceLine)
    compute(made)
    return made


@credit_notes.action("issue")
async def issue(session: AsyncSession, note: CreditNote) -> None:
    """Make a draft final: it lowers what the invoice has yet to be paid."""
    note.status = states.after(states.CREDIT_NOTE, "issue", note.status, "a credit note")
    await require_open(session, note.issue_date, "gstr1")
    invoice = (await session.scalars(select(Invoice).where(Invoice.id == note.invoice_id).with_for_update())).one()
    issued = select(CreditNote.taxable, CreditNote.total).where(
        CreditNote.invoice_id == invoice.id, CreditNote.status == "issued", CreditNote.id != note.id
    )
    before = sum((row.total for row in await session.execute(issued)), Decimal("0.00"))
    if invoice.status in ("draft", "void") or before + note.total > invoice.total:
        raise conflict(f"of {invoice.total} only {invoice.total - before} can be credited", "too_much")
    note.number = await next_number(session, "CN", note.issue_date)
    applied = min(note.total, invoice.balance)
    note.unapplied, note.issued_at = note.total - applied, utc_now()
    invoice.amount_credited += applied
    settle("invoice", invoice, -applied)
    back = [Side(side.account, -side.amount) for side in sale(note)]
    note.entry_id = await post(
        session,
        back,
        day=note.issue_date,
        description=f"Credit note {note.number}",
        currency=note.currency,
        source=note,
    )


def settle(kind: str, document: Any, change: Decimal) -> None:
    """Changes the balance of an invoice or a bill, which is locked, and its state with it."""
    document.balance += change
    document.status = states.settled(kind, document)
    document.paid_at = (document.paid_at or utc_now()) if document.status == "paid" else None
    document.updated_at = utc_now()
