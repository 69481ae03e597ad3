"""What the tests of Marketing share: a mail server, and a service whose jobs a test can bring about and wait for."""

import email
import email.policy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from sqlalchemy import update

from upstream_services.kit.jobs.context import BELL
from upstream_services.kit.jobs.worker import Worker
from upstream_services.kit.keys import DATABASE
from upstream_services.kit.mail import Mailer
from upstream_services.marketing.models import Job
from upstream_services.marketing.sequence_models import Enrolment

from .conftest import Client


class Inbox:
    """A mail server's post. `answer(address)` is what it says to a message to that address; `None` takes it."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.answer: Callable[[str], str | None] = lambda _address: None

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        refusal = self.answer(address)
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 taken"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 taken"

    @property
    def addresses(self) -> list[str]:
        """Whom it has post for, one for each message."""
        return sorted(str(message["To"]) for message in self.messages)


def text_of(message: EmailMessage, kind: str = "plain") -> str:
    """The text or, with "html", the HTML of a message."""
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


class Work:
    """A started service of a tenant, its post, and its jobs."""

    def __init__(self, client: Client, tenant: str, inbox: Inbox) -> None:
        self.client, self.tenant, self.inbox = client, tenant, inbox

    @property
    def worker(self) -> Worker:
        """What runs its jobs."""
        found = self.client.app[BELL]._worker
        assert found is not None
        return found

    async def post(self, path: str, expected: int = 200, /, **body: Any) -> dict[str, Any]:
        """The reply to a POST under /marketing."""
        reply = await self.client.post(f"/marketing/{path}", json=body)
        assert reply.status == expected, await reply.text()
        told: dict[str, Any] = await reply.json()
        return told

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        """The reply to a GET under /marketing."""
        reply = await self.client.get(f"/marketing/{path}", params=params)
        assert reply.status == 200, await reply.text()
        told: dict[str, Any] = await reply.json()
        return told

    async def items(self, path: str, **params: str) -> list[dict[str, Any]]:
        """The rows of a list."""
        found: list[dict[str, Any]] = (await self.get(path, limit="200", **params))["items"]
        return found

    async def jobs_end(self) -> None:
        """Waits until no job of the tenant runs or could run now."""
        while True:
            jobs = await self.items("jobs")
            now = datetime.now(UTC)
            if not any(j["state"] == "running" or (j["state"] == "waiting" and is_due(j, now)) for j in jobs):
                return

    async def time_comes(self, name: str, until_minutes: int = 1_000_000) -> None:
        """Lets the jobs of a name that wait for a time within so many minutes be due, and runs them to their end."""
        jobs: Any = Job.__table__
        mine = (jobs.c.tenant_id == self.tenant) & (jobs.c.name == name) & (jobs.c.state == "waiting")
        mine &= jobs.c.run_at < datetime.now(UTC) + timedelta(minutes=until_minutes)
        past = datetime.now(UTC) - timedelta(seconds=1)
        await self.worker._execute(update(jobs).where(mine).values(run_at=past))
        for ring in await self.worker.sweep():
            if ring[0] == self.tenant:
                await self.worker.start(ring)
        await self.jobs_end()

    async def let_be_due(self) -> None:
        """Lets the next step of every enrolment have fallen due."""
        async with self.client.app[DATABASE].transaction(self.tenant) as session:
            past = datetime.now(UTC) - timedelta(seconds=1)
            await session.execute(update(Enrolment).where(Enrolment.status == "active").values(next_at=past))

    async def subscribers(self, *names: str) -> list[dict[str, Any]]:
        """Subscribers, by what stands before the @."""
        items = [{"email": f"{name}@x.example", "name": f"{name.title()} Rao"} for name in names]
        made: list[dict[str, Any]] = (await self.post("subscribers/bulk", 201, items=items))["items"]
        return made

    async def campaign(self, *names: str, **template: str) -> dict[str, Any]:
        """A draft of a campaign to subscribers that are made for it."""
        audience = await self.post("audiences", 201, name=f"All of {' '.join(names)}")
        people = await self.subscribers(*names)
        await self.post(f"audiences/{audience['id']}/add", subscriber_ids=[one["id"] for one in people])
        body = {"name": "Diwali", "subject": "Hello {{ first_name }}", "text": "Dear {{ name }}, an offer."}
        made = await self.post("templates", 201, **(body | template))
        return await self.post(
            "campaigns", 201, name="Diwali", channel="email", audience_id=audience["id"], template_id=made["id"]
        )


def is_due(job: dict[str, Any], now: datetime) -> bool:
    """Whether a waiting job could be run."""
    return datetime.fromisoformat(job["run_at"]) <= now


@asynccontextmanager
async def receiving(client: Client, tenant: str, port: int) -> AsyncIterator[Work]:
    """The service with a mail server of its own."""
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    work = Work(client, tenant, inbox)
    work.worker._mailer = Mailer(f"smtp://127.0.0.1:{port}", "no-reply@suite.example")
    try:
        yield work
    finally:
        controller.stop()
