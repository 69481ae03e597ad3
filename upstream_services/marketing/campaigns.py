"""Campaigns: their states, and the job that sends one: to each subscriber of its audience once, whatever happens."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import exists, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.fields import Email, Moment
from upstream_services.kit.jobs.declare import JobOut, enqueue, job
from upstream_services.kit.jobs.run import Run
from upstream_services.kit.mail import MailError
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.validation import Body
from upstream_services.marketing.models import Audience, Campaign, Delivery, Subscriber, Template
from upstream_services.marketing.people import members_of
from upstream_services.marketing.sending import send_to
from upstream_services.marketing.templates import sample_of
from upstream_services.marketing.webhooks import tell

# What a campaign may become from each state; from None, when it is made.
NEXT: dict[str | None, set[str]] = {
    None: {"draft", "scheduled"},
    "draft": {"scheduled", "running"},
    "scheduled": {"draft", "running"},
    "running": {"paused", "done"},
    "paused": {"running", "done"},
    "done": set(),
}
BATCH = 200  # recipients that are looked up at once
DEFERRED_MAX = 20  # that a server puts off one after the other before it is left alone for a while


class SendIn(Body):
    """Which campaign, and which of its launches."""

    campaign_id: uuid.UUID
    launch: int


class StartIn(Body):
    """Which campaign, and the time that it was scheduled for."""

    campaign_id: uuid.UUID
    scheduled_at: Moment


class TestIn(Body):
    """Where to."""

    to: Email


class TestMailIn(TestIn):
    """The same, of which template."""

    template_id: uuid.UUID


class ScheduleIn(Body):
    """When it is to start, with a time zone."""

    scheduled_at: Moment


def is_sent_by_us(campaign: Campaign) -> bool:
    """Whether it starts a send, or only says that it runs."""
    return campaign.channel == "email" and campaign.audience_id is not None and campaign.template_id is not None


def require_sendable(campaign: Campaign) -> None:
    """Raises a problem that says what a campaign lacks to be sent."""
    if campaign.channel != "email":
        raise conflict(f"{campaign.channel} is sent elsewhere; PATCH its status", "channel_without_sender")
    for name in ("audience_id", "template_id"):
        if getattr(campaign, name) is None:
            raise invalid(name, "a campaign that is sent needs it")


async def campaign_rules(session: AsyncSession, campaign: Campaign, values: Mapping[str, Any]) -> None:
    """States follow `NEXT`; a schedule names a time to come; what is being sent is not changed."""
    history = inspect(campaign).attrs.status.history
    before = (history.deleted or (None,))[0]
    if history.added and campaign.status not in NEXT[before]:
        if before is None:
            raise invalid("status", "a new campaign is draft or scheduled")
        raise conflict(f"a {before} campaign cannot become {campaign.status}", "illegal_transition")
    if campaign.started_at is not None:
        for name in ("audience_id", "template_id", "channel"):
            if name in values and inspect(campaign).attrs[name].history.has_changes():
                raise conflict(f"the {name} of a campaign that has started stays", "started")
    if campaign.status == "scheduled" and values.keys() & {"status", "scheduled_at"}:
        await _schedule(session, campaign)
    if history.added and campaign.status == "running":
        await _begin(session, campaign)
    if history.added and campaign.status == "done":
        campaign.finished_at = utc_now()


async def _schedule(session: AsyncSession, campaign: Campaign) -> None:
    if campaign.scheduled_at is None:
        raise invalid("scheduled_at", "a scheduled campaign needs it")
    if campaign.scheduled_at <= utc_now():
        raise invalid("scheduled_at", "must be in the future")
    if campaign.id is None:
        campaign.id = uuid.uuid4()
    given = StartIn(campaign_id=campaign.id, scheduled_at=campaign.scheduled_at)
    await enqueue(session, start_campaign, given, at=campaign.scheduled_at)


async def _begin(session: AsyncSession, campaign: Campaign) -> None:
    campaign.launches += 1
    campaign.started_at = campaign.started_at or utc_now()
    await tell(session, "campaign.started", {"campaign_id": campaign.id, "name": campaign.name})
    if is_sent_by_us(campaign):
        given = SendIn(campaign_id=campaign.id, launch=campaign.launches)
        campaign.job_id = await enqueue(session, send_campaign, given, key=f"{campaign.id}:{campaign.launches}")


def may_delete_campaign(campaign: Campaign) -> None:
    """What is being sent stays."""
    if campaign.status == "running":
        raise conflict("the campaign is running; pause it first", "running")


@job("campaigns.start", input=StartIn)
async def start_campaign(run: Run, given: StartIn) -> dict[str, Any]:
    """Starts a campaign at its time, unless it was started, put off or called off."""
    async with run.once("start") as session:
        if session is None:
            return {"started": True}
        campaign = await _locked(session, given.campaign_id)
        is_due = campaign is not None and campaign.status == "scheduled" and campaign.scheduled_at == given.scheduled_at
        if campaign is not None and is_due:
            campaign.status, campaign.updated_at = "running", utc_now()
            await _begin(session, campaign)
        return {"started": is_due}


async def _locked(session: AsyncSession, campaign_id: uuid.UUID) -> Campaign | None:
    return await session.scalar(select(Campaign).where(Campaign.id == campaign_id).with_for_update())


async def _is_running(session: AsyncSession, given: SendIn) -> bool:
    found = select(Campaign.status, Campaign.launches).where(Campaign.id == given.campaign_id)
    row = (await session.execute(found)).first()
    return row is not None and tuple(row) == ("running", given.launch)


@job("campaigns.send", input=SendIn)
async def send_campaign(run: Run, given: SendIn) -> dict[str, Any]:
    """Sends a campaign to who is in its audience and does not have it yet, until it is paused or everybody has it."""
    template, total = await _what_and_how_many(run, given)
    counts, deferred, in_a_row = {"sent": 0, "bounced": 0, "skipped": 0}, 0, 0
    if template is None:
        return {**counts, "stopped": True}
    after = uuid.UUID(int=0)
    while batch := await _recipients(run, given, after):
        for subscriber_id in batch:
            try:
                async with run.once(f"to-{subscriber_id}") as session:
                    if session is None:
                        continue
                    if not await _is_running(session, given):
                        return {**counts, "stopped": True}
                    outcome = await send_to(run, session, template, subscriber_id, campaign_id=given.campaign_id)
            except MailError as error:  # "not now", of this one: the others need not wait for the next attempt
                deferred, in_a_row = deferred + 1, in_a_row + 1
                if error.code is None or in_a_row >= DEFERRED_MAX:
                    raise
                continue
            counts[outcome] += 1
            in_a_row = 0
        after = batch[-1]
        await run.progress(sum(counts.values()), max(total, sum(counts.values())))
    if deferred:
        raise MailError(f"{deferred} were not taken yet")
    async with run.transaction() as session:
        campaign = await _locked(session, given.campaign_id)
        if campaign is not None and (campaign.status, campaign.launches) == ("running", given.launch):
            campaign.status, campaign.finished_at, campaign.updated_at = "done", utc_now(), utc_now()
            await tell(session, "campaign.finished", {"campaign_id": campaign.id, "name": campaign.name})
    return {**counts, "stopped": False}


async def _what_and_how_many(run: Run, given: SendIn) -> tuple[Template | None, int]:
    async with run.transaction() as session:
        if not await _is_running(session, given):
            return None, 0
        found = select(Template).join(Campaign, Campaign.template_id == Template.id)
        template = await session.scalar(found.where(Campaign.id == given.campaign_id))
        members = await _missing(session, given)
        return template, await session.scalar(members.with_only_columns(func.count(Subscriber.id))) or 0


async def _missing(session: AsyncSession, given: SendIn) -> Any:
    """The ids of the campaign's subscribers who do not have it, as a statement."""
    of_campaign = select(Audience).join(Campaign, Campaign.audience_id == Audience.id)
    audience = (await session.scalars(of_campaign.where(Campaign.id == given.campaign_id))).one()
    has = exists().where(Delivery.campaign_id == given.campaign_id, Delivery.subscriber_id == Subscriber.id)
    members = members_of(session, audience).where(Subscriber.status == "subscribed", ~has)
    return members.with_only_columns(Subscriber.id)


async def _recipients(run: Run, given: SendIn, after: uuid.UUID) -> list[uuid.UUID]:
    async with run.transaction() as session:
        members = await _missing(session, given)
        page = members.where(Subscriber.id > after).order_by(Subscriber.id).limit(BATCH)
        return list((await session.scalars(page)).all())


@job("campaigns.test", input=TestMailIn)
async def send_test(run: Run, given: TestMailIn) -> None:
    """Sends a template to one address, filled as for its preview."""
    async with run.transaction() as session:
        template = (await session.scalars(select(Template).where(Template.id == given.template_id))).one()
    shown = sample_of(template)
    await run.mail(to=given.to, subject=f"[Test] {shown.subject}", text=shown.text)


campaigns = Resource(
    name="campaigns",
    table=Campaign,
    filters=("status", "channel", "audience_id", "template_id", "scheduled_at"),
    sortable=("scheduled_at",),
    rules=campaign_rules,
    may_delete=may_delete_campaign,
    is_live=True,
)


async def _become(session: AsyncSession, campaign: Campaign, status: str, **values: Any) -> None:
    for name, value in values.items():
        setattr(campaign, name, value)
    campaign.status = status  # type: ignore[assignment]
    await campaign_rules(session, campaign, {"status": status, **values})


@campaigns.action("schedule", body=ScheduleIn)
async def schedule(session: AsyncSession, campaign: Campaign, body: ScheduleIn) -> None:
    """Let a campaign start by itself at a time to come; another time puts it off."""
    require_sendable(campaign)
    await _become(session, campaign, "scheduled", scheduled_at=body.scheduled_at)


@campaigns.action("unschedule")
async def unschedule(session: AsyncSession, campaign: Campaign) -> None:
    """Let a campaign not start by itself after all."""
    if campaign.status != "scheduled":
        raise conflict(f"the campaign is {campaign.status}", "illegal_transition")
    await _become(session, campaign, "draft")


@campaigns.action("launch")
async def launch(session: AsyncSession, campaign: Campaign) -> None:
    """Send a campaign now, or go on with one that was paused; `job_id` tells how far it is."""
    require_sendable(campaign)
    if campaign.status == "running":
        raise conflict("the campaign is running", "illegal_transition")
    await _become(session, campaign, "running")


@campaigns.action("pause")
async def pause(session: AsyncSession, campaign: Campaign) -> None:
    """Send no more of a campaign until it is launched again."""
    if campaign.status != "running":
        raise conflict(f"the campaign is {campaign.status}; only a running one is paused", "illegal_transition")
    await _become(session, campaign, "paused")


@campaigns.action("duplicate", reply=campaigns.shape)
async def duplicate(session: AsyncSession, campaign: Campaign) -> dict[str, Any]:
    """Make a draft of a campaign."""
    copied = {name: getattr(campaign, name) for name in ("channel", "budget", "audience_id", "template_id")}
    copy = Campaign(id=uuid.uuid4(), name=f"{campaign.name[:190]} (copy)", status="draft", **copied)
    session.add(copy)
    await session.flush()
    return campaigns.view(copy)


@campaigns.action("test", body=TestIn, reply=JobOut)
async def test(session: AsyncSession, campaign: Campaign, body: TestIn) -> JobOut:
    """Send a campaign's template to one address, to see it."""
    if campaign.template_id is None:
        raise invalid("template_id", "a campaign that is sent needs it")
    given = TestMailIn(to=body.to, template_id=campaign.template_id)
    return JobOut(id=await enqueue(session, send_test, given), name=send_test.name, state="waiting")
