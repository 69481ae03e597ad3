"""The books: accounts and journal entries, and how a document's entry is posted or reversed.

Whatever is posted balances: `post` sees to it, and the database does again when the transaction commits
(migrations/0002: a deferred trigger). What is posted never changes: triggers refuse it, whoever asks.
"""

import datetime
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance.chart import RESERVED, accounts_of
from upstream_services.finance.fields import today
from upstream_services.finance.gst import ZERO
from upstream_services.finance.ledger_models import Account, JournalEntry, JournalLine
from upstream_services.finance.numbering import next_number
from upstream_services.finance.states import require_draft
from upstream_services.kit.errors import conflict, invalid, within
from upstream_services.kit.fields import Money, line
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource, require_reference
from upstream_services.kit.shapes import body_of
from upstream_services.kit.validation import Body
from upstream_services.kit.views import plain_view

Target = str | uuid.UUID  # the role of an account, or its id


class Side(NamedTuple):
    """A line to post: a positive amount is a debit, a negative one a credit."""

    account: Target
    amount: Decimal
    description: str | None = None


def debit(account: Target, amount: Decimal) -> Side:
    """A debit."""
    return Side(account, amount)


def credit(account: Target, amount: Decimal) -> Side:
    """A credit."""
    return Side(account, -amount)


def require_balance(lines: Sequence[tuple[Decimal, Decimal]]) -> Decimal:
    """The sum of the debits of (debit, credit) lines. Raises a 409 problem unless that of the credits is the same."""
    debited, credited = sum((one[0] for one in lines), ZERO), sum((one[1] for one in lines), ZERO)
    if len(lines) < 2:
        raise conflict("an entry has two lines or more", "unbalanced")
    if debited != credited:
        raise conflict(f"the debits are {debited}, the credits {credited}", "unbalanced")
    return debited


async def post(
    session: AsyncSession,
    sides: Sequence[Side],
    *,
    day: datetime.date,
    description: str,
    currency: str,
    source: Any = None,
) -> uuid.UUID | None:
    """Posts an entry and returns its id; None where every amount is nought. `source` is the document's row."""
    sides = [side for side in sides if side.amount != 0]
    if not sides:
        return None
    known = await accounts_of(session, [side.account for side in sides if isinstance(side.account, str)])
    entry = JournalEntry(
        id=uuid.uuid4(), date=day, description=description[:500], currency=currency, status="posted",
        source_type=source.__tablename__ if source is not None else None,
        source_id=source.id if source is not None else None,
    )  # fmt: skip
    entry.lines = [
        JournalLine(
            position=position, description=side.description,
            account_id=known[side.account] if isinstance(side.account, str) else side.account,
            debit=max(side.amount, ZERO), credit=max(-side.amount, ZERO),
        )
        for position, side in enumerate(sides)
    ]  # fmt: skip
    await _finish(session, entry)
    session.add(entry)
    return entry.id


async def _finish(session: AsyncSession, entry: JournalEntry) -> None:
    entry.total = require_balance([(one.debit, one.credit) for one in entry.lines])
    entry.number = await next_number(session, "JE", entry.date)
    entry.status, entry.posted_at = "posted", utc_now()


async def reverse_entry(session: AsyncSession, entry_id: uuid.UUID | None, day: datetime.date) -> uuid.UUID | None:
    """Posts the opposite of an entry and returns its id. Raises a 409 problem where that was done before."""
    if entry_id is None:
        return None
    found = await session.scalars(select(JournalEntry).where(JournalEntry.id == entry_id).with_for_update())
    return (await _reverse(session, found.one(), day)).id


async def _reverse(session: AsyncSession, entry: JournalEntry, day: datetime.date) -> JournalEntry:
    if entry.status != "posted":
        raise conflict("only a posted entry is reversed; a draft can be deleted", "illegal_transition")
    if entry.reversed_by_id is not None:
        raise conflict("the entry was reversed before", "illegal_transition")
    if day < entry.date:
        raise invalid("date", f"must not be before the entry's, {entry.date}")
    opposite = JournalEntry(
        id=uuid.uuid4(), date=day, description=f"Reversal of {entry.number}", currency=entry.currency,
        source_type=entry.source_type, source_id=entry.source_id, reverses_id=entry.id,
    )  # fmt: skip
    opposite.lines = [
        JournalLine(position=one.position, account_id=one.account_id, debit=one.credit, credit=one.debit)
        for one in entry.lines
    ]
    await _finish(session, opposite)
    session.add(opposite)
    entry.reversed_by_id, entry.updated_at = opposite.id, utc_now()
    return opposite


class EntryLineIn(Body):
    """A line of an entry: a debit or a credit."""

    account_id: uuid.UUID
    debit: Money = Decimal("0.00")
    credit: Money = Decimal("0.00")
    description: line(500) | None = None  # type: ignore[valid-type]


class EntryCreate(body_of(JournalEntry)):  # type: ignore[misc]
    """An entry by hand, a draft until it is posted. A PATCH of `lines` replaces them all."""

    lines: Annotated[list[EntryLineIn], Field(max_length=200)]


class EntryLineOut(BaseModel):
    """A line of an entry."""

    account_id: uuid.UUID
    debit: Decimal
    credit: Decimal
    description: str | None


class EntryExtra(BaseModel):
    """What a reply shows of an entry beyond its columns."""

    lines: list[EntryLineOut]


class ReverseIn(Body):
    """When; today if left out."""

    date: datetime.date | None = None


def entry_view(entry: JournalEntry) -> dict[str, Any]:
    """An entry with its lines."""
    names = EntryLineOut.model_fields
    return plain_view(entry) | {"lines": [{name: getattr(one, name) for name in names} for one in entry.lines]}


async def entry_rules(session: AsyncSession, entry: JournalEntry, values: Mapping[str, Any]) -> None:
    """Only drafts change; each line has one side and an account. It need not balance until it is posted."""
    require_draft(entry.status, "the entry")
    if "lines" not in values:
        return
    lines = [{"debit": ZERO, "credit": ZERO} | one for one in values["lines"]]  # a PATCH leaves out what was not sent
    for number, given in enumerate(lines):
        with within(f"lines.{number}"):
            if (given["debit"] == 0) == (given["credit"] == 0):
                raise invalid("debit", "a line is a debit or a credit")
            await require_reference(session, Account, given["account_id"], "account_id")
    entry.lines = [JournalLine(position=number, **given) for number, given in enumerate(lines)]
    entry.total = sum((one.debit for one in entry.lines), ZERO)


async def account_rules(session: AsyncSession, account: Account, values: Mapping[str, Any]) -> None:
    """The chart's own codes are the service's; the type stays once something was posted there."""
    if account.role is None and account.code in RESERVED:
        raise invalid("code", f"is kept for the account that is the {RESERVED[account.code]} of the chart")
    if account.version is None or not values.keys() & {"type", "code"}:
        return
    if account.role is not None:
        raise conflict("an account of the chart keeps its code and type", "of_the_chart")
    used = select(JournalLine.entry_id).where(JournalLine.account_id == account.id).limit(1)
    if "type" in values and await session.scalar(used) is not None:
        raise conflict("there are entries of this account: it keeps its type", "in_use")


def may_delete_account(account: Account) -> None:
    """What the service posts to stays."""
    if account.role is not None:
        raise conflict("an account of the chart stays", "of_the_chart")


accounts = Resource(
    name="accounts",
    table=Account,
    filters=("type", "code", "role"),
    sortable=("code", "name"),
    rules=account_rules,
    may_delete=may_delete_account,
)

journal_entries = Resource(
    name="journal-entries",
    table=JournalEntry,
    create=EntryCreate,
    filters=("status", "date", "number", "source_type", "source_id", "currency"),
    sortable=("date",),
    rules=entry_rules,
    may_delete=lambda entry: require_draft(entry.status, "the entry"),
    view=entry_view,
    extra=EntryExtra,
)


@journal_entries.action("post")
async def post_entry(session: AsyncSession, entry: JournalEntry) -> None:
    """Post a draft: it gets its number and never changes again."""
    require_draft(entry.status, "the entry")
    await _finish(session, entry)


@journal_entries.action("reverse", body=ReverseIn)
async def reverse(session: AsyncSession, entry: JournalEntry, body: ReverseIn) -> dict[str, Any] | None:
    """Post the opposite of an entry that was written by hand."""
    if entry.source_id is not None:
        raise conflict(f"it is of {entry.source_type}: void that", "of_a_document")
    await _reverse(session, entry, body.date or max(today(), entry.date))
    return None
