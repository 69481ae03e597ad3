"""Hazard: a Redis that is configured as for a cache forgets what the gateways promised to remember.

Each file of deploy/redis starts a real server.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.core.rate_limit import Window
from gateway.plugin_api import RateLimitStore, StoreDown
from gateway.stores import redis as redis_store
from gateway.stores import redis_claims
from gateway.stores.redis import open_store
from gateway.stores.redis_claims import open_claims
from tests.stores.redis_server import RedisServer, free_port

FOLDER = Path(__file__).parents[1] / "deploy" / "redis"
# What has to be the same on one server and on a cluster, and is not what Redis does if nothing is said.
NEEDED = {
    "maxmemory": str(512 << 20),
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "timeout": "0",
}


def server_of(name: str, folder: Path) -> RedisServer:
    has_bus = name == "cluster.conf"
    return RedisServer("--dir", str(folder), port=free_port(has_bus=has_bus), config=FOLDER / name)


@pytest.fixture(params=["redis.conf", "cluster.conf"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    monkeypatch.setattr(redis_claims, "DEADLINE_S", 20.0)
    monkeypatch.setattr(redis_store, "DEADLINE_S", 20.0)
    server = server_of(request.param, tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def admin(server: RedisServer) -> AsyncIterator[Redis]:
    """A connection to the server, which has all slots if it is a node of a cluster."""
    async with Redis.from_url(server.url, decode_responses=True) as client:
        if (await client.info("cluster"))["cluster_enabled"]:
            await client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
            while "cluster_state:ok" not in await client.execute_command("CLUSTER", "INFO"):
                await asyncio.sleep(0.02)
        yield client


async def url_of(server: RedisServer, admin: Redis) -> str:
    if (await admin.info("cluster"))["cluster_enabled"]:
        return f"redis+cluster://127.0.0.1:{server.port}"
    return server.url


async def test_it_keeps_what_expires_by_itself_until_then(admin: Redis) -> None:
    found = {name: (await admin.config_get(name))[name] for name in NEEDED}
    assert found == NEEDED


async def test_used_up_memory_refuses_what_is_new_and_forgets_nothing(server: RedisServer, admin: Redis) -> None:
    url = await url_of(server, admin)
    claims, limits = open_claims(url), open_store(url)
    try:
        await claims.claim("before", b"reply", 60)
        await admin.config_set("maxmemory", 1)
        assert await claims.claim("before", b"again", 60) == b"reply"
        with pytest.raises(StoreDown, match="full"):
            await claims.claim("after", b"mine", 60)
        with pytest.raises(StoreDown):
            await _taken(limits)
        assert (await admin.info("stats"))["evicted_keys"] == 0
    finally:
        await claims.close()
        await limits.close()


async def _taken(limits: RateLimitStore) -> object:
    decision = limits.take("tenant:t1", (Window(60, 60_000),))
    return await decision if asyncio.isfuture(decision) else decision


async def test_a_server_that_is_killed_still_knows_its_keys(server: RedisServer, admin: Redis) -> None:
    url = await url_of(server, admin)
    claims = open_claims(url)
    assert await claims.claim("k", b"mine", 60) is None
    await claims.close()
    server.kill()
    server.launch()
    server.wait_until_it_says("Ready to accept connections")
    claims = open_claims(url)
    if url.startswith("redis+cluster"):
        server.wait_until_it_says("Cluster state changed: ok")
    assert await claims.claim("k", b"yours", 60) == b"mine"
    await claims.close()


async def test_a_cluster_serves_the_slots_that_it_has(tmp_path: Path) -> None:
    server = server_of("cluster.conf", tmp_path)
    server.start()
    try:
        async with Redis.from_url(server.url, decode_responses=True) as client:
            names = ("cluster-require-full-coverage", "cluster-node-timeout")
            assert [(await client.config_get(name))[name] for name in names] == ["no", "5000"]
            assert (tmp_path / "nodes.conf").exists(), "beside the log, in the folder that outlives the container"
    finally:
        server.kill()
