"""Invoices that come again: when, and the job that makes them each day."""

import calendar
import uuid
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance import states
from upstream_services.finance.fields import StateCode, today
from upstream_services.finance.inputs import Lines, WithLines, fill, home_state, view
from upstream_services.finance.models import Invoice
from upstream_services.finance.sales import copy_of, make_final, take_customer
from upstream_services.finance.trade_models import RecurringInvoice
from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.fields import Currency, Name
from upstream_services.kit.jobs.declare import job
from upstream_services.kit.jobs.run import Run
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.shapes import body_of

AT_ONCE = 100  # of one row that are made in one run, where it has been forgotten for long


class RecurringCreate(body_of(RecurringInvoice)):  # type: ignore[misc]
    """An invoice that comes again. `is_sent`: each is sent as it is made; a draft without. Lines as of an invoice."""

    customer_name: Name | None = None
    currency: Currency = "INR"
    every: Annotated[int, Field(ge=1, le=52)] = 1
    place_of_supply: StateCode | None = None
    lines: Lines


def add_months(day: date, months: int) -> date:
    """The same day of a later month, or its last where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def due_date_of(start: date, unit: str, every: int, number: int) -> date:
    """When the `number`th invoice, from 0, comes: counted from the start, so the 31st does not wander to the 28th."""
    if unit == "week":
        return start + timedelta(weeks=every * number)
    return add_months(start, every * number * (12 if unit == "year" else 1))


def plan(row: RecurringInvoice) -> None:
    """Sets when the next one comes, or that there is none."""
    following = due_date_of(row.start_date, row.unit, row.every, row.made)
    is_over = row.end_date is not None and following > row.end_date
    row.next_date = None if is_over else following
    if is_over:
        row.status = "ended"


async def recurring_rules(session: AsyncSession, row: RecurringInvoice, values: Mapping[str, Any]) -> None:
    """It ends after it begins; what has begun keeps its rhythm."""
    row.status, row.made = row.status or "active", row.made or 0
    if row.status == "ended":
        raise conflict("it has ended", "illegal_transition")
    if row.made and values.keys() & {"start_date", "unit", "every"}:
        raise conflict("invoices were made: end it and begin another", "illegal_transition")
    if row.end_date is not None and row.end_date < row.start_date:
        raise invalid("end_date", "must not be before start_date")
    await take_customer(session, row, values)
    if row.home_state is None:
        row.home_state = await home_state(session)
    row.place_of_supply = row.place_of_supply or row.home_state
    await fill(session, row, values, row.start_date)
    plan(row)


recurring_invoices = Resource(
    name="recurring-invoices",
    table=RecurringInvoice,
    create=RecurringCreate,
    filters=("status", "customer_id", "next_date"),
    nested_in=("customer_id",),
    rules=recurring_rules,
    view=view,
    extra=WithLines,
)


async def make_next(session: AsyncSession, row: RecurringInvoice) -> Invoice:
    """Makes the invoice that comes next of a row that is locked."""
    if row.status != "active" or row.next_date is None:
        raise conflict(f"it is {row.status}", "illegal_transition")
    day = row.next_date
    due = day + timedelta(days=row.payment_terms)
    invoice = copy_of(row, day, id=uuid.uuid4(), due_date=due, recurring_invoice_id=row.id)
    session.add(invoice)
    await session.flush()
    if row.is_sent:
        await make_final(session, invoice)
    row.made += 1
    row.updated_at = utc_now()
    plan(row)
    return invoice


@recurring_invoices.action("run")
async def run_now(session: AsyncSession, row: RecurringInvoice) -> None:
    """Make the next invoice now."""
    await make_next(session, row)


@recurring_invoices.action("pause")
async def pause(_session: AsyncSession, row: RecurringInvoice) -> None:
    """Make no more until it is resumed."""
    row.status = states.after(states.RECURRING, "pause", row.status, "a recurring invoice")


@recurring_invoices.action("resume")
async def resume(_session: AsyncSession, row: RecurringInvoice) -> None:
    """Go on; what was missed is made by the next run."""
    row.status = states.after(states.RECURRING, "resume", row.status, "a recurring invoice")


@recurring_invoices.action("end")
async def end(_session: AsyncSession, row: RecurringInvoice) -> None:
    """Make no more, ever."""
    row.status = states.after(states.RECURRING, "end", row.status, "a recurring invoice")
    row.next_date = None


@job("recurring-invoices.make", cron="15 0 * * *", tenants_of=RecurringInvoice)
async def make_due(run: Run, _given: Any) -> dict[str, Any]:
    """Make the recurring invoices that are due."""
    now, made = today(), 0
    due = (RecurringInvoice.status == "active", RecurringInvoice.next_date <= now)
    async with run.transaction() as session:
        ids = list((await session.scalars(select(RecurringInvoice.id).where(*due))).all())
    for number, row_id in enumerate(ids):
        async with run.transaction() as session:
            # Locked and looked at again: `next_date` itself says what an attempt before this one has made.
            locked = select(RecurringInvoice).where(RecurringInvoice.id == row_id, *due)
            row = await session.scalar(locked.with_for_update(of=RecurringInvoice))
            while (
                row is not None and row.next_date is not None and row.next_date <= now and made < AT_ONCE * (number + 1)
            ):
                await make_next(session, row)
                made += 1
        await run.progress(number + 1, len(ids))
    return {"made": made}
