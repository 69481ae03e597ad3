"""Hazard: a read from a replica shows a tenant less than it wrote, or fails with the replica."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import event, make_url

from upstream_services.hr.api import SERVICE as HR
from upstream_services.kit import replicas as replicas_module
from upstream_services.kit.app import build_app
from upstream_services.kit.database import Database, database_url
from upstream_services.kit.embedded_postgres import EmbeddedPostgres
from upstream_services.kit.keys import DATABASE
from upstream_services.kit.replicas import Replica, Replicas
from upstream_services.kit.settings import Settings

from .conftest import Client
from .servers import ReplicaServer, replica_of

DEPARTMENT = {"name": "Engineering", "code": "ENG"}


class Clock:
    """A clock that a test moves, in place of the module's `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class World:
    """Replicas of a primary whose log a test writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.clock = Clock()
        monkeypatch.setattr(replicas_module, "time", self.clock)
        monkeypatch.setattr(replicas_module, "_ask", self._ask)
        self.primary: int | None = 0
        self.replayed: list[int | None] = [0] * count
        self.all = [Replica(make_url("postgresql://h/d"), number) for number in range(count)]  # type: ignore[arg-type]
        self.replicas = Replicas("primary", self.all)  # type: ignore[arg-type]

    async def _ask(self, engine: Any, _question: Any) -> int | None:
        return self.primary if engine == "primary" else self.replayed[engine]

    async def after(self, seconds: float) -> None:
        """Time passes, then the servers are looked at."""
        self.clock.now += seconds
        await self.replicas.look()


async def test_a_tenant_reads_its_own_writes_and_the_others_need_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 1)
    assert world.replicas.choose("a") is None  # nothing is known yet
    await world.after(1)
    assert world.replicas.choose("a") is world.all[0]
    world.clock.now += 0.2
    world.primary = 50
    world.replicas.wrote("a")
    assert (world.replicas.choose("a"), world.replicas.choose("b")) == (None, world.all[0])
    await world.after(1)  # the replica has not got it
    assert world.replicas.choose("a") is None
    world.replayed[0] = 50
    await world.after(1)
    assert world.replicas.choose("a") is world.all[0]


async def test_one_that_is_too_far_behind_or_away_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 2)
    await world.after(1)
    assert {world.replicas.choose("a") for _ in range(4)} == set(world.all)  # by turns
    for number in range(7):
        world.primary = number + 1
        world.replayed[1] = number + 1
        await world.after(1)
    assert {world.replicas.choose("a") for _ in range(4)} == {world.all[1]}
    assert world.replicas.lag_s(world.all[0], world.clock.now) == 7
    world.replayed[1] = None
    await world.after(1)
    assert world.replicas.choose("a") is None
    assert "away" in repr(world.all[1])
    world.replayed = [8, 8]
    await world.after(1)
    assert {world.replicas.choose("a") for _ in range(4)} == set(world.all)


async def test_what_was_fresh_stays_so_while_the_primary_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 1)
    await world.after(1)
    world.primary = None
    for _ in range(60):
        await world.after(1)
    assert world.replicas.choose("a") is world.all[0]


class Cluster(NamedTuple):
    """A service on a primary with a replica."""

    client: Client
    server: ReplicaServer
    database: Database


@pytest.fixture
async def cluster(postgres: EmbeddedPostgres, tenant: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    """HR on the embedded server and a replica of it; a test looks at them when it wants to."""
    monkeypatch.setattr(replicas_module, "EVERY_S", 3600)
    name = f"hr_{uuid.uuid4().hex[:8]}"
    url = await postgres.create_database(name)
    async with replica_of(postgres) as server:
        settings = Settings(
            database=database_url(url), read_databases=(database_url(f"{server.url}/{name}"),), migrate=True
        )
        app = build_app(HR, settings)
        async with TestClient(TestServer(app), headers={"X-Tenant-Id": tenant}) as client:
            yield Cluster(client, server, app[DATABASE])


async def until_fresh(cluster: Cluster, tenant: str) -> None:
    """Looks until the replica has all that the tenant wrote."""
    while cluster.database.replicas.choose(tenant) is None:
        await cluster.database.replicas.look()


async def test_reads_go_to_a_real_replica_and_never_behind_a_write(cluster: Cluster, tenant: str) -> None:
    client, server, database = cluster
    where = (await client.post("/hr/departments", json=DEPARTMENT)).headers["Location"]
    await until_fresh(cluster, tenant)
    (replica,) = database.replicas
    asked: list[str] = []
    event.listen(replica.engine.sync_engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    assert (await client.get(where)).status == 200
    assert any("from departments" in statement.lower() for statement in asked)
    ready = await (await client.get("/health/ready")).json()
    assert ready["replica_lag_s"][0] < 60

    await server.execute("select pg_wal_replay_pause()")
    await client.patch(where, json={"name": "Changed"})
    await database.replicas.look()
    assert database.replicas.choose(tenant) is None
    assert (await (await client.get(where)).json())["name"] == "Changed"
    await server.execute("select pg_wal_replay_resume()")
    await until_fresh(cluster, tenant)
    assert (await (await client.get(where)).json())["name"] == "Changed"


async def test_a_replica_that_dies_under_load_is_not_noticed(cluster: Cluster, tenant: str) -> None:
    client, server, database = cluster
    where = (await client.post("/hr/departments", json=DEPARTMENT)).headers["Location"]
    await until_fresh(cluster, tenant)
    statuses: list[int] = []
    is_over = asyncio.Event()

    async def read() -> None:
        while not is_over.is_set():
            for path in (where, "/hr/departments"):
                reply = await client.get(path)
                statuses.append(reply.status)

    readers = [asyncio.create_task(read()) for _ in range(4)]
    while len(statuses) < 50:
        await asyncio.sleep(0)
    await server.kill()
    seen = len(statuses)
    while len(statuses) < seen + 50:
        await asyncio.sleep(0)
    is_over.set()
    await asyncio.gather(*readers)
    assert set(statuses) == {200}
    assert database.replicas.choose(tenant) is None
