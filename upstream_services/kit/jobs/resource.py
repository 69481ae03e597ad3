"""What a service answers about its jobs: the list, the dead letters (`?state=dead`), each one's progress and file."""

from typing import Any

from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.errors import conflict, not_found
from upstream_services.kit.model import utc_now
from upstream_services.kit.operations import Operation, operation
from upstream_services.kit.requests import path_id, reading
from upstream_services.kit.resource import Resource


def resource_of_jobs(table: Any) -> Resource[Any]:
    """`/jobs`, which clients read; they start jobs by other operations."""
    jobs = Resource(
        name="jobs", table=table, read_only=True, is_live=True, filters=("name", "state"), sortable=("run_at",)
    )

    @jobs.action("retry")
    async def retry(session: AsyncSession, row: Any) -> None:
        """Try a dead job once more; what it had done, it does not do again."""
        if row.state != "dead":
            raise conflict(f"the job is {row.state}; only a dead one is tried again", "not_dead")
        row.state, row.failures, row.attempts, row.run_at, row.ended_at = "waiting", 0, row.attempts, utc_now(), None
        session.info.setdefault("jobs", []).append((row.tenant_id, row.id))

    return jobs


def file_of_jobs(table: Any) -> Operation:
    """`GET /jobs/{id}/file`."""

    @operation("GET", "jobs/{id}/file", media_type="application/octet-stream")
    async def job_file(request: web.Request) -> web.Response:
        """The file that came of a job."""
        row_id = path_id(request, "file")
        async with reading(request) as session:
            found: Any = await session.scalar(select(table).where(table.job_id == row_id, table.kind == "made"))
        if found is None:
            raise not_found("file")
        name = "".join(
            letter if letter.isascii() and letter.isprintable() and letter not in '"\\' else "_"
            for letter in found.name
        )
        headers = {"Content-Type": found.media_type, "Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(body=found.content, headers=headers)

    return job_file
