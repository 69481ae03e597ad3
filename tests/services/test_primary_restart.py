"""Hazard: the primary is restarted under load, and a write that was answered is gone, a read is wrong, or a pool sick.

Clients go on as if nothing were: through PgBouncer to the primary, and to a streaming replica. `RESTARTS=20` does it
longer.
"""

import asyncio
import os
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp.test_utils import TestClient, TestServer

from upstream_services.crm.api import SERVICE as CRM
from upstream_services.kit.app import build_app
from upstream_services.kit.database import database_url
from upstream_services.kit.embedded_postgres import EmbeddedPostgres
from upstream_services.kit.keys import DATABASE
from upstream_services.kit.settings import Settings

from .conftest import Client
from .own_postgres import OwnPostgres
from .servers import pgbouncer, programs_of, replica_of

WRITERS = 4
READERS = 4
RESTARTS = int(os.environ.get("RESTARTS", "2"))
GRACE_S = 1.0  # after the primary is back: PgBouncer asks it again once a second
RIGHT = {200, 201}


@dataclass
class Load:
    """Clients that write and read all the time, and what became of each request."""

    client: Client
    quiet: str  # a tenant that does not write: its reads go to the replica
    contact: str
    made: dict[str, dict[str, str]] = field(default_factory=dict)  # tenant -> id -> name, of what was answered
    errors: list[tuple[str, float, float, str]] = field(default_factory=list)  # who, began, ended, what
    wrong: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    is_over: bool = False

    async def ask(self, who: str, method: str, path: str, tenant: str, **extra: object) -> dict[str, object] | None:
        """The answer; None where it was 503, which is noted. Anything else is wrong."""
        began = time.monotonic()
        async with self.client.request(method, path, headers={"X-Tenant-Id": tenant}, **extra) as reply:  # type: ignore[arg-type]
            answer: dict[str, object] = await reply.json()
        if reply.status in RIGHT:
            self.done[who] += 1
            return answer
        self.errors.append((who, began, time.monotonic(), f"{method} {path}: {reply.status} {answer['code']}"))
        if (reply.status, answer["code"]) != (503, "database_unavailable"):
            self.wrong.append(f"{method} {path}: {reply.status} {answer}")
        return None

    async def write(self, tenant: str) -> None:
        """Makes contacts, and changes each; reads it back each time."""
        number = 0
        made = self.made[tenant] = {}
        while not self.is_over:
            number += 1
            name = f"{tenant} {number}"
            contact = await self.ask("writer", "POST", "/crm/contacts", tenant, json={"name": name})
            if contact is None:
                continue
            row_id = str(contact["id"])
            made[row_id] = name
            possible = {name}
            for step in range(3):
                changed = f"{name} {step}"
                possible.add(changed)
                answered = await self.ask("writer", "PATCH", f"/crm/contacts/{row_id}", tenant, json={"name": changed})
                if answered is not None:
                    made[row_id], possible = changed, {changed}
                seen = await self.ask("writer", "GET", f"/crm/contacts/{row_id}", tenant)
                if seen is not None:
                    if seen["name"] not in possible:
                        self.wrong.append(f"{seen['name']!r} was read where {possible} was written")
                    made[row_id], possible = str(seen["name"]), {str(seen["name"])}
            if len(possible) > 1:  # nobody knows what it is called, and it is not read again
                del made[row_id]

    async def read(self) -> None:
        """Reads what the quiet tenant has."""
        while not self.is_over:
            seen = await self.ask("reader", "GET", f"/crm/contacts/{self.contact}", self.quiet)
            listed = await self.ask("reader", "GET", "/crm/contacts", self.quiet)
            if (seen is not None and seen["id"] != self.contact) or (listed is not None and len(listed["items"]) != 1):  # type: ignore[arg-type]
                self.wrong.append(f"{seen} {listed}")

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Waits while the clients go on."""
        while not is_true():
            await asyncio.sleep(0.005)

    async def more(self, count: int) -> None:
        """Waits for so many further answers, to writers and to readers."""
        before = self.done.copy()
        await self.until(lambda: all(self.done[who] >= before[who] + count for who in ("writer", "reader")))


@dataclass
class Cluster:
    """A primary that can be restarted, and CRM on it behind PgBouncer, with a replica."""

    primary: OwnPostgres
    client: Client

    async def load(self) -> Load:
        """The load, once the replica has what it reads."""
        quiet = f"q-{uuid.uuid4().hex[:8]}"
        made = await self.client.post("/crm/contacts", json={"name": "Quiet"}, headers={"X-Tenant-Id": quiet})
        replicas = self.client.app[DATABASE].replicas
        while replicas.choose(quiet) is None:
            await replicas.look()
        return Load(self.client, quiet, (await made.json())["id"])


@pytest.fixture
async def cluster(postgres: EmbeddedPostgres) -> AsyncIterator[Cluster]:
    """A cluster of its own, since it is restarted; of the programs that the other tests run."""
    with OwnPostgres(programs_of(postgres)) as primary:
        direct = await primary.create_database("crm")
        async with replica_of(primary) as replica, pgbouncer(primary, pool_size=10) as url:
            settings = Settings(
                database=database_url(f"{url}/crm"),
                read_databases=(database_url(f"{replica.url}/crm"),),
                listen_database=database_url(direct),
                migrate=True,
                extra={"finance_url": "http://127.0.0.1:1"},
            )
            async with TestClient(TestServer(build_app(CRM, settings))) as client:
                yield Cluster(primary, client)


async def during(load: Load, happens: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """From when until when it happened, under the load."""
    # A replica asks a primary that was away for its log every 5 s only (wal_retrieve_retry_interval), and one that was
    # that far behind when the primary went would rightly not be read.
    (replica,), asked = load.client.app[DATABASE].replicas, time.monotonic()
    await load.until(lambda: replica.fresh_at is not None and replica.fresh_at > asked)
    await load.more(40)  # so that no read is still under way that went to the primary before
    began = time.monotonic()
    await happens()
    ended = time.monotonic()
    await load.until(lambda: time.monotonic() > ended + GRACE_S)
    await load.more(40)
    return began, ended


@pytest.mark.timeout(60 + 15 * RESTARTS)
async def test_the_primary_restarts_under_load_and_nothing_answered_is_lost(cluster: Cluster) -> None:
    load = await cluster.load()
    tenants = [f"w-{number}" for number in range(WRITERS)]
    outages = []
    async with asyncio.TaskGroup() as group:
        for tenant in tenants:
            group.create_task(load.write(tenant))
        for _ in range(READERS):
            group.create_task(load.read())
        for number in range(RESTARTS):
            mode = ("fast", "immediate")[number % 2]
            outages.append(await during(load, lambda mode=mode: cluster.primary.restart(mode)))  # type: ignore[misc]
        load.is_over = True

    assert load.wrong == []
    late = [
        (who, what, f"{began - down:.2f} s to {ended - down:.2f} s", f"down for {up - down:.2f} s")
        for who, began, ended, what in load.errors
        for down, up in [max(outage for outage in outages if outage[0] <= ended)]
        if began > up + GRACE_S or who == "reader"
    ]
    assert late == []
    assert load.errors, "nothing was down"
    for tenant in tenants:
        for row_id, name in load.made[tenant].items():
            kept = await load.ask("after", "GET", f"/crm/contacts/{row_id}", tenant)
            assert kept is not None and kept["name"] == name
    print({"errors": len(load.errors), "down_s": [round(up - down, 2) for down, up in outages], **load.done})
