"""Redis absent, killed or frozen: every answer comes within 200 ms, and as `on_store_down` says."""

import asyncio
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from tests.stores.redis_sentinel import RedisSentinelServers
from tests.stores.redis_server import RedisServer
from tests.support.client import RawClient
from tests.support.gateway import rig

TABLE = """
version: 1
gateway: {store: "${env:STORE}"}
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes:
- {id: local, match: /local, to: origin, limit: {rate: 3/d, on_store_down: local}}
- {id: open, match: /open, to: origin, limit: {rate: 3/d, on_store_down: open}}
- {id: closed, match: /closed, to: origin, limit: {rate: 3/d, on_store_down: closed}}
"""

pytestmark = pytest.mark.parametrize("each_lane", ["fast"], indirect=True)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.kill()


async def statuses(client: RawClient, path: str, count: int) -> list[int]:
    """Of that many requests, each of which has to be answered in time."""
    found = []
    for _ in range(count):
        started_s = asyncio.get_running_loop().time()
        reply = await client.request("GET", path)
        assert asyncio.get_running_loop().time() - started_s < 0.2
        found.append(reply.status)
        if reply.status == 503:
            assert reply.json["code"] == "limit_store_down"
            assert reply.get("Retry-After") == "1"
    return found


async def assert_as_policies_say(client: RawClient) -> None:
    assert await statuses(client, "/closed", 5) == [503] * 5
    assert await statuses(client, "/open", 5) == [200] * 5
    assert await statuses(client, "/local", 5) == [200, 200, 200, 429, 429]


async def test_a_store_that_is_absent_at_the_start(redis: RedisServer) -> None:
    async with rig(TABLE, environ={"STORE": redis.url}) as r:
        await assert_as_policies_say(r.client)
        assert r.gateway.metric("gateway_limit_verdicts_total", route="open", verdict="unchecked") == 5


async def test_a_store_that_is_killed(redis: RedisServer) -> None:
    redis.start()
    async with rig(TABLE, environ={"STORE": redis.url}) as r:
        assert await statuses(r.client, "/closed", 4) == [200, 200, 200, 429]
        redis.kill()
        await assert_as_policies_say(r.client)


async def test_a_store_that_is_frozen_and_thaws(redis: RedisServer) -> None:
    redis.start()
    async with rig(TABLE, environ={"STORE": redis.url}) as r:
        assert await statuses(r.client, "/closed", 1) == [200]
        redis.freeze()
        await assert_as_policies_say(r.client)
        redis.thaw()
        # The breaker asks again after a second.
        while (await r.client.request("GET", "/closed")).status == 503:
            await asyncio.sleep(0.05)
        assert await statuses(r.client, "/open", 4) == [200, 200, 200, 429]


async def test_while_sentinels_fail_over_policies_hold_and_then_the_count_goes_on() -> None:
    servers = RedisSentinelServers()
    servers.start()
    try:
        async with rig(TABLE, environ={"STORE": servers.url}) as r:
            assert await statuses(r.client, "/closed", 1) == [200]
            async with Redis.from_url(servers.master.url) as admin:
                assert await admin.wait(1, 5_000) == 1
            servers.master.freeze()
            await assert_as_policies_say(r.client)
            # The sentinel names the replica, and the breaker asks again after a second.
            while (await r.client.request("GET", "/closed")).status == 503:
                await asyncio.sleep(0.05)
            assert servers.has_failed_over()
            assert await statuses(r.client, "/closed", 2) == [200, 429], "3 a day: one before, two after"
            assert await statuses(r.client, "/open", 4) == [200, 200, 200, 429]
    finally:
        servers.kill()
