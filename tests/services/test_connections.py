"""Hazard: a transaction runs as another tenant, as nobody, or on a connection that is dead."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from upstream_services.hr.api import SERVICE as HR
from upstream_services.hr.models import Department
from upstream_services.kit import connections
from upstream_services.kit.database import Database, database_url
from upstream_services.kit.tenancy import ROWS_ROLE

from .conftest import MakeDatabase

WHOSE = text("select current_setting('app.tenant', true), current_user::text")


@pytest.fixture
async def database(migrated: MakeDatabase) -> AsyncIterator[Database]:
    """HR's, with one connection in its pool."""
    made = Database(database_url(await migrated(HR)))
    await made.start()
    yield made
    await made.close()


async def driver_of(database: Database) -> Any:
    """The driver's connection that the next transaction gets."""
    async with database.engine.connect() as connection:
        return (await connection.get_raw_connection()).driver_connection


async def test_whose_a_transaction_is_goes_with_its_begin(database: Database, tenant: str) -> None:
    sent: list[str] = []
    driver = await driver_of(database)
    with driver.query_logger(lambda record: sent.append(record.query)):
        async with database.transaction(tenant) as session:
            assert (await session.scalars(select(Department.name))).all() == []
    settings = f"select set_config('app.tenant', '{tenant}', true), set_config('role', '{ROWS_ROLE}', true)"
    assert sent == [f"BEGIN; {settings}", "COMMIT;"]  # the driver does not tell of what it prepares


async def test_a_transaction_that_executed_nothing_leaves_nothing_to_the_next(database: Database, tenant: str) -> None:
    async with database.transaction(tenant) as session:
        await session.connection()
    async with database.engine.begin() as connection:
        assert (await connection.execute(WHOSE)).one() in [(None, "postgres"), ("", "postgres")]


async def test_one_transaction_after_another_is_of_its_own_tenant(database: Database, tenant: str, other: str) -> None:
    driver = await driver_of(database)
    for name in (tenant, other, tenant):
        async with database.transaction(name) as session:
            connection = await session.connection()
            assert (await connection.get_raw_connection()).driver_connection is driver
            assert (await connection.execute(WHOSE)).one() == (name, ROWS_ROLE)


async def test_a_savepoint_is_of_the_same_tenant(database: Database, tenant: str) -> None:
    async with database.transaction(tenant) as session:
        async with session.begin_nested():
            assert (await (await session.connection()).execute(WHOSE)).one() == (tenant, ROWS_ROLE)
        assert (await (await session.connection()).execute(WHOSE)).one() == (tenant, ROWS_ROLE)


async def test_a_transaction_that_cannot_say_whose_it_is_takes_its_connection_with_it(
    database: Database, tenant: str
) -> None:
    driver = await driver_of(database)
    database.role = f"nobody_{uuid.uuid4().hex[:8]}"
    with pytest.raises(DBAPIError, match="does not exist"):
        async with database.transaction(tenant) as session:
            await session.scalars(select(Department.name))
    assert driver.is_closed()
    database.role = ROWS_ROLE
    async with database.transaction(tenant) as session:
        assert (await session.scalars(select(Department.name))).all() == []


async def test_what_is_no_name_of_a_tenant_is_no_part_of_a_statement(database: Database) -> None:
    for name in ("x', true); drop table departments; --", "*", ""):
        with pytest.raises(RuntimeError, match="no tenant's name"):
            async with database.transaction(name) as session:
                await session.scalars(select(Department.name))


async def test_a_connection_that_was_closed_is_not_given_out(database: Database, tenant: str) -> None:
    driver = await driver_of(database)
    driver.terminate()
    async with database.transaction(tenant) as session:
        assert (await session.scalars(select(Department.name))).all() == []


async def test_a_connection_that_has_lain_is_asked_whether_it_lives(
    database: Database, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    driver = await driver_of(database)
    with driver.query_logger(lambda record: sent.append(record.query)):
        async with database.engine.begin() as connection:
            await connection.execute(WHOSE)
        asked = len(sent)
        monkeypatch.setattr(connections, "ASK_AFTER_S", -1.0)
        async with database.engine.begin() as connection:
            await connection.execute(WHOSE)
    assert len(sent) == 2 * asked + 3  # BEGIN, a question, ROLLBACK

    async def unreachable(*_arguments: Any, **_options: Any) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(connections.Connection, "fetchrow", unreachable)
    async with database.transaction(tenant) as session:
        assert (await session.scalars(select(Department.name))).all() == []
        assert (await (await session.connection()).get_raw_connection()).driver_connection is not driver
