"""Hazard: a list reads the whole table, or more of it the deeper one turns its pages.

The statements that the service really sends are explained as they would run: as the role that row-level security binds.
`PLAN_ROWS=1000000` explains them at the size that the product is made for.
"""

import json
import os
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import event

from upstream_services.crm.api import SERVICE as CRM
from upstream_services.kit.app import build_app
from upstream_services.kit.database import database_url
from upstream_services.kit.keys import DATABASE
from upstream_services.kit.settings import Settings
from upstream_services.kit.tenancy import ROWS_ROLE

from .conftest import SERVICES, Client, MakeDatabase

ROWS = int(os.environ.get("PLAN_ROWS", "60000"))
# Of a tenant with a few hundred rows the planner rightly sorts them all; with thousands it has to read the index.
TENANTS = max(12, ROWS // 5000)
COMMON = "created_at, updated_at, version"
FILL = f"""
insert into contacts (tenant_id, id, name, email, status, tag_ids, {COMMON})
    select 't' || n % {TENANTS}, ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'Person ' || n,
        'p' || n || '@x.example', (array['lead', 'active', 'inactive'])[n / {TENANTS} % 3 + 1], '{{}}',
        now() - n * interval '1 second', now(), 1 from generate_series(1, {ROWS}) n;
insert into deals (tenant_id, id, contact_id, title, stage, value, currency, {COMMON})
    select tenant_id, id, id, 'Deal ' || name, (array['new', 'won', 'lost'])[version % 3 + 1],
        length(name) * 1000 + version, 'INR', created_at, updated_at, 1 from contacts;
insert into orders (tenant_id, id, contact_id, number, status, currency, net, tax, total, {COMMON})
    select tenant_id, id, id, row_number() over (partition by tenant_id), 'open', 'INR', 1, 0, 1,
        created_at, updated_at, 1 from contacts;
set default_statistics_target = 1000;
vacuum analyze contacts; vacuum analyze deals; vacuum analyze orders
"""
HOT = (
    "contacts", "contacts?status=active", "contacts?status=active&fields=name", "contacts?q=person", "contacts?q=p77",
    "contacts?sort=name", "contacts?sort=-updated_at",
    "contacts?email=p7@x.example", "deals", "deals?stage=won&sort=-value", "deals?sort=-value",
    "deals?q=deal", "orders?status=open", "orders",
)  # fmt: skip


@pytest.fixture
async def crm_full(migrated: MakeDatabase) -> AsyncIterator[Client]:
    """CRM with many rows of many tenants."""
    url = await migrated(CRM, f"crm_{uuid.uuid4().hex[:8]}")
    connection = await asyncpg.connect(url)
    for statement in FILL.split(";"):
        await connection.execute(statement)
    await connection.close()
    settings = Settings(database=database_url(url), extra={"finance_url": "http://127.0.0.1:1"})
    async with TestClient(TestServer(build_app(CRM, settings)), headers={"X-Tenant-Id": "t7"}) as client:
        yield client


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Every node of a plan."""
    return [plan, *(node for part in plan.get("Plans", ()) for node in nodes(part))]


class Explainer:
    """Explains what the service asks while a request runs."""

    def __init__(self, client: Client) -> None:
        self.client, self.database, self.asked = client, client.app[DATABASE], []
        event.listen(self.database.engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT") and "set_config" not in statement:
            self.asked.append((statement, parameters))

    async def plan(self, path: str, number: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
        """The plan of a list's statement of that number, as it went, and what the service answered."""
        self.asked.clear()
        reply = await self.client.get(f"/crm/{path}")
        assert reply.status == 200, await reply.text()
        # The service looks for jobs as well, whenever it likes.
        table = f"FROM {path.partition('?')[0]} "
        lists = [one for one in self.asked if "ORDER BY" in one[0] and table in " ".join(one[0].split()) + " "]
        statement, parameters = lists[number]
        connection = await asyncpg.connect(self.database.url.set(drivername="postgresql").render_as_string(False))
        try:
            async with connection.transaction():
                await connection.execute("select set_config('app.tenant', 't7', true)")
                await connection.execute(f"set local role {ROWS_ROLE}")
                text = await connection.fetchval(f"explain (analyze, buffers, format json) {statement}", *parameters)
        finally:
            await connection.close()

        return json.loads(text)[0]["Plan"], await reply.json()


@pytest.mark.timeout(600)
async def test_lists_are_read_from_indexes_and_deep_pages_cost_what_the_first_does(crm_full: Client) -> None:
    explainer = Explainer(crm_full)
    for path in HOT:
        plan, _ = await explainer.plan(path)
        kinds = {node["Node Type"] for node in nodes(plan)}
        assert "Seq Scan" not in kinds, (path, kinds)
        if "q=" in path:
            indexes = {node.get("Index Name") for node in nodes(plan)}
            assert indexes & {"contacts_search", "deals_search"}, (path, plan)
        elif "email" not in path:
            assert "Sort" not in kinds, (path, plan)  # the index is in the list's order

    plan, answer = await explainer.plan("contacts?fields=name,email,phone&limit=20")
    assert "Index Only Scan" in {node["Node Type"] for node in nodes(plan)}, plan
    first = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    for _ in range(ROWS // TENANTS // 20 - 2):
        answer = await (await crm_full.get(f"/crm/contacts?limit=20&after={answer['next']}")).json()
    deep, _ = await explainer.plan(f"contacts?fields=name,email,phone&limit=20&after={answer['next']}")
    assert deep["Shared Hit Blocks"] + deep["Shared Read Blocks"] <= first + 5


@pytest.mark.timeout(600)
async def test_a_search_reads_what_the_tenant_has_of_its_words_and_nothing_of_other_tenants(crm_full: Client) -> None:
    explainer = Explainer(crm_full)
    for q in ("person", "p7", "person p7"):
        plan, answer = await explainer.plan(f"contacts?q={q}")
        scans = [node for node in nodes(plan) if "Index Name" in node]
        assert [node["Index Name"] for node in scans] == ["contacts_search"], (q, plan)
        assert scans[0]["Actual Rows"] <= ROWS // TENANTS, (q, plan)
        # 5 to 8; of words without their tenant it is 15 to 28 here, and more with each further tenant.
        assert scans[0]["Shared Hit Blocks"] + scans[0]["Shared Read Blocks"] <= 10, (q, plan)
        assert answer["items"]

    # That many rows have the word: what was found by the index is not sorted but passed over for the list's own order.
    plan, answer = await explainer.plan("contacts?q=person", 1)
    assert {node.get("Index Name") for node in nodes(plan)} == {None, "contacts_list"}, plan
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 100, plan
    assert len(answer["items"]) == 50


def test_whatever_a_list_may_be_sorted_by_has_an_index() -> None:
    for service in SERVICES:
        for resource in service.all_resources:
            orders = [
                [str(part).rpartition(".")[2] for part in index.expressions]
                for index in resource.table.__table__.indexes
            ]
            led = {order[1].split()[0] for order in orders if len(order) > 1 and order[0] == "tenant_id"}
            assert led >= set(resource.all_sortable), (service.name, resource.name)
