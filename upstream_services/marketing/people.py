"""Subscribers and audiences: who may be written to, and the way out, which is for good until they say otherwise."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from aiohttp import web
from multidict import MultiDict
from pydantic import BaseModel, Field
from sqlalchemy import Select, delete, inspect, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.errors import conflict, invalid, within
from upstream_services.kit.fields import Name
from upstream_services.kit.listing import read_wish
from upstream_services.kit.lists import Lists
from upstream_services.kit.model import utc_now
from upstream_services.kit.operations import operation
from upstream_services.kit.requests import load, path_id, reading
from upstream_services.kit.resource import Resource
from upstream_services.kit.validation import Body
from upstream_services.marketing.models import Audience, Delivery, Membership, Subscriber, Suppression
from upstream_services.marketing.reply_models import Event
from upstream_services.marketing.webhooks import tell

OF_ONE_REQUEST = ("limit", "after", "sort", "fields", "deleted", "ids")  # parameters that are no part of an audience
MEMBERS_MAX = 1000


class UnsubscribeIn(Body):
    """Why."""

    reason: Name | None = None


class ResubscribeIn(Body):
    """How they said that they want it again, such as "asked by phone on 5 May"."""

    consent: Name


class MembersIn(Body):
    """Subscribers, by their ids."""

    subscriber_ids: Annotated[list[uuid.UUID], Field(min_length=1, max_length=MEMBERS_MAX)]


class MembersOut(BaseModel):
    """How many of them were not there before, or are not there any more."""

    changed: int


def record(session: AsyncSession, type_: str, **of: Any) -> None:
    """Writes down that something happened, with the session's transaction."""
    session.add(Event(type=type_, happened_at=utc_now(), properties=of.pop("properties", {}), **of))


async def is_suppressed(session: AsyncSession, email: str) -> bool:
    """Whether an address said that it wants nothing more."""
    return await session.scalar(select(Suppression.email).where(Suppression.email == email)) is not None


async def subscriber_rules(session: AsyncSession, subscriber: Subscriber, values: Mapping[str, Any]) -> None:
    """An address that has unsubscribed stays so, however it comes in again; another address is another person."""
    if "email" not in values:
        return
    is_new = inspect(subscriber).pending
    if not is_new and subscriber.status == "unsubscribed" and inspect(subscriber).attrs.email.history.has_changes():
        raise conflict("they have unsubscribed; make a subscriber of the other address", "unsubscribed")
    if await is_suppressed(session, subscriber.email):
        subscriber.status, subscriber.unsubscribed_at = "unsubscribed", utc_now()
    elif is_new:
        subscriber.id = uuid.uuid4()
        await tell(session, "subscriber.subscribed", {"subscriber_id": subscriber.id, "email": subscriber.email})


subscribers = Resource(
    name="subscribers",
    table=Subscriber,
    filters=("status", "source", "email"),
    rules=subscriber_rules,
    is_live=True,
)


async def leave(
    session: AsyncSession, subscriber: Subscriber, reason: str | None, delivery_id: uuid.UUID | None = None
) -> None:
    """Unsubscribes somebody; nothing happens where they have. The row must be locked."""
    if subscriber.status == "unsubscribed":
        return
    now = utc_now()
    subscriber.status, subscriber.unsubscribed_at, subscriber.unsubscribe_reason = "unsubscribed", now, reason
    table: Any = Suppression.__table__
    values = {"tenant_id": session.info["tenant"], "email": subscriber.email, "at": now}
    await (await session.connection()).execute(insert(table).values(values).on_conflict_do_nothing())
    campaign_id = None
    if delivery_id is not None:
        delivery = await session.scalar(select(Delivery).where(Delivery.id == delivery_id).with_for_update())
        if delivery is not None and delivery.subscriber_id == subscriber.id:
            delivery.unsubscribed_at = delivery.unsubscribed_at or now
            campaign_id = delivery.campaign_id
    record(session, "unsubscribed", subscriber_id=subscriber.id, campaign_id=campaign_id)
    told = {"subscriber_id": subscriber.id, "email": subscriber.email, "reason": reason}
    await tell(session, "subscriber.unsubscribed", told)


@subscribers.action("unsubscribe", body=UnsubscribeIn)
async def unsubscribe(session: AsyncSession, subscriber: Subscriber, body: UnsubscribeIn) -> None:
    """Write to somebody no more."""
    await leave(session, subscriber, body.reason)


@subscribers.action("resubscribe", body=ResubscribeIn)
async def resubscribe(session: AsyncSession, subscriber: Subscriber, body: ResubscribeIn) -> None:
    """Write to somebody again who has asked for it."""
    if subscriber.status == "subscribed":
        raise conflict("they are subscribed", "subscribed")
    await session.execute(delete(Suppression).where(Suppression.email == subscriber.email))
    subscriber.status, subscriber.unsubscribed_at, subscriber.unsubscribe_reason = "subscribed", None, None
    subscriber.consent = body.consent
    record(session, "resubscribed", subscriber_id=subscriber.id)
    await tell(session, "subscriber.subscribed", {"subscriber_id": subscriber.id, "email": subscriber.email})


async def audience_rules(session: AsyncSession, audience: Audience, _values: Mapping[str, Any]) -> None:
    """The parameters are such as the list of subscribers takes."""
    if audience.kind == "static":
        if audience.parameters:
            raise invalid("parameters", "are of a dynamic audience")
        return
    for name in OF_ONE_REQUEST:
        if name in audience.parameters:
            raise invalid(f"parameters.{name}", "is no part of an audience")
    with within("parameters"):
        read_wish(subscribers, session.info["tenant"], MultiDict(audience.parameters))


audiences = Resource(name="audiences", table=Audience, filters=("kind", "name"), rules=audience_rules)


def members_of(session: AsyncSession, audience: Audience) -> Select[Any]:
    """The subscribers of an audience, whatever their state, as a statement that selects them."""
    if audience.kind == "dynamic":
        return read_wish(subscribers, session.info["tenant"], MultiDict(audience.parameters)).whole
    return select(Subscriber).where(*_membership(audience))


def _membership(audience: Audience) -> tuple[Any, ...]:
    if audience.kind == "dynamic":
        return ()
    return (Subscriber.id.in_(select(Membership.subscriber_id).where(Membership.audience_id == audience.id)),)


async def put_in(session: AsyncSession, audience_id: uuid.UUID, subscriber_ids: list[uuid.UUID]) -> int:
    """Puts subscribers into a static audience; those that are there already stay. Returns how many were not."""
    table: Any = Membership.__table__
    common = {"tenant_id": session.info["tenant"], "audience_id": audience_id, "added_at": utc_now()}
    rows = [{**common, "subscriber_id": one} for one in dict.fromkeys(subscriber_ids)]
    made = insert(table).values(rows).on_conflict_do_nothing().returning(table.c.subscriber_id)
    session.info["written"] = True
    return len((await (await session.connection()).execute(made)).all())


def _require_static(audience: Audience) -> None:
    if audience.kind != "static":
        raise conflict("who is in a dynamic audience its parameters say", "dynamic")


@audiences.action("add", body=MembersIn, reply=MembersOut)
async def add(session: AsyncSession, audience: Audience, body: MembersIn) -> MembersOut:
    """Put subscribers into an audience."""
    _require_static(audience)
    found = set((await session.scalars(select(Subscriber.id).where(Subscriber.id.in_(body.subscriber_ids)))).all())
    for number, subscriber_id in enumerate(body.subscriber_ids):
        if subscriber_id not in found:
            raise invalid(f"subscriber_ids.{number}", "there is no such subscriber")
    return MembersOut(changed=await put_in(session, audience.id, body.subscriber_ids))


@audiences.action("remove", body=MembersIn, reply=MembersOut)
async def remove(session: AsyncSession, audience: Audience, body: MembersIn) -> MembersOut:
    """Take subscribers out of an audience."""
    _require_static(audience)
    mine = (Membership.audience_id == audience.id) & Membership.subscriber_id.in_(body.subscriber_ids)
    gone = await session.scalars(delete(Membership).where(mine).returning(Membership.subscriber_id))
    return MembersOut(changed=len(gone.all()))


_subscribers = Lists(subscribers)


@operation("GET", "audiences/{id}/subscribers", reply=subscribers.page_shape)
async def subscribers_of_audience(request: web.Request) -> web.Response:
    """List the subscribers of an audience, also those who have unsubscribed."""
    async with reading(request) as session:
        audience = await load(session, audiences, path_id(request, audiences.noun))
        asked = MultiDict(audience.parameters)
        for name, value in request.query.items():
            if name not in ("limit", "after", "sort", "fields"):
                raise invalid(name, "is not a parameter of this list")
            asked[name] = value
        return await _subscribers.show(session, request, asked, *_membership(audience))
