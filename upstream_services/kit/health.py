"""Whether a service lives, and whether it can serve: its database answers and has the tables that it needs."""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from upstream_services.kit.database import Database
from upstream_services.kit.errors import DATABASE_ERRORS, Problem
from upstream_services.kit.keys import DATABASE, DRAINING
from upstream_services.kit.views import json_reply

READY_TIMEOUT_S = 2.0
_STEP = text("select version_num from alembic_version")


class NotMigratedError(Exception):
    """The database is older than the program."""


def newest_step(folder: Path) -> str:
    """The number of the last migration, by its file's name; Alembic itself is not imported to serve."""
    return max((path.name.partition("_")[0] for path in folder.glob("[0-9]*_*.py")), default="0000")


async def step_of(database: Database) -> str:
    """The migration that a database is at; "0000" for an empty one."""
    try:
        async with database.engine.begin() as connection:
            return str(await connection.scalar(_STEP) or "0000")
    except ProgrammingError:  # no such table
        return "0000"


async def require_migrated(database: Database, service_name: str, folder: Path) -> None:
    """Raises NotMigratedError, which says what to do. A newer database is fine: it was migrated before the roll-out."""
    if await step_of(database) < newest_step(folder):
        raise NotMigratedError(
            f"the database lacks tables: run `python -m upstream_services.{service_name} migrate`, or serve --migrate"
        )


async def live(_request: web.Request) -> web.Response:
    """`GET /health/live`: the process answers."""
    return json_reply({"status": "ok"})


def ready_of(service: Any) -> Any:
    """`GET /health/ready`: 200, with the lag of each replica where there are any, or 503 with what is missing."""

    async def ready(request: web.Request) -> web.Response:
        if request.app[DRAINING].is_set():
            raise Problem(503, "draining", "the service is stopping")
        database = request.app[DATABASE]
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await require_migrated(database, service.name, service.migrations)
        except NotMigratedError as error:
            raise Problem(503, "not_migrated", str(error)) from None
        except DATABASE_ERRORS:
            raise Problem(503, "database_unavailable", "the database does not answer") from None
        told: dict[str, Any] = {"status": "ok"}
        now = asyncio.get_running_loop().time()
        lags = [database.replicas.lag_s(replica, now) for replica in database.replicas]
        if lags:
            told["replica_lag_s"] = [None if lag == float("inf") else round(lag, 3) for lag in lags]
        return json_reply(told)

    return ready
