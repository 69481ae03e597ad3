"""Running a service as a process: `python -m upstream_services.<name>`.

Standard output gets one line of JSON when the service is ready, standard error the log. SIGTERM, SIGINT or, with
`--exit-with-parent`, the end of standard input drain it: it stops accepting, lets running requests end, and exits with
0.
"""

import asyncio
import errno
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import asyncpg
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from upstream_services.kit import commands
from upstream_services.kit.access_log import AccessLogger, log_to_stderr
from upstream_services.kit.app import Service, build_app
from upstream_services.kit.database import database_url
from upstream_services.kit.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from upstream_services.kit.health import NotMigratedError
from upstream_services.kit.keys import IN_FLIGHT
from upstream_services.kit.process import stop_requested
from upstream_services.kit.settings import Settings, parse

try:
    import uvloop as event_loops
except ImportError:  # Windows has none
    event_loops = asyncio  # type: ignore[misc]


class StartError(Exception):
    """The service cannot start, for a reason that its operator can change."""


async def _drain(runner: web.AppRunner, site: web.TCPSite, drain_s: float) -> None:
    """Lets what is running end. Not left to aiohttp, which stops to read as well: an upload would never be whole."""
    await site.stop()
    await runner.app.shutdown()
    with suppress(TimeoutError):
        async with asyncio.timeout(drain_s):
            await runner.app[IN_FLIGHT].ended()


async def _serve(service: Service, settings: Settings) -> None:
    stop = await stop_requested(with_stdin=settings.exit_with_parent)
    runner = web.AppRunner(build_app(service, settings), access_log_class=AccessLogger, shutdown_timeout=1)
    try:
        await _set_up(runner, settings)
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            reason = "the port is in use" if in_use else str(error.strerror)
            raise StartError(f"cannot listen on {settings.host}:{settings.port}: {reason}") from None
        host, port = runner.addresses[0][:2]
        sys.stdout.write(json.dumps({"ready": True, "service": service.name, "url": f"http://{host}:{port}"}) + "\n")
        sys.stdout.flush()
        await stop.wait()
        await _drain(runner, site, settings.drain_s)
    finally:
        await runner.cleanup()


async def _work(service: Service, settings: Settings) -> None:
    stop = await stop_requested(with_stdin=settings.exit_with_parent)
    runner = web.AppRunner(build_app(service, settings))
    try:
        await _set_up(runner, settings)
        sys.stdout.write(json.dumps({"ready": True, "worker": service.name}) + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def run_worker(service: Service, settings: Settings) -> int:
    """Runs the jobs of a service, and nothing else, until it is told to stop. Returns the exit code."""
    if settings.database is None:
        sys.stderr.write(f"{service.name}: a worker needs the service's --database\n")
        return 2
    return _run(service, replace(settings, is_worker=True), _work)


async def _set_up(runner: web.AppRunner, settings: Settings) -> None:
    try:
        await runner.setup()
    except NotMigratedError as error:
        raise StartError(str(error)) from None
    except (OSError, SQLAlchemyError, asyncpg.PostgresError) as error:
        reason = str(getattr(error, "orig", error)).partition("\n")[0] or "no answer in time"
        raise StartError(f"cannot use the database {settings.database}: {reason}") from None


def run(service: Service, arguments: Sequence[str] | None = None) -> int:
    """Runs a service until it is told to stop, or one of its commands (`commands.py`). Returns the exit code:

    0, or 2 with one line where it cannot start.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if given and not given[0].startswith("-"):
        return commands.run(service, given[0], given[1:])
    return _run(service, parse(service.name, service.port, service.flags, given))


def run_as_child(service: Service, port: int, database: str, extra: Mapping[str, str]) -> int:
    """The same for a process that was forked with its settings, and ends when its standard input does."""
    url = database_url(database)
    extra = {flag.key: flag.default for flag in service.flags} | dict(extra)
    return _run(service, Settings(port=port, database=url, migrate=True, extra=extra, exit_with_parent=True))


def _run(service: Service, settings: Settings, work: Any = _serve) -> int:
    log_to_stderr()
    try:
        with ExitStack() as stack:
            if settings.database is None:
                postgres = stack.enter_context(EmbeddedPostgres(settings.data))
                url = asyncio.run(postgres.create_database(service.name))
                settings = replace(settings, database=database_url(url), migrate=True)
            with asyncio.Runner(loop_factory=event_loops.new_event_loop) as runner:
                runner.run(work(service, settings))
    except (StartError, EmbeddedPostgresError) as error:
        sys.stderr.write(f"{service.name}: {error}\n")
        return 2
    return 0
