"""GST returns of a month: computed of the documents in rupees, filed once they still say the same."""

import json
from calendar import monthrange
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance import figures, states
from upstream_services.finance.gst import ZERO
from upstream_services.finance.ledger import Side, credit, debit, post
from upstream_services.finance.models import Invoice, InvoiceLine
from upstream_services.finance.periods import lock_month
from upstream_services.finance.purchase_models import Bill, Expense, GstReturn
from upstream_services.finance.trade_models import CreditNote, CreditNoteLine
from upstream_services.kit.errors import conflict
from upstream_services.kit.fields import code
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.validation import Body
from upstream_services.kit.views import to_json

FINAL = ("sent", "partially_paid", "paid")


class FileIn(Body):
    """The acknowledgement number that the portal gave."""

    arn: code(r"[A-Z0-9]{15}", 15) | None = None  # type: ignore[valid-type]


async def return_rules(_session: AsyncSession, row: GstReturn, values: Mapping[str, Any]) -> None:
    """What was filed is final; another month or kind has to be computed anew."""
    if row.status == "filed":
        raise conflict("the return was filed", "filed")
    if values.keys() & {"type", "period"}:
        row.status, row.figures, row.computed_at = "draft", None, None


def may_delete_return(row: GstReturn) -> None:
    """What was filed stays."""
    if row.status == "filed":
        raise conflict("the return was filed", "filed")


gst_returns = Resource(
    name="gst-returns",
    table=GstReturn,
    filters=("type", "period", "status"),
    sortable=("period",),
    rules=return_rules,
    may_delete=may_delete_return,
)


def bounds(period: str) -> tuple[date, date]:
    """The first and the last day of a month."""
    year, month = map(int, period.split("-"))
    return date(year, month, 1), date(year, month, monthrange(year, month)[1])


def _supply(document: Any, line: Any, **more: Any) -> figures.Supply:
    return figures.Supply(
        number=document.number, day=document.issue_date, gstin=document.customer_gstin,
        place=document.place_of_supply, is_intra=document.place_of_supply == document.home_state,
        total=document.total, rate=line.gst_rate, hsn=line.hsn, quantity=line.quantity, taxable=line.taxable,
        cgst=line.cgst, sgst=line.sgst, igst=line.igst, **more,
    )  # fmt: skip


async def supplies_of(session: AsyncSession, period: str) -> list[figures.Supply]:
    """The lines of the month's invoices and credit notes."""
    first, last = bounds(period)
    sold = (
        select(Invoice, InvoiceLine).join(InvoiceLine, InvoiceLine.invoice_id == Invoice.id)
        .where(Invoice.status.in_(FINAL), Invoice.currency == "INR", Invoice.issue_date.between(first, last))
        .order_by(Invoice.number, InvoiceLine.position)
    )  # fmt: skip
    found = [_supply(invoice, line) for invoice, line in await session.execute(sold)]
    back = (
        select(CreditNote, CreditNoteLine, Invoice.total, Invoice.issue_date)
        .join(CreditNoteLine, CreditNoteLine.credit_note_id == CreditNote.id)
        .join(Invoice, Invoice.id == CreditNote.invoice_id)
        .where(CreditNote.status == "issued", CreditNote.currency == "INR", CreditNote.issue_date.between(first, last))
        .order_by(CreditNote.number, CreditNoteLine.position)
    )
    for note, line, total, day in await session.execute(back):
        found.append(_supply(note, line, sign=-1, of_total=total, of_day=day))
    return found


async def credit_of(session: AsyncSession, period: str) -> dict[str, Decimal]:
    """The tax of what was bought in the month."""
    first, last, found = *bounds(period), dict.fromkeys(figures.TAXES, ZERO)
    for table, day, kinds in (
        (Bill, Bill.issue_date, ("approved", "partially_paid", "paid")),
        (Expense, Expense.date, ("approved",)),
    ):
        sums = [func.coalesce(func.sum(getattr(table, tax)), 0) for tax in figures.TAXES]
        of_month = (table.status.in_(kinds), table.currency == "INR", day.between(first, last))
        row = (await session.execute(select(*sums).select_from(table).where(*of_month))).one()
        for tax, amount in zip(figures.TAXES, row, strict=True):
            found[tax] += amount
    return found


async def _issued(session: AsyncSession, period: str) -> list[dict[str, Any]]:
    """Table 13: the numbers that were given out in the month, and how many of them are void."""
    first, last = bounds(period)
    found = []
    for table, name in ((Invoice, "invoices"), (CreditNote, "credit_notes")):
        void = func.count().filter(table.status == "void")
        numbers = select(func.min(table.number), func.max(table.number), func.count(), void).where(
            table.number.is_not(None), table.issue_date.between(first, last)
        )
        low, high, count, cancelled = (await session.execute(numbers)).one()
        if count:
            found.append({"of": name, "from": low, "to": high, "count": count, "cancelled": cancelled})
    return found


async def compute_figures(session: AsyncSession, row: GstReturn) -> dict[str, Any]:
    """The return's figures as JSON keeps them, money as strings."""
    supplies = await supplies_of(session, row.period)
    if row.type == "gstr1":
        made = figures.gstr1(supplies, await _issued(session, row.period))
    else:
        made = figures.gstr3b(supplies, await credit_of(session, row.period))
    kept: dict[str, Any] = json.loads(to_json(made))
    return kept


@gst_returns.action("compute")
async def compute(session: AsyncSession, row: GstReturn) -> None:
    """Compute the figures of the month, as often as need be until the return is filed."""
    result = states.after(states.RETURN, "compute", row.status, "a return")
    row.figures = await compute_figures(session, row)
    row.status, row.computed_at = result, utc_now()


def payment_entry(made: Mapping[str, Any]) -> list[Side]:
    """The entry of a GSTR-3B: credit that was used and cash that is to be paid take the place of the tax."""
    cash = {tax: Decimal(made["cash"][tax]) for tax in figures.TAXES}
    sides = [Side(f"output_{tax}", amount) for tax, amount in cash.items()]
    sides.append(credit("gst_payable", sum(cash.values(), ZERO)))
    for one in made["credit_used"]:
        amount = Decimal(one["amount"])
        sides += [debit(f"output_{one['tax']}", amount), credit(f"input_{one['credit']}", amount)]
    return sides


@gst_returns.action("file", body=FileIn)
async def file(session: AsyncSession, row: GstReturn, body: FileIn) -> None:
    """Say that a return was filed: the documents of its month are final. GSTR-3B settles the tax in the books.

    409 `stale` where the documents say something else by now: compute it again and look at it.
    """
    row.status = states.after(states.RETURN, "file", row.status, "a return")
    await lock_month(session, row.period, alone=True)
    if await compute_figures(session, row) != row.figures:
        raise conflict("the documents of the month have changed since: compute it again", "stale")
    row.filed_at, row.arn = utc_now(), body.arn
    if row.type == "gstr3b" and row.figures is not None:
        row.entry_id = await post(
            session, payment_entry(row.figures), day=bounds(row.period)[1],
            description=f"GSTR-3B of {row.period}", currency="INR", source=row,
        )  # fmt: skip
