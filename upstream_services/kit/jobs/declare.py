"""`@job` declares a job; `enqueue` and `accepted` start one."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pycron
from aiohttp import web
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.model import utc_now
from upstream_services.kit.references import tables_of
from upstream_services.kit.requests import transaction
from upstream_services.kit.validation import Body
from upstream_services.kit.views import json_reply

Function = Callable[..., Awaitable[dict[str, Any] | None]]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A kind of job. `cron`, five fields in UTC, starts one for each tenant that has rows in `tenants_of`."""

    name: str
    function: Function
    input: type[Body]
    cron: str | None = None
    tenants_of: Any = None


class Nothing(Body):
    """The input of a job that needs none."""


class JobOut(BaseModel):
    """A job that was started: how it goes is at `GET /<service>/jobs/{id}`."""

    id: uuid.UUID
    name: str
    state: str


def job(
    name: str,
    *,
    input: type[Body] = Nothing,  # noqa: A002 - the word
    cron: str | None = None,
    tenants_of: Any = None,
) -> Callable[[Function], Job]:
    """Declares a job: `async def f(run, given)`, which returns its result, a dict, or None; for `Service(jobs=)`.

    Raises ValueError for a schedule that is none, or one that does not say for which tenants.
    """
    if cron is not None:
        pycron.is_now(cron, utc_now())
        if tenants_of is None or not tenants_of.__scheduled__:
            raise ValueError(
                f"{name}: a job with a schedule says for which tenants: of a table with __scheduled__ = True"
            )

    def declare(function: Function) -> Job:
        return Job(name=name, function=function, input=input, cron=cron, tenants_of=tenants_of)

    return declare


async def enqueue(
    session: AsyncSession, kind: Job, given: Body | None = None, *, key: str | None = None, at: datetime | None = None
) -> uuid.UUID:
    """Writes a job down with the session's transaction; it is run once that is committed, or `at` a time to come.

    Returns its id.

    For a key that a job of the kind has already, the id of that one.
    """
    table = session.info["job_table"].__table__
    tenant, now, row_id = session.info["tenant"], utc_now(), uuid.uuid4()
    values = {
        "tenant_id": tenant, "id": row_id, "name": kind.name, "key": key, "state": "waiting", "done": 0, "failures": 0,
        "attempts": 0, "run_at": at or now, "has_file": False, "created_at": now, "updated_at": now, "version": 1,
        "input": (given or Nothing()).model_dump(mode="json"), "created_by": session.info.get("user"),
        "updated_by": session.info.get("user"), "request_id": session.info.get("request_id"),
        "traceparent": session.info.get("traceparent"),
    }  # fmt: skip
    connection = await session.connection()
    made = await connection.scalar(insert(table).values(values).on_conflict_do_nothing().returning(table.c.id))
    session.info["written"] = True
    if made is None:
        same = (table.c.tenant_id == tenant) & (table.c.name == kind.name) & (table.c.key == key)
        found: uuid.UUID = (await connection.scalars(select(table.c.id).where(same))).one()
        return found
    if at is None or at <= now:
        session.info.setdefault("jobs", []).append((tenant, row_id))
    return row_id


File = tuple[str, str, bytes]  # its name, its media type, its content


async def accepted(
    request: web.Request, kind: Job, given: Body | None = None, *, key: str | None = None, file: File | None = None
) -> web.Response:
    """Starts a job and answers 202 with its Location. `file` is what `run.given_file()` then reads."""
    async with transaction(request) as session:
        row_id = await enqueue(session, kind, given, key=key)
        if file is not None:
            table = tables_of(session.info["job_table"].registry)["job_files"]
            name, media_type, content = file
            session.add(table(job_id=row_id, kind="given", name=name, media_type=media_type, content=content))
    service = request.path.split("/")[1]
    told = JobOut(id=row_id, name=kind.name, state="waiting")
    return json_reply(told, status=202, headers={"Location": f"/{service}/jobs/{row_id}"})
