"""The reports of CRM. Sums of money are by currency: rupees and dollars do not add up."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.crm.models import Company, Contact, Deal, Lead, Stage
from upstream_services.crm.sales_models import Order
from upstream_services.crm.work_models import Activity, Task, Ticket
from upstream_services.kit.model import utc_now
from upstream_services.kit.operations import report
from upstream_services.kit.validation import Query

OPEN_STAGES = ("new", "qualified", "proposal", "negotiation")
# In percent, of a deal that is in no stage of a pipeline of the tenant's own.
USUAL = {"new": 10, "qualified": 25, "proposal": 50, "negotiation": 75}
HUNDRED = Decimal(100)


class StageTotal(BaseModel):
    """The deals of one stage in one currency."""

    stage: str
    currency: str
    count: int
    value: Decimal


class PipelineReport(BaseModel):
    """Deals by stage."""

    stages: list[StageTotal]


@report("reports/pipeline", reply=PipelineReport)
async def pipeline(session: AsyncSession) -> PipelineReport:
    """How many deals are in each stage, and what they are worth."""
    rows = await session.execute(
        select(Deal.stage, Deal.currency, func.count(), func.sum(Deal.value))
        .group_by(Deal.stage, Deal.currency)
        .order_by(Deal.stage, Deal.currency)
    )
    return PipelineReport(stages=[StageTotal(stage=s, currency=c, count=n, value=v) for s, c, n, v in rows])


class ForecastQuery(Query):
    """How far to look."""

    months: int = Field(default=6, ge=1, le=24)


class MonthTotal(BaseModel):
    """The open deals that are to close in a month ("2026-01") in one currency; `weighted` by their probability."""

    month: str
    currency: str
    count: int
    value: Decimal
    weighted: Decimal


class ForecastReport(BaseModel):
    """Open deals by the month that they are expected to close in, with those that are overdue in the first."""

    months: list[MonthTotal]


def month_after(day: date, months: int) -> date:
    """The first day of the month so many months on."""
    number = day.year * 12 + day.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


@report("reports/forecast", query=ForecastQuery, reply=ForecastReport)
async def forecast(session: AsyncSession, query: ForecastQuery) -> ForecastReport:
    """What the open deals will bring, by month."""
    today = utc_now().date()
    rows = await session.execute(
        select(Deal.expected_close, Deal.currency, Deal.stage, Stage.probability, func.count(), func.sum(Deal.value))
        .outerjoin(Stage, (Stage.tenant_id == Deal.tenant_id) & (Stage.id == Deal.stage_id))
        .where(Deal.stage.in_(OPEN_STAGES), Deal.expected_close < month_after(today, query.months))
        .group_by(Deal.expected_close, Deal.currency, Deal.stage, Stage.probability)
    )
    totals: dict[tuple[str, str], list[Any]] = {}
    for close, currency, stage, probability, count, value in rows:
        total = totals.setdefault((f"{max(close, today):%Y-%m}", currency), [0, Decimal("0.00"), Decimal("0.00")])
        total[0] += count
        total[1] += value
        total[2] += value * (probability if probability is not None else USUAL[stage]) / HUNDRED
    return ForecastReport(
        months=[
            MonthTotal(month=m, currency=c, count=n, value=v, weighted=w.quantize(Decimal("0.01")))
            for (m, c), (n, v, w) in sorted(totals.items())
        ]
    )


class PeriodQuery(Query):
    """From when to when; the last 30 days without."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """Both ends."""
        until = self.until or now
        return self.since or until - timedelta(days=30), until


class ActivityTotal(BaseModel):
    """The activities of one type of one person."""

    type: str
    owner_id: str | None
    count: int
    minutes: int


class ActivityReport(BaseModel):
    """What was done in a period."""

    activities: list[ActivityTotal]
    tasks_completed: int
    tickets_solved: int


@report("reports/activity", query=PeriodQuery, reply=ActivityReport)
async def activity(session: AsyncSession, query: PeriodQuery) -> ActivityReport:
    """What was done, by type and person."""
    since, until = query.bounds(utc_now())
    rows = await session.execute(
        select(Activity.type, Activity.owner_id, func.count(), func.coalesce(func.sum(Activity.minutes), 0))
        .where(Activity.happened_at >= since, Activity.happened_at < until)
        .group_by(Activity.type, Activity.owner_id)
        .order_by(Activity.type, Activity.owner_id)
    )
    found = [ActivityTotal(type=t, owner_id=o, count=n, minutes=m) for t, o, n, m in rows]
    tasks = select(func.count(Task.id)).where(Task.completed_at >= since, Task.completed_at < until)
    tickets = select(func.count(Ticket.id)).where(Ticket.solved_at >= since, Ticket.solved_at < until)
    done, solved = await session.scalar(tasks), await session.scalar(tickets)
    return ActivityReport(activities=found, tasks_completed=done or 0, tickets_solved=solved or 0)


class DashboardStats(BaseModel):
    """The figures of the first page."""

    contacts: int
    companies: int
    leads_open: int
    deals_open: int
    deals_open_value: dict[str, Decimal]
    deals_won_this_month: int
    deals_won_this_month_value: dict[str, Decimal]
    orders_open: int
    tasks_overdue: int
    tickets_open: int
    changed_at: datetime | None
    """When a contact or a deal was last changed; None where there is none."""


async def _changed_at(session: AsyncSession, *tables: Any) -> datetime | None:
    """When a row of one of them was last changed."""
    times = [await session.scalar(select(func.max(table.updated_at))) for table in tables]
    return max((time for time in times if time is not None), default=None)


async def _count(session: AsyncSession, table: Any, *conditions: Any) -> int:
    return int(await session.scalar(select(func.count(table.id)).where(*conditions)) or 0)


async def _sums(session: AsyncSession, *conditions: Any) -> tuple[int, dict[str, Decimal]]:
    grouped = select(Deal.currency, func.count(), func.sum(Deal.value)).where(*conditions).group_by(Deal.currency)
    rows = (await session.execute(grouped.order_by(Deal.currency))).all()
    return sum(row[1] for row in rows), {row[0]: row[2] for row in rows}


@report("dashboard/stats", reply=DashboardStats)
async def dashboard_stats(session: AsyncSession) -> DashboardStats:
    """The figures of the first page."""
    now = utc_now()
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    open_count, open_value = await _sums(session, Deal.stage.in_(OPEN_STAGES))
    won_count, won_value = await _sums(session, Deal.stage == "won", Deal.closed_at >= month)
    return DashboardStats(
        contacts=await _count(session, Contact),
        companies=await _count(session, Company),
        leads_open=await _count(session, Lead, Lead.converted_at.is_(None), Lead.status != "unqualified"),
        deals_open=open_count,
        deals_open_value=open_value,
        deals_won_this_month=won_count,
        deals_won_this_month_value=won_value,
        orders_open=await _count(session, Order, Order.status == "open"),
        tasks_overdue=await _count(session, Task, Task.status == "open", Task.due_at < now),
        tickets_open=await _count(session, Ticket, Ticket.status.in_(("open", "pending"))),
        changed_at=await _changed_at(session, Contact, Deal),
    )
