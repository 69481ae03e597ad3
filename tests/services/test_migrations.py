"""Hazard: the steps make other tables than the models say, or two processes take them at once."""

import asyncio
import sys
import uuid

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from upstream_services.hr.api import SERVICE as HR
from upstream_services.kit import commands, migrations
from upstream_services.kit.app import Service
from upstream_services.kit.database import database_url
from upstream_services.kit.embedded_postgres import EmbeddedPostgres
from upstream_services.kit.health import newest_step

from .conftest import SERVICES, MakeDatabase


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_the_steps_make_what_the_models_say(migrated: MakeDatabase, service: Service) -> None:
    engine = create_async_engine(database_url(await migrated(service)))
    async with engine.connect() as connection:
        found = await connection.run_sync(lambda sync: migrations.missing(service.migrations, sync, service.metadata))
        at = await connection.run_sync(migrations.current)
    await engine.dispose()
    assert found == []
    assert at == migrations.head_of(service.migrations) == newest_step(service.migrations)


async def test_processes_that_migrate_together_take_turns(postgres: EmbeddedPostgres, project: str) -> None:
    url = await postgres.create_database(f"hr_{uuid.uuid4().hex[:8]}")
    command = (sys.executable, "-m", "upstream_services.hr", "migrate", "--database", url)
    processes = [
        await asyncio.create_subprocess_exec(
            *command, cwd=project, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    told = [await process.communicate() for process in processes]
    assert told == [(b"hr: at step %s\n" % newest_step(HR.migrations).encode(), b"")] * 3


def test_what_is_no_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.run(HR, "migrat", []) == 2
    assert capsys.readouterr().err.startswith("hr: 'migrat' is no command; there are migrate, migration, openapi")
    assert commands.run(HR, "migrate", ["--database", "postgresql://127.0.0.1:1/hr"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
