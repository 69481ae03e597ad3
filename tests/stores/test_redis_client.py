"""Each kind of store URL reaches a real server of its kind, and comes back after what such servers go through."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from gateway.core.rate_limit import Decision, Window
from gateway.plugin_api import StoreDown
from gateway.stores import redis as redis_store
from gateway.stores import redis_client, redis_pulse
from gateway.stores.redis import Phase, RedisLimits
from gateway.stores.redis_client import open_client
from tests.stores.redis_cluster import RedisClusterServers
from tests.stores.redis_sentinel import RedisSentinelServers
from tests.stores.redis_server import RedisServer
from tests.stores.tls_proxy import tls_before

QUOTA = (Window(1_000, 86_400_000),)
# The deadline is 50 ms; a busy machine may look at its clock late.
DEADLINE_AND_SLACK_S = 1.0

Opener = Callable[..., RedisLimits]


@pytest.fixture
def sentinel_set() -> Iterator[RedisSentinelServers]:
    servers = RedisSentinelServers()
    try:
        servers.start()
        yield servers
    finally:
        servers.kill()


@pytest.fixture
def own_cluster() -> Iterator[RedisClusterServers]:
    cluster = RedisClusterServers()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


async def test_memory_and_wrong_urls_are_no_client_of_redis() -> None:
    with pytest.raises(ValueError, match="no Redis"):
        open_client("memory://")
    with pytest.raises(ValueError, match="write it like redis"):
        open_client("redis://")


async def test_a_login_that_is_wrong_is_said_by_the_server(shared_redis: RedisServer) -> None:
    opened = open_client(shared_redis.url.replace("redis://", "redis://nobody:wrong@"))
    with pytest.raises(Exception, match=r"WRONGPASS|invalid username-password"):
        await opened.client.eval("return 1", 0)
    await opened.client.aclose()


async def test_over_tls_by_the_authority_of_the_url(shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_client, "SOCKET_TIMEOUT_S", 20.0)
    async with tls_before(shared_redis.port) as (port, ca_file):
        opened = open_client(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={ca_file}")
        assert await opened.client.eval("return redis.call('PING')['ok']", 0) == b"PONG"
        await opened.client.aclose()


async def test_over_tls_without_its_authority_or_name_nothing_is_sent(shared_redis: RedisServer) -> None:
    async with tls_before(shared_redis.port) as (port, _):
        opened = open_client(f"rediss://127.0.0.1:{port}/0")
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            await opened.client.eval("return 1", 0)
        await opened.client.aclose()
    async with tls_before(shared_redis.port, address="192.0.2.1") as (port, ca_file):
        opened = open_client(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={ca_file}")
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            await opened.client.eval("return 1", 0)
        await opened.client.aclose()


async def answer_in_time(take: Callable[[], Awaitable[Decision]]) -> Decision | None:
    """The decision, or None for StoreDown; neither may come late."""
    started = time.monotonic()
    try:
        return await take()
    except StoreDown:
        return None
    finally:
        assert time.monotonic() - started < DEADLINE_AND_SLACK_S


async def first_decision(take: Callable[[], Awaitable[Decision]]) -> Decision:
    async with asyncio.timeout(20):
        while (decision := await answer_in_time(take)) is None:
            await asyncio.sleep(0)  # lets timers run
    return decision


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_a_fail_over_of_sentinels_under_load(
    fault: str, sentinel_set: RedisSentinelServers, key: str, opened: Opener
) -> None:
    store = opened(sentinel_set.url)

    async def take() -> Decision:
        return await store.take(key, QUOTA)

    taken = 1_000 - (await first_decision(take)).windows[0].remaining
    assert taken >= 1
    async with Redis.from_url(sentinel_set.master.url) as admin:
        assert await admin.wait(1, 5_000) == 1
    getattr(sentinel_set.master, fault)()
    answers: list[Decision | None] = []
    while not sentinel_set.has_failed_over():
        answers.append(await answer_in_time(take))
        await asyncio.sleep(0.005)
    assert None in answers, "the store said that it was down meanwhile"
    decision = await first_decision(take)
    # Nothing was lost in between, and nothing was counted twice.
    decided = sum(answer is not None for answer in answers)
    assert 1_000 - decision.windows[0].remaining == taken + decided + 1


async def _awaited(store: RedisLimits, key: str) -> Decision:
    return await store.take(key, QUOTA)


async def test_while_a_node_is_gone_the_store_is_down_for_every_key(
    own_cluster: RedisClusterServers, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than a busy machine takes from one question to the next.
    monkeypatch.setattr(redis_pulse, "PROBE_S", 3.0)
    gone, kept = own_cluster.nodes[1], own_cluster.nodes[2]
    of_node: dict[int, str] = {}
    for number in range(100):
        of_node.setdefault(own_cluster.node_of(key_slot(f"t{number}".encode())).port, f"t{number}")
    store = opened(own_cluster.url)
    await first_decision(lambda: _awaited(store, of_node[gone.port]))
    gone.kill()
    assert await answer_in_time(lambda: _awaited(store, of_node[gone.port])) is None
    async with asyncio.timeout(20):  # a busy machine was late for the check; the next heartbeat finds the node gone
        while store.phase is not Phase.DOWN:
            await asyncio.sleep(0.01)
    assert await answer_in_time(lambda: _awaited(store, of_node[kept.port])) is None
    gone.launch()
    await first_decision(lambda: _awaited(store, of_node[gone.port]))
    await first_decision(lambda: _awaited(store, of_node[kept.port]))


async def test_slots_that_move_are_followed_without_a_failed_call(
    own_cluster: RedisClusterServers, key: str, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "DEADLINE_S", 20.0)
    source, target = own_cluster.nodes[:2]
    slots = {f"{key}:{number}": key_slot(f"{key}:{number}".encode()) for number in range(100)}
    names = [name for name, slot in slots.items() if own_cluster.node_of(slot) is source]
    assert len(names) > 20, "more than the redirections at which redis-py would start anew"
    store = opened(own_cluster.url)
    await store.take(key, QUOTA)
    async with Redis.from_url(target.url) as admin:
        target_id = await admin.execute_command("CLUSTER", "MYID")
    for node in (target, source):
        async with Redis.from_url(node.url) as admin:
            for name in names:
                await admin.execute_command("CLUSTER", "SETSLOT", slots[name], "NODE", target_id)
    decisions = await asyncio.gather(*(store.take(name, QUOTA) for name in names))
    assert all(decision.is_allowed for decision in decisions)
