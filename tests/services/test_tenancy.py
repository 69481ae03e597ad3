"""Hazard: a statement that somebody writes tomorrow reads or writes another tenant's rows."""

import asyncpg
import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import aliased

from upstream_services.crm.models import Contact
from upstream_services.kit.app import Service
from upstream_services.kit.database import Database
from upstream_services.kit.keys import DATABASE
from upstream_services.kit.tenancy import ROWS_ROLE

from .conftest import SERVICES, Client, MakeDatabase


@pytest.fixture
def database(crm: Client) -> Database:
    """The database of CRM."""
    return crm.app[DATABASE]


async def add(database: Database, tenant: str, name: str) -> Contact:
    """A contact of a tenant."""
    contact = Contact(name=name, status="lead")
    async with database.transaction(tenant) as session:
        session.add(contact)
    return contact


async def test_every_form_of_statement_is_filtered(database: Database, tenant: str, other: str) -> None:
    mine, theirs = await add(database, tenant, "mine"), await add(database, other, "theirs")
    second = aliased(Contact)
    async with database.transaction(tenant) as session:
        assert (await session.scalars(select(Contact))).all()[0].id == mine.id
        assert await session.get(Contact, (other, theirs.id)) is None
        assert (await session.scalars(select(second.name))).all() == ["mine"]
        pairs = select(Contact.name, second.name).join(second, Contact.id != second.id)
        assert (await session.execute(pairs)).all() == []
        inner = select(Contact.id).where(Contact.name == "theirs")
        assert (await session.scalars(select(Contact.name).where(Contact.id.in_(inner)))).all() == []
        await session.execute(update(Contact).values(name="changed"))
        await session.execute(delete(Contact).where(Contact.id == theirs.id))
    async with database.transaction(other) as session:
        assert (await session.scalars(select(Contact.name))).all() == ["theirs"]


async def test_what_cannot_be_filtered_is_refused(database: Database, tenant: str) -> None:
    table = Contact.__table__
    for statement in (text("select 1"), select(table.c.name), insert(Contact).values(name="x"), table.delete()):
        async with database.transaction(tenant) as session:
            with pytest.raises(RuntimeError, match="ORM statements only"):
                await session.execute(statement)


async def test_a_row_of_another_tenant_is_not_written(database: Database, tenant: str, other: str) -> None:
    theirs = await add(database, other, "theirs")

    async def write(row: Contact) -> None:
        async with database.transaction(tenant) as session:
            row.name = "changed"
            session.add(row)

    for row in (Contact(tenant_id=other, name="forged", status="lead"), theirs):
        with pytest.raises(RuntimeError, match="a row of another"):
            await write(row)
    async with database.transaction(other) as session:
        assert (await session.scalars(select(Contact.name))).all() == ["theirs"]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_no_foreign_key_can_cross_tenants(service: Service) -> None:
    for table in service.metadata.sorted_tables:
        for constraint in table.foreign_key_constraints:
            assert constraint.column_keys[0] == "tenant_id"
            assert constraint.elements[0].column.name == "tenant_id"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_the_database_itself_shows_a_transaction_one_tenant(
    migrated: MakeDatabase, service: Service, tenant: str
) -> None:
    """Whatever is asked past the session, by each table's name; and a transaction that names no tenant sees nothing."""
    connection = await asyncpg.connect(await migrated(service))
    try:
        for table in service.metadata.sorted_tables:
            if "tenant_id" not in table.c or table.info.get("system"):
                continue
            secured = "select relrowsecurity and relforcerowsecurity from pg_class where oid = $1::text::regclass"
            assert await connection.fetchval(secured, table.name), table.name
            policies = "select polcmd from pg_policy where polrelid = $1::text::regclass order by polcmd"
            # For reading only: a public id opens its row, and the clock sees which tenants have rows.
            expected = [b"*", *(b"r" for reason in ("public", "scheduled") if table.info.get(reason))]
            assert [row["polcmd"] for row in await connection.fetch(policies, table.name)] == expected, table.name
            async with connection.transaction():
                await connection.execute("select set_config('role', $1, true)", ROWS_ROLE)
                assert await connection.fetchval(f"select count(*) from {table.name}") == 0
                await connection.execute("select set_config('app.tenant', $1, true)", tenant)
                foreign = f"select count(*) from {table.name} where tenant_id <> $1"
                assert await connection.fetchval(foreign, tenant) == 0
    finally:
        await connection.close()


async def test_statements_past_the_session_see_and_write_one_tenant(
    database: Database, tenant: str, other: str
) -> None:
    mine, theirs = await add(database, tenant, "mine"), await add(database, other, "theirs")
    async with database.transaction(tenant) as session:
        connection = await session.connection()  # what no filter of ours stands before
        assert (await connection.scalars(text("select name from contacts"))).all() == ["mine"]
        changed = await connection.execute(text("update contacts set name = 'changed'"))
        assert changed.rowcount == 1
        assert await connection.scalar(text("select count(*) from contacts where id = :id"), {"id": theirs.id}) == 0
    async with database.transaction(tenant) as session:
        forged = text("update contacts set tenant_id = :other where id = :id")
        with pytest.raises(ProgrammingError, match="row-level security"):
            await (await session.connection()).execute(forged, {"other": other, "id": mine.id})


async def test_references_to_another_tenants_rows_do_not_exist(crm: Client, hr: Client, other: str) -> None:
    stranger = {"X-Tenant-Id": other}
    contact = await (await crm.post("/crm/contacts", json={"name": "A"}, headers=stranger)).json()
    department = await (await hr.post("/hr/departments", json={"name": "D", "code": "D"}, headers=stranger)).json()
    deal = {"contact_id": contact["id"], "title": "T"}
    person = {
        "department_id": department["id"],
        "name": "A",
        "email": "a@b.example",
        "joined_on": "2025-01-01",
        "salary": "1",
    }
    for client, path, body in ((crm, "/crm/deals", deal), (hr, "/hr/employees", person)):
        reply = await client.post(path, json=body)
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, next(iter(body)))
    assert (await crm.get(f"/crm/contacts/{contact['id']}/deals")).status == 404
    assert (await hr.get(f"/hr/departments/{department['id']}/employees")).status == 404
