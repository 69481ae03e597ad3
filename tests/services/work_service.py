"""A small service whose jobs fail, stop and repeat as a test tells them to."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from sqlalchemy.orm import DeclarativeBase, Mapped

from upstream_services.kit.app import Service
from upstream_services.kit.fields import Name
from upstream_services.kit.jobs.declare import JobOut, accepted, enqueue, job
from upstream_services.kit.jobs.run import Run
from upstream_services.kit.jobs.tables import job_tables
from upstream_services.kit.model import Row
from upstream_services.kit.operations import operation
from upstream_services.kit.requests import transaction
from upstream_services.kit.resource import Resource
from upstream_services.kit.validation import Body


class Base(DeclarativeBase):
    """The tables of this service."""


class Mark(Row, Base):
    """What a job leaves behind."""

    __tablename__ = "marks"
    __scheduled__ = True

    name: Mapped[Name]


Job, JobStep, JobFile = job_tables(Base)


@dataclass
class Script:
    """What the jobs of a test do: fail so many times after their first step, or wait there."""

    failures: int = 0
    attempts: int = 0
    wait: bool = False
    waiting: asyncio.Event = field(default_factory=asyncio.Event)


SCRIPTS: dict[str, Script] = {}


class Given(Body):
    """How many steps, and the end."""

    steps: int = 2
    mail_to: str | None = None


@job("marks.make", input=Given)
async def make_marks(run: Run, given: Given) -> dict[str, Any]:
    """Leaves a mark a step."""
    script = SCRIPTS.setdefault(run.tenant, Script())
    script.attempts += 1
    for number in range(given.steps):
        async with run.once(f"step-{number}") as session:
            if session is not None:
                session.add(Mark(name=f"mark {number}"))
        if script.wait:
            script.waiting.set()
            await asyncio.Event().wait()
        if script.failures:
            script.failures -= 1
            raise ConnectionError("as it was told")
        await run.progress(number + 1, given.steps)
    await run.attach("marks.txt", "text/plain", b"made")
    if given.mail_to is not None:
        await run.mail(
            to=given.mail_to,
            subject="Marks\nBcc: x@y.example",
            text="made",
            attachments=[("m.txt", "text/plain", b"x")],
        )
    return {"made": given.steps}


@job("marks.nightly", cron="0 2 * * *", tenants_of=Mark)
async def nightly(run: Run, _given: Any) -> None:
    """Leaves a mark."""
    async with run.once("mark") as session:
        if session is not None:
            session.add(Mark(name="nightly"))


@operation("POST", "marks/make", body=Given, status=202, reply=JobOut)
async def start(request: web.Request, body: Given) -> web.Response:
    """Start a job."""
    return await accepted(request, make_marks, body, key=request.query.get("key"))


@operation("POST", "marks/fail")
async def fail(request: web.Request) -> web.Response:
    """Start a job in a transaction that fails."""
    async with transaction(request) as session:
        await enqueue(session, make_marks, Given())
        raise web.HTTPConflict(text="rolled back")


SERVICE = Service(
    name="work",
    port=0,
    metadata=Base.metadata,
    resources=(Resource(name="marks", table=Mark),),
    operations=(start, fail),
    jobs=(make_marks, nightly),
)
