"""The reports of Finance, each of the books in one currency: rupees and dollars do not add up."""

import datetime
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field
from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance.fields import today
from upstream_services.finance.gst import ZERO
from upstream_services.finance.ledger_models import Account, BankTransaction, JournalEntry, JournalLine
from upstream_services.finance.models import Invoice
from upstream_services.finance.numbering import first_day
from upstream_services.finance.purchase_models import Bill
from upstream_services.finance.trade_models import CreditNote, Payment
from upstream_services.kit.errors import invalid
from upstream_services.kit.operations import report
from upstream_services.kit.validation import Query

Code = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
DEBIT_TYPES = ("asset", "expense")
BUCKETS = ("current", "days_1_30", "days_31_60", "days_61_90", "over_90")


class AsOf(Query):
    """On which day, today without; in which currency."""

    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    currency: Code = "INR"

    def day(self) -> datetime.date:
        """The day. Raises a 422 problem for one that is none."""
        return _day("date", self.date) or today()


class Period(Query):
    """From which day to which; the financial year until today without. In which currency."""

    since: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    until: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    currency: Code = "INR"

    def bounds(self) -> tuple[date, date]:
        """Both days."""
        until = _day("until", self.until) or today()
        since = _day("since", self.since) or first_day(until)
        if since > until:
            raise invalid("since", "must not be after until")
        return since, until


def _day(field: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise invalid(field, "is no day") from None


class Total(BaseModel):
    """What one account has come to."""

    code: str
    name: str
    type: str
    amount: Decimal


class TrialLine(BaseModel):
    """The balance of one account, on its side."""

    code: str
    name: str
    type: str
    debit: Decimal
    credit: Decimal


class TrialBalance(BaseModel):
    """The balances of all accounts; both sums are the same."""

    date: date
    currency: str
    accounts: list[TrialLine]
    debit: Decimal
    credit: Decimal


class ProfitAndLoss(BaseModel):
    """What was earned and spent; `profit` is the difference."""

    since: date
    until: date
    currency: str
    income: list[Total]
    expenses: list[Total]
    total_income: Decimal
    total_expenses: Decimal
    profit: Decimal


class BalanceSheet(BaseModel):
    """What there is, what is owed, and what is left; `assets` are `liabilities` and `equity` together."""

    date: date
    currency: str
    assets: list[Total]
    liabilities: list[Total]
    equity: list[Total]
    total_assets: Decimal
    total_liabilities: Decimal
    retained_earnings: Decimal
    total_equity: Decimal


class Aged(BaseModel):
    """What one party owes or is owed, by how many days it is overdue."""

    party: str
    current: Decimal
    days_1_30: Decimal
    days_31_60: Decimal
    days_61_90: Decimal
    over_90: Decimal
    total: Decimal


class AgedReport(BaseModel):
    """What is owed, by party. `unapplied`: payments and credit notes that pay nothing yet. `net`: as the books say."""

    date: date
    currency: str
    parties: list[Aged]
    total: Decimal
    unapplied: Decimal
    net: Decimal


async def totals(session: AsyncSession, currency: str, until: date, since: date | None = None) -> list[Any]:
    """Of each account that was posted to: code, name, type, debits less credits."""
    balance = func.sum(JournalLine.debit - JournalLine.credit)
    statement = (
        select(Account.code, Account.name, Account.type, balance)
        .join(JournalLine, JournalLine.account_id == Account.id)
        .join(JournalEntry, JournalEntry.id == JournalLine.entry_id)
        .where(JournalEntry.status == "posted", JournalEntry.currency == currency, JournalEntry.date <= until)
        .group_by(Account.code, Account.name, Account.type)
        .order_by(Account.code)
    )
    if since is not None:
        statement = statement.where(JournalEntry.date >= since)
    return list(await session.execute(statement))


def _of(rows: list[Any], kind: str) -> list[Total]:
    sign = 1 if kind in DEBIT_TYPES else -1
    return [Total(code=c, name=n, type=t, amount=sign * amount) for c, n, t, amount in rows if t == kind]


def _sum(found: list[Total]) -> Decimal:
    return sum((one.amount for one in found), ZERO)


@report("reports/trial-balance", query=AsOf, reply=TrialBalance)
async def trial_balance(session: AsyncSession, query: AsOf) -> TrialBalance:
    """The balance of every account, debits and credits."""
    rows = await totals(session, query.currency, query.day())
    lines = [
        TrialLine(code=c, name=n, type=t, debit=max(amount, ZERO), credit=max(-amount, ZERO))
        for c, n, t, amount in rows
    ]
    debited, credited = sum((one.debit for one in lines), ZERO), sum((one.credit for one in lines), ZERO)
    return TrialBalance(date=query.day(), currency=query.currency, accounts=lines, debit=debited, credit=credited)


@report("reports/profit-and-loss", query=Period, reply=ProfitAndLoss)
async def profit_and_loss(session: AsyncSession, query: Period) -> ProfitAndLoss:
    """What was earned and spent in a period."""
    since, until = query.bounds()
    rows = await totals(session, query.currency, until, since)
    income, expenses = _of(rows, "income"), _of(rows, "expense")
    return ProfitAndLoss(
        since=since, until=until, currency=query.currency, income=income, expenses=expenses,
        total_income=_sum(income), total_expenses=_sum(expenses), profit=_sum(income) - _sum(expenses),
    )  # fmt: skip


@report("reports/balance-sheet", query=AsOf, reply=BalanceSheet)
async def balance_sheet(session: AsyncSession, query: AsOf) -> BalanceSheet:
    """What there is, what is owed and what is left on a day."""
    rows = await totals(session, query.currency, query.day())
    assets, liabilities, equity = _of(rows, "asset"), _of(rows, "liability"), _of(rows, "equity")
    retained = _sum(_of(rows, "income")) - _sum(_of(rows, "expense"))
    return BalanceSheet(
        date=query.day(), currency=query.currency, assets=assets, liabilities=liabilities, equity=equity,
        total_assets=_sum(assets), total_liabilities=_sum(liabilities), retained_earnings=retained,
        total_equity=_sum(equity) + retained,
    )  # fmt: skip


class InCurrency(Query):
    """In which currency."""

    currency: Code = "INR"


async def _aged(session: AsyncSession, table: Any, party: Any, kinds: tuple[str, ...], currency: str) -> list[Aged]:
    day = today()
    late = day - func.coalesce(table.due_date, table.issue_date)
    edges = (late <= 0, late <= 30, late <= 60, late <= 90)
    bucket = case(*[(edge, name) for edge, name in zip(edges, BUCKETS, strict=False)], else_=BUCKETS[-1])
    statement = (
        select(party, bucket, func.sum(table.balance))
        .where(table.status.in_(kinds), table.currency == currency)
        .group_by(party, bucket)
    )
    found: dict[str, dict[str, Decimal]] = {}
    for name, which, amount in await session.execute(statement):
        found.setdefault(str(name), dict.fromkeys(BUCKETS, ZERO))[which] += amount
    return [Aged(party=name, **sums, total=sum(sums.values(), ZERO)) for name, sums in sorted(found.items())]


async def _unallocated(session: AsyncSession, direction: str, currency: str) -> Decimal:
    rest = func.coalesce(func.sum(Payment.amount - Payment.allocated), ZERO)
    posted = (Payment.status == "posted", Payment.direction == direction, Payment.currency == currency)
    return (await session.scalars(select(rest).where(*posted))).one()


@report("reports/aged-receivables", query=InCurrency, reply=AgedReport)
async def aged_receivables(session: AsyncSession, query: InCurrency) -> AgedReport:
    """What customers owe today, by how long it has been overdue."""
    parties = await _aged(session, Invoice, Invoice.customer_name, ("sent", "partially_paid"), query.currency)
    credited = select(func.coalesce(func.sum(CreditNote.unapplied), ZERO)).where(
        CreditNote.status == "issued", CreditNote.currency == query.currency
    )
    unapplied = await _unallocated(session, "received", query.currency) + (await session.scalars(credited)).one()
    total = sum((one.total for one in parties), ZERO)
    return AgedReport(
        date=today(), currency=query.currency, parties=parties, total=total, unapplied=unapplied, net=total - unapplied
    )


@report("reports/aged-payables", query=InCurrency, reply=AgedReport)
async def aged_payables(session: AsyncSession, query: InCurrency) -> AgedReport:
    """What vendors are owed today, by how long it has been overdue. A party is the vendor's id."""
    parties = await _aged(session, Bill, Bill.vendor_id, ("approved", "partially_paid"), query.currency)
    unapplied, total = await _unallocated(session, "paid", query.currency), sum((one.total for one in parties), ZERO)
    return AgedReport(
        date=today(), currency=query.currency, parties=parties, total=total, unapplied=unapplied, net=total - unapplied
    )


class DashboardStats(BaseModel):
    """The figures of the first page, in one currency."""

    currency: str
    invoices_draft: int
    invoices_open: int
    invoices_overdue: int
    receivable: Decimal
    overdue: Decimal
    payable: Decimal
    invoiced_this_month: Decimal
    received_last_30_days: Decimal
    paid_last_30_days: Decimal
    bank_transactions_unmatched: int


@report("dashboard/stats", query=InCurrency, reply=DashboardStats)
async def dashboard_stats(session: AsyncSession, query: InCurrency) -> DashboardStats:
    """The figures of the first page."""
    day, is_open = today(), Invoice.status.in_(("sent", "partially_paid"))
    is_late, is_final = is_open & (Invoice.due_date < day), Invoice.status.in_(("sent", "partially_paid", "paid"))
    count, total = func.count(Invoice.id), lambda column, rule: func.coalesce(func.sum(column).filter(rule), ZERO)
    drafts, opened, late, receivable, overdue, invoiced = (
        await session.execute(
            select(
                count.filter(Invoice.status == "draft"), count.filter(is_open), count.filter(is_late),
                total(Invoice.balance, is_open), total(Invoice.balance, is_late),
                total(Invoice.total, is_final & (Invoice.issue_date >= day.replace(day=1))),
            ).where(Invoice.currency == query.currency)
        )
    ).one()  # fmt: skip
    owed = select(func.coalesce(func.sum(Bill.balance), ZERO)).where(
        Bill.status.in_(("approved", "partially_paid")), Bill.currency == query.currency
    )
    recent = (Payment.status == "posted", Payment.currency == query.currency, Payment.date > day - timedelta(days=30))
    moved = select(Payment.direction, func.sum(Payment.amount)).where(*recent).group_by(Payment.direction)
    flows = {row.direction: row[1] for row in await session.execute(moved)}
    unmatched = select(func.count(BankTransaction.id)).where(BankTransaction.status == "unmatched")
    return DashboardStats(
        currency=query.currency, invoices_draft=drafts, invoices_open=opened, invoices_overdue=late,
        receivable=receivable, overdue=overdue, payable=(await session.scalars(owed)).one(),
        invoiced_this_month=invoiced, received_last_30_days=flows.get("received", ZERO),
        paid_last_30_days=flows.get("paid", ZERO), bank_transactions_unmatched=await session.scalar(unmatched) or 0,
    )  # fmt: skip
