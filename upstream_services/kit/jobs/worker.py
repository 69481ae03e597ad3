"""Runs jobs: claims a row, holds it while the function runs, writes down what came of it, finds what was forgotten."""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pycron
from aiohttp import web
from pydantic import ValidationError
from sqlalchemy import Row as ResultRow
from sqlalchemy import and_, or_, select, text, update

from upstream_services.kit.database import Database
from upstream_services.kit.errors import DATABASE_ERRORS
from upstream_services.kit.jobs.declare import Job, enqueue
from upstream_services.kit.jobs.run import LeaseLostError, Run
from upstream_services.kit.keys import SETTINGS
from upstream_services.kit.mail import Mailer
from upstream_services.kit.metrics import METRICS
from upstream_services.kit.model import utc_now
from upstream_services.kit.validation import faults

log = logging.getLogger(__name__)

FAILURES_MAX = 3
BACKOFF_S = 2.0  # after the first failure, twice that after the second
ATTEMPTS_MAX = 10  # also those that ended with their worker, which is no failure unless it goes on
SWEEP_S = 2.0
SWEEP_MAX = 100
PARALLEL = 8

# "*" is no tenant's name. The policies of the jobs' own tables know it, and of those that schedules go by.
_AS_WORKER = text(
    "select set_config('app.tenant', '*', true),"
    " set_config('role', coalesce(cast(:role as text), current_user::text), true)"
)

Ring = tuple[str, uuid.UUID]


class Worker:
    """The jobs of one service in one process."""

    def __init__(
        self, app: web.Application, database: Database, kinds: Sequence[Job], tables: Any, mailer: Mailer
    ) -> None:
        self._app, self._database, self._mailer = app, database, mailer
        self._kinds = {kind.name: kind for kind in kinds}
        self._tables, self._lease_s = tables, app[SETTINGS].job_lease_s
        self._slots = asyncio.Semaphore(PARALLEL)
        self._running: set[asyncio.Task[None]] = set()
        self._held: set[uuid.UUID] = set()  # the jobs that run here
        self._later: set[asyncio.TimerHandle] = set()

    def __repr__(self) -> str:
        return f"<Worker {', '.join(self._kinds)} running={len(self._running)}>"

    def start(self, ring: Ring) -> asyncio.Task[None]:
        """Runs a job in a task of its own; nothing happens where it is not due, or another worker has it."""
        task = asyncio.create_task(self.work(ring))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def close(self, drain_s: float = 0.0) -> None:
        """Lets what runs end within `drain_s`; the rest is cancelled, and found again by a sweep."""
        for handle in self._later:
            handle.cancel()
        if self._running and drain_s:
            await asyncio.wait(self._running, timeout=drain_s)
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def work(self, ring: Ring) -> None:
        """Claims the job and runs it to its end."""
        async with self._slots:
            try:
                row = await self._claim(ring)
                if row is not None:
                    self._held.add(row.id)
                    try:
                        await self._attempt(row)
                    finally:
                        self._held.discard(row.id)
            except DATABASE_ERRORS as error:  # a sweep comes back to it
                log.warning("job %s: the database does not answer: %s", ring[1], error)

    async def _execute(self, statement: Any) -> Any:
        async with self._database.engine.begin() as connection:
            await connection.execute(_AS_WORKER, {"role": self._database.role})
            return await connection.execute(statement)

    async def _claim(self, ring: Ring) -> ResultRow[Any] | None:
        jobs, now = self._tables.job.__table__, utc_now()
        mine = and_(jobs.c.tenant_id == ring[0], jobs.c.id == ring[1], jobs.c.name.in_(self._kinds), self._is_due(now))
        claimed = {
            "state": "running", "attempts": jobs.c.attempts + 1, "lease_until": now + timedelta(seconds=self._lease_s),
            "version": jobs.c.version + 1, "updated_at": now,
        }  # fmt: skip
        found = await self._execute(update(jobs).where(mine).values(claimed).returning(jobs))
        row: ResultRow[Any] | None = found.one_or_none()
        return row

    def _is_due(self, now: Any) -> Any:
        jobs = self._tables.job.__table__
        waiting = and_(jobs.c.state == "waiting", jobs.c.run_at <= now)
        return or_(waiting, and_(jobs.c.state == "running", jobs.c.lease_until < now))

    async def _attempt(self, row: Any) -> None:
        kind = self._kinds[row.name]
        run = Run(self._app, self._database, self._tables, row, self._mailer, self._lease_s)
        fields = {"job": str(row.id), "name": row.name, "tenant": row.tenant_id, "attempt": row.attempts}
        fields |= {"request_id": row.request_id, "traceparent": row.traceparent}
        keeper = asyncio.create_task(self._keep(row, asyncio.current_task()))
        try:
            if row.attempts > ATTEMPTS_MAX:
                raise RuntimeError(f"given up after {ATTEMPTS_MAX} attempts that ended with their worker")
            result = await kind.function(run, kind.input.model_validate(row.input, strict=False))
            await self._end(row, {"state": "done", "result": result, "error": None, "ended_at": utc_now()})
            self._count(row.name, "done")
        except LeaseLostError:
            self._count(row.name, "lost")
            log.warning("job lost", extra={"fields": {"message": "job lost to another worker", **fields}})
        except ValidationError as error:
            self._count(row.name, "failed")
            await self._fail(row, f"bad input: {faults(error)}", is_final=True)
        except Exception as error:
            self._count(row.name, "failed")
            log.exception("job failed", extra={"fields": {"message": "job failed", **fields}})
            # A driver's further lines quote the row at fault, which not all who may see jobs may see.
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            await self._fail(row, reason, is_final=row.failures + 1 >= FAILURES_MAX or row.attempts > ATTEMPTS_MAX)
        else:
            log.info("job done", extra={"fields": {"message": "job done", **fields}})
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper

    def _count(self, name: str, end: str) -> None:
        self._app[METRICS].jobs.labels(name, end).inc()

    async def _keep(self, row: Any, owner: asyncio.Task[Any] | None) -> None:
        """Renews the lease while the function runs; ends the attempt where the job is no longer ours."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            try:
                is_ours = await self._end(row, {"lease_until": utc_now() + timedelta(seconds=self._lease_s)})
            except DATABASE_ERRORS:
                continue  # the lease may run out; `once` then says so
            if not is_ours and owner is not None:
                owner.cancel()
                return

    async def _fail(self, row: Any, reason: str, *, is_final: bool) -> None:
        values: dict[str, Any] = {"failures": row.failures + 1, "error": reason[:2000]}
        if is_final:
            await self._end(row, values | {"state": "dead", "ended_at": utc_now()})
            return
        wait_s = BACKOFF_S * 2**row.failures
        await self._end(row, values | {"state": "waiting", "run_at": utc_now() + timedelta(seconds=wait_s)})
        loop = asyncio.get_running_loop()
        handle = loop.call_later(wait_s, self._again, (row.tenant_id, row.id))
        self._later.add(handle)

    def _again(self, ring: Ring) -> None:
        now = asyncio.get_running_loop().time()
        self._later = {handle for handle in self._later if handle.when() > now and not handle.cancelled()}
        self.start(ring)

    async def _end(self, row: Any, values: dict[str, Any]) -> bool:
        jobs = self._tables.job.__table__
        mine = and_(jobs.c.tenant_id == row.tenant_id, jobs.c.id == row.id, jobs.c.attempts == row.attempts)
        changed = {"updated_at": utc_now(), "version": jobs.c.version + 1, **values}
        statement = update(jobs).where(mine, jobs.c.state == "running").values(changed)
        return bool((await self._execute(statement)).rowcount)

    async def sweep(self) -> list[Ring]:
        """The jobs that are due, the longest due first: those that nobody was told of, and those of dead workers."""
        jobs = self._tables.job.__table__
        due = select(jobs.c.tenant_id, jobs.c.id).where(self._is_due(utc_now()), jobs.c.name.in_(self._kinds))
        found = await self._execute(due.order_by(jobs.c.run_at).limit(SWEEP_MAX))
        return [(tenant, row_id) for tenant, row_id in found if row_id not in self._held]

    async def start_scheduled(self, now: Any) -> None:
        """Writes down the jobs that the clock starts in this minute, one for a tenant whoever else does the same."""
        for kind in self._kinds.values():
            if kind.cron is None or not pycron.is_now(kind.cron, now):
                continue
            tenants = await self._execute(select(kind.tenants_of.__table__.c.tenant_id).distinct())
            for (tenant,) in tenants.all():
                async with self._database.transaction(tenant) as session:
                    await enqueue(session, kind, key=f"{now:%Y-%m-%dT%H:%M}")

    async def keep_looking(self) -> None:
        """Sweeps, and starts what is scheduled, until cancelled."""
        minute = None
        while True:
            try:
                now = utc_now().replace(second=0, microsecond=0)
                if now != minute:
                    await self.start_scheduled(now)
                    minute = now
                for ring in await self.sweep():
                    self.start(ring)
            except DATABASE_ERRORS as error:
                log.warning("no sweep: the database does not answer: %s", error)
            await asyncio.sleep(SWEEP_S)


def tables_of_jobs(tables: dict[str, Any]) -> Any:
    """The three classes among a service's."""
    return SimpleNamespace(job=tables["jobs"], step=tables["job_steps"], file=tables["job_files"])
