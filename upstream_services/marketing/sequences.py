"""Sequences: messages that follow an enrolment, each by a job of its own that is due at its time.

An enrolment is taken on by the job that is for the place where it is; any other finds it elsewhere and does nothing.
"""

import uuid
from collections.abc import Sequence as Many
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.jobs.declare import JobOut, enqueue, job
from upstream_services.kit.jobs.run import Run
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.validation import Body
from upstream_services.marketing.models import Audience, Subscriber, Template
from upstream_services.marketing.people import MEMBERS_MAX, members_of, record
from upstream_services.marketing.sending import send_to
from upstream_services.marketing.sequence_models import Enrolment, Sequence, SequenceStep

BATCH = 200


class StepIn(Body):
    """Which enrolment, and the last step that it has had when this was planned."""

    enrolment_id: uuid.UUID
    position: int | None


class ResumeIn(Body):
    """Which sequence, and which of its activations."""

    sequence_id: uuid.UUID
    activation: int


class EnrolAudienceIn(Body):
    """Who into what."""

    sequence_id: uuid.UUID
    audience_id: uuid.UUID


class EnrolIn(Body):
    """Subscribers by their ids, or all of an audience."""

    subscriber_ids: Annotated[list[uuid.UUID], Field(max_length=MEMBERS_MAX)] = []
    audience_id: uuid.UUID | None = None


class EnrolOut(BaseModel):
    """How many started, which leaves out who has been enrolled before or is not subscribed; the job of an audience."""

    enrolled: int
    job: JobOut | None


sequences = Resource(name="sequences", table=Sequence, filters=("status",))

sequence_steps = Resource(
    name="sequence-steps",
    table=SequenceStep,
    filters=("sequence_id", "template_id"),
    sortable=("position",),
    nested_in=("sequence_id",),
)

enrolments = Resource(
    name="enrolments",
    table=Enrolment,
    filters=("sequence_id", "subscriber_id", "status", "next_at"),
    sortable=("next_at",),
    nested_in=("sequence_id", "subscriber_id"),
    read_only=True,
    is_live=True,
)


async def _next_step(session: AsyncSession, sequence_id: uuid.UUID, position: int | None) -> SequenceStep | None:
    steps = select(SequenceStep).where(SequenceStep.sequence_id == sequence_id)
    if position is not None:
        steps = steps.where(SequenceStep.position > position)
    return await session.scalar(steps.order_by(SequenceStep.position).limit(1))


async def enrol(session: AsyncSession, sequence_id: uuid.UUID, subscriber_ids: Many[uuid.UUID]) -> int:
    """Starts subscribers on a sequence that has steps; each once, and none who is not subscribed. Returns how many."""
    first = await _next_step(session, sequence_id, None)
    if first is None or not subscriber_ids:
        return 0
    subscribed = select(Subscriber.id).where(Subscriber.id.in_(subscriber_ids), Subscriber.status == "subscribed")
    who = (await session.scalars(subscribed)).all()
    now, user, table = utc_now(), session.info.get("user"), Enrolment.__table__
    next_at = now + timedelta(minutes=first.delay_minutes)
    rows = [
        {
            "tenant_id": session.info["tenant"], "id": uuid.uuid4(), "sequence_id": sequence_id, "subscriber_id": one,
            "status": "active", "next_at": next_at, "created_at": now, "updated_at": now, "created_by": user,
            "updated_by": user, "version": 1,
        }
        for one in who
    ]  # fmt: skip
    if not rows:
        return 0
    session.info["written"] = True
    made = insert(table).values(rows).on_conflict_do_nothing().returning(table.c.id, table.c.subscriber_id)  # type: ignore[arg-type]
    started = (await (await session.connection()).execute(made)).all()
    for enrolment_id, subscriber_id in started:
        given = StepIn(enrolment_id=enrolment_id, position=None)
        await enqueue(session, send_step, given, key=f"{enrolment_id}:first", at=next_at)
        record(session, "enrolled", subscriber_id=subscriber_id)
    return len(started)


@sequences.action("enrol", body=EnrolIn, reply=EnrolOut)
async def enrol_some(session: AsyncSession, sequence: Sequence, body: EnrolIn) -> EnrolOut:
    """Start subscribers on a sequence, each once."""
    if sequence.status != "active":
        raise conflict(f"the sequence is {sequence.status}; activate it first", "inactive")
    if bool(body.subscriber_ids) == (body.audience_id is not None):
        raise invalid("subscriber_ids", "give these or an audience_id")
    if body.audience_id is not None:
        if await session.scalar(select(Audience.id).where(Audience.id == body.audience_id)) is None:
            raise invalid("audience_id", "there is no such audience")
        given = EnrolAudienceIn(sequence_id=sequence.id, audience_id=body.audience_id)
        job_id = await enqueue(session, enrol_audience, given)
        return EnrolOut(enrolled=0, job=JobOut(id=job_id, name=enrol_audience.name, state="waiting"))
    known = set((await session.scalars(select(Subscriber.id).where(Subscriber.id.in_(body.subscriber_ids)))).all())
    for number, subscriber_id in enumerate(body.subscriber_ids):
        if subscriber_id not in known:
            raise invalid(f"subscriber_ids.{number}", "there is no such subscriber")
    return EnrolOut(enrolled=await enrol(session, sequence.id, body.subscriber_ids), job=None)


@sequences.action("activate")
async def activate(session: AsyncSession, sequence: Sequence) -> None:
    """Let a sequence send; those who waited while it was paused go on."""
    if sequence.status == "active":
        raise conflict("the sequence is active", "illegal_transition")
    if await _next_step(session, sequence.id, None) is None:
        raise conflict("the sequence has no steps", "no_steps")
    sequence.status = "active"
    sequence.activations += 1
    given = ResumeIn(sequence_id=sequence.id, activation=sequence.activations)
    await enqueue(session, resume, given, key=f"{sequence.id}:{sequence.activations}")


@sequences.action("pause")
async def pause(_session: AsyncSession, sequence: Sequence) -> None:
    """Let a sequence send nothing until it is activated again."""
    if sequence.status != "active":
        raise conflict(f"the sequence is {sequence.status}", "illegal_transition")
    sequence.status = "paused"


@enrolments.action("cancel")
async def cancel(_session: AsyncSession, enrolment: Enrolment) -> None:
    """Send nothing more of the sequence to this subscriber."""
    if enrolment.status == "done":
        raise conflict("the enrolment is done", "illegal_transition")
    enrolment.status, enrolment.next_at = "cancelled", None


@job("sequences.enrol", input=EnrolAudienceIn)
async def enrol_audience(run: Run, given: EnrolAudienceIn) -> dict[str, Any]:
    """Starts the subscribers of an audience on a sequence."""
    after, count = uuid.UUID(int=0), 0
    while True:
        async with run.transaction() as session:
            audience = await session.scalar(select(Audience).where(Audience.id == given.audience_id))
            if audience is None:
                return {"enrolled": count}
            page = members_of(session, audience).where(Subscriber.id > after, Subscriber.status == "subscribed")
            ids = page.with_only_columns(Subscriber.id).order_by(Subscriber.id).limit(BATCH)
            batch = (await session.scalars(ids)).all()
            count += await enrol(session, given.sequence_id, batch)
        if not batch:
            return {"enrolled": count}
        after = batch[-1]


@job("sequences.send", input=StepIn)
async def send_step(run: Run, given: StepIn) -> dict[str, Any]:
    """Sends the next step of an enrolment, and plans the one after it."""
    async with run.once("send") as session:
        if session is None:
            return {"outcome": "sent before"}
        found = select(Enrolment).where(Enrolment.id == given.enrolment_id).with_for_update()
        enrolment = await session.scalar(found)
        if enrolment is None or enrolment.status != "active" or enrolment.position != given.position:
            return {"outcome": "not due"}
        if await session.scalar(select(Sequence.status).where(Sequence.id == enrolment.sequence_id)) != "active":
            return {"outcome": "not active"}  # `activate` plans it anew
        step = await _next_step(session, enrolment.sequence_id, enrolment.position)
        outcome = await _take(run, session, enrolment, step) if step is not None else "done"
        following = await _next_step(session, enrolment.sequence_id, enrolment.position)
        if enrolment.status == "active":
            await _plan(session, enrolment, following)
        return {"outcome": outcome}


async def _take(run: Run, session: AsyncSession, enrolment: Enrolment, step: SequenceStep) -> str:
    template = (await session.scalars(select(Template).where(Template.id == step.template_id))).one()
    outcome = await send_to(run, session, template, enrolment.subscriber_id, step_id=step.id)
    enrolment.position, enrolment.updated_at = step.position, utc_now()
    if outcome != "sent":  # they have left, or cannot be reached: nothing more of it
        enrolment.status, enrolment.next_at = "cancelled", None
    return outcome


async def _plan(session: AsyncSession, enrolment: Enrolment, step: SequenceStep | None) -> None:
    if step is None:
        enrolment.status, enrolment.next_at, enrolment.updated_at = "done", None, utc_now()
        return
    enrolment.next_at = utc_now() + timedelta(minutes=step.delay_minutes)
    given = StepIn(enrolment_id=enrolment.id, position=enrolment.position)
    await enqueue(session, send_step, given, key=f"{enrolment.id}:{enrolment.position}", at=enrolment.next_at)


@job("sequences.resume", input=ResumeIn)
async def resume(run: Run, given: ResumeIn) -> dict[str, Any]:
    """Plans what fell due while a sequence was paused."""
    after, count = uuid.UUID(int=0), 0
    while True:
        async with run.transaction() as session:
            waiting = select(Enrolment).where(
                Enrolment.sequence_id == given.sequence_id, Enrolment.status == "active", Enrolment.id > after,
                Enrolment.next_at <= func.now(),
            )  # fmt: skip
            batch = (await session.scalars(waiting.order_by(Enrolment.id).limit(BATCH))).all()
            for enrolment in batch:
                planned = StepIn(enrolment_id=enrolment.id, position=enrolment.position)
                key = f"{enrolment.id}:{enrolment.position}:{given.activation}"
                await enqueue(session, send_step, planned, key=key)
        if not batch:
            return {"resumed": count}
        count += len(batch)
        after = batch[-1].id
