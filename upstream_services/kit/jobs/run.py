"""What a job's function is given: the transactions of its tenant, steps that are taken once, progress, files, mail."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from aiohttp import web
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.database import Database
from upstream_services.kit.mail import Attachment, Mailer
from upstream_services.kit.model import utc_now


class LeaseLostError(Exception):
    """Another worker has the job now: this one was taken for dead."""


class Run:
    """One attempt at a job. `app` is the application, for its clients and settings."""

    def __init__(
        self, app: web.Application, database: Database, tables: Any, row: Any, mailer: Mailer, lease_s: float
    ) -> None:
        self.app, self.id, self.tenant, self.user = app, row.id, row.tenant_id, row.created_by
        self.request_id: str | None = row.request_id
        self.traceparent: str | None = row.traceparent
        self.attempt: int = row.attempts
        self._database, self._tables, self._mailer = database, tables, mailer
        self._mails, self._lease_s = 0, lease_s

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self.tenant} attempt={self.attempt}>"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A transaction of the job's tenant and user, that a further attempt may run again."""
        origin = {"request_id": self.request_id, "traceparent": self.traceparent}
        async with self._database.transaction(self.tenant, self.user, **origin) as session:
            yield session

    @asynccontextmanager
    async def once(self, step: str) -> AsyncIterator[AsyncSession | None]:
        """A transaction that no further attempt runs again; None where an earlier one committed it.

        Raises LeaseLostError where the job is no longer this worker's.
        """
        async with self.transaction() as session:
            connection = await session.connection()
            await self._touch(session, {})
            steps = self._tables.step.__table__
            values = {"tenant_id": self.tenant, "job_id": self.id, "step": step, "at": utc_now()}
            is_first = await connection.scalar(
                insert(steps).values(values).on_conflict_do_nothing().returning(steps.c.step)
            )
            yield session if is_first is not None else None
            await session.flush()
            # Who waits to take the job over has waited for this transaction, and is to see that its worker lives.
            await self._touch(session, {"lease_until": utc_now() + timedelta(seconds=self._lease_s)})

    async def _touch(self, session: AsyncSession, values: dict[str, Any]) -> None:
        """Writes to the job's row, which keeps others from taking it until the transaction ends."""
        jobs = self._tables.job.__table__
        mine = (jobs.c.tenant_id == self.tenant) & (jobs.c.id == self.id) & (jobs.c.attempts == self.attempt)
        changed = {"updated_at": utc_now(), "version": jobs.c.version + 1, **values}
        statement = update(jobs).where(mine, jobs.c.state == "running").values(changed)
        if (await (await session.connection()).execute(statement)).rowcount != 1:
            raise LeaseLostError(str(self.id))

    async def progress(self, done: int, total: int | None = None) -> None:
        """Tells how far it is; `GET /<service>/jobs/{id}` shows it."""
        async with self.transaction() as session:
            await self._touch(session, {"done": done} | ({} if total is None else {"total": total}))

    async def attach(self, name: str, media_type: str, content: bytes) -> None:
        """Keeps the file that came of the job: `GET /<service>/jobs/{id}/file`. A second one takes its place."""
        files = self._tables.file.__table__
        values = {
            "tenant_id": self.tenant,
            "job_id": self.id,
            "kind": "made",
            "name": name,
            "media_type": media_type,
            "content": content,
        }
        statement = insert(files).values(values)
        replaced = statement.on_conflict_do_update(index_elements=["tenant_id", "job_id", "kind"], set_=values)
        async with self.transaction() as session:
            await self._touch(session, {"has_file": True})
            await (await session.connection()).execute(replaced)

    async def given_file(self) -> bytes:
        """The file that the job was started with (`accepted(..., file=...)`)."""
        files = self._tables.file
        async with self.transaction() as session:
            of_mine = select(files.content).where(files.job_id == self.id, files.kind == "given")
            return bytes((await session.scalars(of_mine)).one())

    async def note(self, session: AsyncSession, step: str, told: Any) -> None:
        """Keeps what a step has to tell, JSON, with the step: in its `once` transaction."""
        steps = self._tables.step
        mine = (steps.job_id == self.id) & (steps.step == step)
        await session.execute(update(steps).where(mine).values(told=told))

    async def noted(self, step: str) -> Any:
        """What a step that was taken told; None where it told nothing."""
        steps = self._tables.step
        async with self.transaction() as session:
            return await session.scalar(select(steps.told).where(steps.job_id == self.id, steps.step == step))

    @property
    def mailer(self) -> Mailer:
        """For a message that belongs to a step of the job's own; `mail` makes a step of it."""
        return self._mailer

    async def mail(
        self, *, to: str, subject: str, text: str, attachments: Sequence[Attachment] = (), step: str | None = None
    ) -> None:
        """Sends a message, once: the step is named by its number in the job unless `step` names it better."""
        self._mails += 1
        name = step or f"mail-{self._mails}"
        async with self.once(name) as session:
            if session is not None:
                message_id = f"{uuid.uuid5(self.id, name)}@{self._mailer.domain}"  # the same in each attempt
                await self._mailer.send(
                    to=to, subject=subject, text=text, attachments=attachments, message_id=message_id
                )
