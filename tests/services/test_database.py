"""Hazard: the database goes away, is slow or is behind PgBouncer, and a client waits for ever or gets a 500."""

import asyncio
import uuid
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from upstream_services.hr.api import SERVICE as HR
from upstream_services.hr.models import Department
from upstream_services.kit import database as database_module
from upstream_services.kit.app import Service
from upstream_services.kit.database import POOL_MAX
from upstream_services.kit.embedded_postgres import EmbeddedPostgres
from upstream_services.kit.keys import DATABASE, DRAINING

from .conftest import Client, StartService

DEPARTMENT = {"name": "Engineering", "code": "ENG"}


@pytest.fixture(scope="session")
def between() -> None:
    """These are about one database without anything before it: with a replica, reads would go on."""


@pytest.fixture
async def alone(start_service: StartService) -> Client:
    """HR with a database that no other test uses."""
    service = Service(name=f"hr_{uuid.uuid4().hex[:8]}", port=0, metadata=HR.metadata, resources=HR.resources)
    return await start_service(service)


async def admin(postgres: EmbeddedPostgres, statement: str, *values: Any) -> None:
    """Runs a statement as the administrator."""
    connection = await asyncpg.connect(postgres.url("postgres"))
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


def path_of(client: Client) -> str:
    """Where its departments are."""
    return f"/{client.app[DATABASE].url.database}/departments"


async def throw_out(client: Client, postgres: EmbeddedPostgres) -> None:
    """Ends every connection of a service on the server's side."""
    name = client.app[DATABASE].url.database
    await admin(postgres, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")


async def test_lost_connections_are_not_noticed_by_clients(alone: Client, postgres: EmbeddedPostgres) -> None:
    assert (await alone.get(path_of(alone))).status == 200
    await throw_out(alone, postgres)
    assert (await alone.get(path_of(alone))).status == 200


async def test_a_database_that_is_away_is_a_503_and_not_ready(alone: Client, postgres: EmbeddedPostgres) -> None:
    name = alone.app[DATABASE].url.database
    assert (await alone.get("/health/ready")).status == 200
    await admin(postgres, f'alter database "{name}" allow_connections false')
    await throw_out(alone, postgres)
    for path in (path_of(alone), "/health/ready"):
        reply = await alone.get(path)
        assert (reply.status, (await reply.json())["code"]) == (503, "database_unavailable")
    assert (await alone.get("/health/live")).status == 200
    await admin(postgres, f'alter database "{name}" allow_connections true')
    assert (await alone.get("/health/ready")).status == 200


async def test_a_statement_that_takes_too_long_is_a_503(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch, tenant: str
) -> None:
    monkeypatch.setattr(database_module, "STATEMENT_TIMEOUT_S", 0.2)
    hr = await start_service(HR)
    where = (await hr.post("/hr/departments", json=DEPARTMENT)).headers["Location"]
    async with hr.app[DATABASE].transaction(tenant) as session:
        await session.get(Department, (tenant, uuid.UUID(where.rpartition("/")[2])), with_for_update=True)
        reply = await hr.patch(where, json={"name": "Other"})
        assert (reply.status, (await reply.json())["code"]) == (503, "database_unavailable")
        assert reply.headers["Retry-After"] == "1"
    assert (await hr.patch(where, json={"name": "Other"})).status == 200


async def test_the_pool_is_bounded_and_a_busy_one_is_a_503(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch, tenant: str
) -> None:
    monkeypatch.setattr(database_module, "POOL_WAIT_S", 0.1)
    hr = await start_service(HR)
    database = hr.app[DATABASE]
    connections = [await database.engine.connect() for _ in range(POOL_MAX)]
    reply = await hr.get("/hr/departments")
    assert (reply.status, (await reply.json())["detail"]) == (503, "all database connections are busy")
    await asyncio.gather(*(connection.close() for connection in connections))
    assert (await hr.get("/hr/departments")).status == 200


async def test_nothing_is_left_on_a_connection_for_pgbouncer_to_lose(hr: Client) -> None:
    database = hr.app[DATABASE]
    await hr.post("/hr/departments", json=DEPARTMENT)
    await hr.get("/hr/departments")
    async with database.engine.connect() as connection:
        assert (await connection.execute(text("select name from pg_prepared_statements"))).all() == []


async def test_not_ready_while_draining(hr: Client) -> None:
    hr.app[DRAINING].set()
    reply = await hr.get("/health/ready")
    assert (reply.status, (await reply.json())["code"]) == (503, "draining")
    assert reply.headers["Connection"] == "close"
