"""What `python -m upstream_services.<service>` does beside serving: migrate, migration "...", openapi, worker."""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from upstream_services.kit.app import Service
from upstream_services.kit.database import database_url
from upstream_services.kit.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from upstream_services.kit.health import newest_step
from upstream_services.kit.openapi import document
from upstream_services.kit.settings import parse


def run(service: Service, command: str, arguments: Sequence[str]) -> int:
    """Runs a command. Returns the exit code: 0, or 2 with one line that says why not."""
    functions = {"migrate": _migrate, "migration": _migration, "openapi": _openapi, "worker": _worker}
    if command not in functions:
        sys.stderr.write(f"{service.name}: {command!r} is no command; there are {', '.join(functions)}\n")
        return 2
    try:
        return functions[command](service, arguments)
    except (OSError, SQLAlchemyError, asyncpg.PostgresError, EmbeddedPostgresError) as error:
        reason = str(getattr(error, "orig", error)).partition("\n")[0] or "no answer in time"
        sys.stderr.write(f"{service.name}: {reason}\n")
        return 2


def _migrate(service: Service, arguments: Sequence[str]) -> int:
    """Brings the database of `--database` or DATABASE_URL up to date, or the embedded one of `--data`."""
    from upstream_services.kit.migrations import migrate  # Alembic takes its time, and to serve does not need it

    settings = parse(service.name, service.port, service.flags, arguments)
    with ExitStack() as stack:
        url = settings.database
        if url is None:
            postgres = stack.enter_context(EmbeddedPostgres(settings.data))
            url = database_url(asyncio.run(postgres.create_database(service.name)))
        asyncio.run(migrate(url, service.migrations, service.metadata))
    sys.stdout.write(f"{service.name}: at step {newest_step(service.migrations)}\n")
    return 0


def _migration(service: Service, arguments: Sequence[str]) -> int:
    """Writes the next step, on an embedded PostgreSQL of its own."""
    from upstream_services.kit.migrations import write_next

    if len(arguments) != 1:
        sys.stderr.write(f'{service.name}: migration "what changes"\n')
        return 2
    with EmbeddedPostgres() as postgres:
        url = database_url(asyncio.run(postgres.create_database(service.name)))
        path = asyncio.run(write_next(url, service.migrations, service.metadata, arguments[0]))
    sys.stdout.write(f"{service.name}: {path.name if path else 'the models say nothing new'}\n")
    return 0


def _worker(service: Service, arguments: Sequence[str]) -> int:
    """Runs jobs that other processes of the service write down, until it is told to stop."""
    from upstream_services.kit.serve import run_worker

    return run_worker(service, parse(service.name, service.port, service.flags, arguments))


def _openapi(service: Service, _arguments: Sequence[str]) -> int:
    """Prints the OpenAPI document."""
    sys.stdout.write(json.dumps(document(service.name, service.version, service.paths), indent=2) + "\n")
    return 0
