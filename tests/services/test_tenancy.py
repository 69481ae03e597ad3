"""Hazard: a statement that somebody writes tomorrow reads or writes another tenant's rows."""

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import aliased

from upstream_services.crm.models import Contact, Deal
from upstream_services.finance.models import InvoiceLine
from upstream_services.kit.database import Database
from upstream_services.kit.keys import DATABASE

from .conftest import Client


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


def test_no_foreign_key_can_cross_tenants() -> None:
    for table in (Deal.__table__, InvoiceLine.__table__):
        (constraint,) = table.foreign_key_constraints
        assert constraint.column_keys[0] == "tenant_id"


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
