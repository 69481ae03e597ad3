"""The reports of Marketing."""

import uuid
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import Date, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from upstream_services.kit.errors import invalid
from upstream_services.kit.model import utc_now
from upstream_services.kit.operations import operation, report
from upstream_services.kit.requests import load, path_id, reading
from upstream_services.kit.validation import Query
from upstream_services.kit.views import tagged_reply
from upstream_services.marketing.campaigns import campaigns
from upstream_services.marketing.models import Audience, Campaign, Delivery, Subscriber
from upstream_services.marketing.reply_models import Event, Form, FormSubmission, LandingPage, Link, SocialPost
from upstream_services.marketing.sequence_models import Enrolment, Sequence

PERIOD_MAX = timedelta(days=400)
STEPS_MAX = 8
CAMPAIGNS_MAX = 200
TOP_LINKS = 10


class PeriodQuery(Query):
    """From when to when; the last 30 days without."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """Both ends. Raises a 422 problem for a period that is too long to add up."""
        until = self.until or now
        try:
            since = self.since or until - timedelta(days=30)
            is_too_long = until - since > PERIOD_MAX
        except OverflowError:
            is_too_long = True
        if is_too_long:
            raise invalid("since", f"a period is at most {PERIOD_MAX.days} days long")
        return since, until


class FunnelQuery(PeriodQuery):
    """The types of events that follow each other, and of which campaign."""

    steps: Annotated[str, Field(max_length=500)] = "sent,opened,clicked,submitted"
    campaign_id: uuid.UUID | None = None


class FunnelStep(BaseModel):
    """How many subscribers did this and all before it; in percent of the step before, None where nobody did that."""

    type: str
    subscribers: int
    percent: float | None


class FunnelReport(BaseModel):
    """How far subscribers went."""

    steps: list[FunnelStep]


def percent(part: int, whole: int) -> float | None:
    """A share in percent with one place; None of nothing."""
    return round(part * 100 / whole, 1) if whole else None


@report("reports/funnel", query=FunnelQuery, reply=FunnelReport)
async def funnel(session: AsyncSession, query: FunnelQuery) -> FunnelReport:
    """How many subscribers went from each step to the next."""
    since, until = query.bounds(utc_now())
    types = [part.strip() for part in query.steps.split(",") if part.strip()]
    if not 1 <= len(types) <= STEPS_MAX or len(set(types)) != len(types):
        raise invalid("steps", f"must be 1 to {STEPS_MAX} types of events, each once, with commas between them")
    if any("\0" in one for one in types):
        raise invalid("steps", "must not contain NUL characters")
    counts = [await _came_to(session, types[: number + 1], query, since, until) for number in range(len(types))]
    steps = [
        FunnelStep(type=one, subscribers=count, percent=percent(count, counts[number - 1]) if number else None)
        for number, (one, count) in enumerate(zip(types, counts, strict=True))
    ]
    return FunnelReport(steps=steps)


async def _came_to(
    session: AsyncSession, types: list[str], query: FunnelQuery, since: datetime, until: datetime
) -> int:
    """How many subscribers did all of these in the period; counted by the last, which the fewest did."""

    def did(events: Any, one: str) -> Any:
        found = (events.type == one) & (events.happened_at >= since) & (events.happened_at < until)
        return found if query.campaign_id is None else found & (events.campaign_id == query.campaign_id)

    conditions = [did(Event, types[-1]), Event.subscriber_id.is_not(None)]
    for one in types[:-1]:
        earlier = aliased(Event)
        conditions.append(
            select(earlier.id).where(did(earlier, one), earlier.subscriber_id == Event.subscriber_id).exists()
        )
    return await session.scalar(select(func.count(Event.subscriber_id.distinct())).where(*conditions)) or 0


class DayTotal(BaseModel):
    """The events of one type on one day, in UTC."""

    day: date
    type: str
    count: int


class LinkTotal(BaseModel):
    """The clicks of a link."""

    link_id: uuid.UUID
    url: str
    clicks: int


class EngagementReport(BaseModel):
    """What people did in a period, and the links that were clicked most."""

    days: list[DayTotal]
    links: list[LinkTotal]


@report("reports/engagement", query=PeriodQuery, reply=EngagementReport)
async def engagement(session: AsyncSession, query: PeriodQuery) -> EngagementReport:
    """What people did, day by day."""
    since, until = query.bounds(utc_now())
    in_period = (Event.happened_at >= since, Event.happened_at < until)
    day = cast(func.timezone("UTC", Event.happened_at), Date)
    totals = select(day, Event.type, func.count(Event.id)).where(*in_period).group_by(day, Event.type)
    days = [DayTotal(day=d, type=t, count=n) for d, t, n in await session.execute(totals.order_by(day, Event.type))]
    clicks = func.count(Event.id)
    clicked = (
        select(Event.link_id, clicks)
        .where(*in_period, Event.type == "clicked", Event.link_id.is_not(None))
        .group_by(Event.link_id)
        .order_by(clicks.desc(), Event.link_id)
        .limit(TOP_LINKS)
    )
    counts: dict[Any, int] = dict((await session.execute(clicked)).all())  # type: ignore[arg-type]
    urls = dict((await session.execute(select(Link.id, Link.url).where(Link.id.in_(counts)))).all())
    links = [LinkTotal(link_id=i, url=urls[i], clicks=n) for i, n in counts.items() if i in urls]
    return EngagementReport(days=days, links=links)


class CampaignResults(BaseModel):
    """What came of a campaign; rates in percent: opened and clicked of those that were sent, None of none."""

    campaign_id: uuid.UUID
    name: str
    status: str
    started_at: datetime | None
    sent: int
    bounced: int
    opened: int
    clicked: int
    unsubscribed: int
    open_rate: float | None
    click_rate: float | None


class CampaignsReport(BaseModel):
    """Campaigns that started in a period, the latest first; at most 200 of them."""

    campaigns: list[CampaignResults]


async def results_of(session: AsyncSession, found: list[Campaign]) -> list[CampaignResults]:
    """What came of campaigns."""
    sent = Delivery.status == "sent"
    totals = (
        select(
            Delivery.campaign_id,
            func.count(Delivery.id).filter(sent),
            func.count(Delivery.id).filter(Delivery.status == "bounced"),
            func.count(Delivery.opened_at),
            func.count(Delivery.clicked_at),
            func.count(Delivery.unsubscribed_at),
        )
        .where(Delivery.campaign_id.in_([campaign.id for campaign in found]))
        .group_by(Delivery.campaign_id)
    )
    counts = {row[0]: row[1:] for row in await session.execute(totals)}
    told = []
    for campaign in found:
        sent_count, bounced, opened, clicked, unsubscribed = counts.get(campaign.id, (0, 0, 0, 0, 0))
        told.append(
            CampaignResults(
                campaign_id=campaign.id, name=campaign.name, status=campaign.status, started_at=campaign.started_at,
                sent=sent_count, bounced=bounced, opened=opened, clicked=clicked, unsubscribed=unsubscribed,
                open_rate=percent(opened, sent_count), click_rate=percent(clicked, sent_count),
            )
        )  # fmt: skip
    return told


@report("reports/campaigns", query=PeriodQuery, reply=CampaignsReport)
async def campaign_results(session: AsyncSession, query: PeriodQuery) -> CampaignsReport:
    """What came of the campaigns that started in a period."""
    since, until = query.bounds(utc_now())
    started = select(Campaign).where(Campaign.started_at >= since, Campaign.started_at < until)
    latest = started.order_by(Campaign.started_at.desc(), Campaign.id).limit(CAMPAIGNS_MAX)
    return CampaignsReport(campaigns=await results_of(session, list((await session.scalars(latest)).all())))


@operation("GET", "campaigns/{id}/results", reply=CampaignResults)
async def results_of_campaign(request: web.Request) -> web.Response:
    """What came of a campaign so far."""
    async with reading(request) as session:
        campaign = await load(session, campaigns, path_id(request, campaigns.noun))
        (told,) = await results_of(session, [campaign])
    return tagged_reply(request, told, is_live=True)


class DashboardStats(BaseModel):
    """The figures of the first page; the rates of the last 30 days, in percent."""

    subscribers: int
    subscribers_new_30_days: int
    unsubscribed_30_days: int
    audiences: int
    campaigns_running: int
    campaigns_scheduled: int
    sequences_active: int
    enrolments_active: int
    sent_30_days: int
    open_rate_30_days: float | None
    click_rate_30_days: float | None
    forms_published: int
    submissions_30_days: int
    pages_published: int
    social_posts_due: int


async def _count(session: AsyncSession, table: Any, *conditions: Any) -> int:
    return int(await session.scalar(select(func.count(table.id)).where(*conditions)) or 0)


@report("dashboard/stats", reply=DashboardStats)
async def dashboard_stats(session: AsyncSession) -> DashboardStats:
    """The figures of the first page."""
    since = utc_now() - timedelta(days=30)
    mail = (Delivery.created_at >= since, Delivery.status == "sent")
    sent = await _count(session, Delivery, *mail)
    opened = await _count(session, Delivery, *mail, Delivery.opened_at.is_not(None))
    clicked = await _count(session, Delivery, *mail, Delivery.clicked_at.is_not(None))
    return DashboardStats(
        subscribers=await _count(session, Subscriber, Subscriber.status == "subscribed"),
        subscribers_new_30_days=await _count(session, Subscriber, Subscriber.created_at >= since),
        unsubscribed_30_days=await _count(session, Subscriber, Subscriber.unsubscribed_at >= since),
        audiences=await _count(session, Audience),
        campaigns_running=await _count(session, Campaign, Campaign.status == "running"),
        campaigns_scheduled=await _count(session, Campaign, Campaign.status == "scheduled"),
        sequences_active=await _count(session, Sequence, Sequence.status == "active"),
        enrolments_active=await _count(session, Enrolment, Enrolment.status == "active"),
        sent_30_days=sent,
        open_rate_30_days=percent(opened, sent),
        click_rate_30_days=percent(clicked, sent),
        forms_published=await _count(session, Form, Form.status == "published"),
        submissions_30_days=await _count(session, FormSubmission, FormSubmission.created_at >= since),
        pages_published=await _count(session, LandingPage, LandingPage.status == "published"),
        social_posts_due=await _count(session, SocialPost, SocialPost.status == "due"),
    )


REPORTS = (funnel, engagement, campaign_results, results_of_campaign, dashboard_stats)
