"""Hazard: behind PgBouncer in transaction mode a statement meets what another left, or what is another tenant's."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from upstream_services.crm.api import SERVICE as CRM
from upstream_services.kit.app import build_app
from upstream_services.kit.database import database_url
from upstream_services.kit.embedded_postgres import EmbeddedPostgres
from upstream_services.kit.settings import Settings

from .conftest import Client
from .servers import pgbouncer

TENANTS = ("a", "b", "c")


@pytest.fixture
async def crm_behind(postgres: EmbeddedPostgres) -> AsyncIterator[Client]:
    """CRM, migrated and served through a PgBouncer that has two connections for all of it."""
    name = f"crm_{uuid.uuid4().hex[:8]}"
    direct = database_url(await postgres.create_database(name))
    async with pgbouncer(postgres, pool_size=2) as url:
        settings = Settings(
            database=database_url(f"{url}/{name}"), listen_database=direct, migrate=True,
            extra={"finance_url": "http://127.0.0.1:1"},
        )  # fmt: skip
        async with TestClient(TestServer(build_app(CRM, settings))) as client:
            yield client


async def life(client: Client, tenant: str, number: int) -> list[str]:
    """What a client of a tenant does; the ids of what it made."""
    headers = {"X-Tenant-Id": tenant}
    made = await client.post("/crm/contacts", json={"name": f"{tenant} {number}"}, headers=headers)
    assert made.status == 201, await made.text()
    contact = await made.json()
    where = f"/crm/contacts/{contact['id']}"
    changed = await client.patch(where, json={"status": "active"}, headers=headers)
    deal = await client.post("/crm/deals", json={"contact_id": contact["id"], "title": "T"}, headers=headers)
    found = await client.get("/crm/contacts", params={"q": tenant, "limit": "200"}, headers=headers)
    refused = await client.delete(where, headers=headers)
    assert (changed.status, deal.status, found.status, refused.status) == (200, 201, 200, 409)
    seen: list[dict[str, Any]] = (await found.json())["items"]
    assert {item["name"].split()[0] for item in seen} == {tenant}
    return [contact["id"]]


async def test_tenants_on_few_connections_are_not_mixed_up(crm_behind: Client) -> None:
    lives = [life(crm_behind, tenant, number) for number in range(12) for tenant in TENANTS]
    made = await asyncio.gather(*lives)
    assert len({row_id for ids in made for row_id in ids}) == 36
    for tenant in TENANTS:
        reply = await crm_behind.get("/crm/contacts", params={"limit": "200"}, headers={"X-Tenant-Id": tenant})
        names = [item["name"] for item in (await reply.json())["items"]]
        assert sorted(names) == sorted(f"{tenant} {number}" for number in range(12))
    assert (await crm_behind.get("/health/ready")).status == 200


async def test_jobs_and_the_change_feed_run_there_too(crm_behind: Client) -> None:
    headers = {"X-Tenant-Id": "a"}
    async with crm_behind.get("/crm/events", headers=headers) as stream:
        assert (await stream.content.readline()) == b"event: hello\n"
        body = "name\n" + "\n".join(f"Person {n}" for n in range(250))
        csv = headers | {"Content-Type": "text/csv"}
        started = await crm_behind.post("/crm/contacts/import", data=body, headers=csv)
        while True:
            job = await (await crm_behind.get(started.headers["Location"], headers=headers)).json()
            if job["state"] in ("done", "dead"):
                break
        assert (job["state"], job["result"]["imported"]) == ("done", 250), job
        while (await stream.content.readline()) != b"event: contact.created\n":
            pass
