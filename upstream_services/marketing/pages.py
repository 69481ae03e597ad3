"""Landing pages, short links, events and social posts; and the deliveries, which are read only."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.fields import Moment, Url
from upstream_services.kit.jobs.declare import enqueue, job
from upstream_services.kit.jobs.run import Run
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.validation import Body
from upstream_services.marketing.models import Delivery
from upstream_services.marketing.reply_models import Event, LandingPage, Link, SocialPost
from upstream_services.marketing.webhooks import tell

# What the service sees itself; a client that could write these could make any report say anything.
SEEN = frozenset(
    ("sent", "bounced", "opened", "clicked", "unsubscribed", "resubscribed", "submitted", "enrolled", "visited")
)


class ScheduleIn(Body):
    """When it is due, with a time zone."""

    scheduled_at: Moment


class PublishedIn(Body):
    """Where it is to be seen."""

    url: Url | None = None


class DueIn(Body):
    """Which post, and the time that it was scheduled for."""

    post_id: uuid.UUID
    scheduled_at: Moment


async def event_rules(_session: AsyncSession, event: Event, values: Mapping[str, Any]) -> None:
    """What the service sees itself, nobody else writes."""
    before = inspect(event).attrs.type.history.deleted or ()
    if "type" in values and event.type in SEEN:
        raise invalid("type", "is written by the service itself")
    if not inspect(event).pending and (event.type in SEEN or set(before) & SEEN):
        raise conflict("what the service has seen is not changed", "seen")


def may_delete_event(event: Event) -> None:
    """What the service has seen stays."""
    if event.type in SEEN:
        raise conflict("what the service has seen is not deleted", "seen")


async def post_rules(_session: AsyncSession, post: SocialPost, _values: Mapping[str, Any]) -> None:
    """What is out there is not changed here."""
    if post.status == "published":
        raise conflict("the post is published", "published")


deliveries = Resource(
    name="deliveries",
    table=Delivery,
    filters=("status", "campaign_id", "step_id", "subscriber_id"),
    nested_in=("campaign_id", "subscriber_id"),
    read_only=True,
    is_live=True,
)

landing_pages = Resource(name="landing-pages", table=LandingPage, filters=("status", "form_id"), is_live=True)

links = Resource(
    name="links",
    table=Link,
    filters=("campaign_id", "is_active", "code"),
    nested_in=("campaign_id",),
    is_live=True,
)

events = Resource(
    name="events",
    table=Event,
    filters=("type", "happened_at", "subscriber_id", "campaign_id", "form_id", "landing_page_id", "link_id"),
    sortable=("happened_at",),
    nested_in=("subscriber_id", "campaign_id"),
    rules=event_rules,
    may_delete=may_delete_event,
    is_live=True,
)

social_posts = Resource(
    name="social-posts",
    table=SocialPost,
    filters=("status", "channel", "campaign_id", "scheduled_at"),
    sortable=("scheduled_at",),
    rules=post_rules,
    is_live=True,
)


@landing_pages.action("publish")
async def publish(_session: AsyncSession, page: LandingPage) -> None:
    """Show a page to all, at /marketing/public/pages/{public_id}."""
    if page.status != "published":
        page.status, page.published_at = "published", utc_now()


@landing_pages.action("unpublish")
async def unpublish(_session: AsyncSession, page: LandingPage) -> None:
    """Show a page to nobody any more."""
    page.status, page.published_at = "draft", None


@job("social-posts.due", input=DueIn)
async def post_is_due(run: Run, given: DueIn) -> dict[str, Any]:
    """Tells webhooks that a post is due, unless it was put off or is out already."""
    async with run.once("tell") as session:
        if session is None:
            return {"due": True}
        post = await session.scalar(select(SocialPost).where(SocialPost.id == given.post_id).with_for_update())
        if post is None or (post.status, post.scheduled_at) != ("scheduled", given.scheduled_at):
            return {"due": False}
        post.status, post.updated_at = "due", utc_now()
        told = {"social_post_id": post.id, "channel": post.channel, "text": post.text, "media_url": post.media_url}
        await tell(session, "social_post.due", told)
    return {"due": True}


@social_posts.action("schedule", body=ScheduleIn)
async def schedule_post(session: AsyncSession, post: SocialPost, body: ScheduleIn) -> None:
    """Say when a post is due; another time puts it off."""
    await post_rules(session, post, {})
    if body.scheduled_at <= utc_now():
        raise invalid("scheduled_at", "must be in the future")
    post.status, post.scheduled_at = "scheduled", body.scheduled_at
    given = DueIn(post_id=post.id, scheduled_at=body.scheduled_at)
    await enqueue(session, post_is_due, given, at=body.scheduled_at)


@social_posts.action("unschedule")
async def unschedule_post(_session: AsyncSession, post: SocialPost) -> None:
    """Make a draft of a post again."""
    if post.status not in ("scheduled", "due"):
        raise conflict(f"the post is {post.status}", "illegal_transition")
    post.status, post.scheduled_at = "draft", None


@social_posts.action("publish", body=PublishedIn)
async def publish_post(session: AsyncSession, post: SocialPost, body: PublishedIn) -> None:
    """Say that a post is out, and where."""
    await post_rules(session, post, {})
    post.status, post.published_at, post.published_url = "published", utc_now(), body.url
