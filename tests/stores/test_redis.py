import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from gateway.core.rate_limit import Decision, Window
from gateway.plugin_api import StoreDown
from gateway.stores import redis as redis_store
from gateway.stores import redis_client
from gateway.stores.redis import Phase, RedisLimits, open_store
from tests.stores.redis_cluster import RedisClusterServers
from tests.stores.redis_server import RedisServer, free_port

FREE = (Window(60, 60_000), Window(1_000, 3_600_000))

Opener = Callable[..., RedisLimits]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests are about does not depend on how busy the machine is."""
    monkeypatch.setattr(redis_store, "DEADLINE_S", 20.0)
    monkeypatch.setattr(redis_store, "LATE_S", 20.0)
    monkeypatch.setattr(redis_client, "CONNECT_TIMEOUT_S", 20.0)


class CountingClient:
    """The real client, with a record of its calls."""

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(url)
        self.calls: list[tuple[str, int]] = []

    async def evalsha(self, sha: str, numkeys: int, *rest: object) -> object:
        self.calls.append(("evalsha", numkeys))
        return await self._client.evalsha(sha, numkeys, *rest)

    async def eval(self, script: str, numkeys: int, *rest: object) -> object:
        self.calls.append(("eval", numkeys))
        return await self._client.eval(script, numkeys, *rest)

    async def aclose(self) -> None:
        await self._client.aclose()


async def take_many(store: RedisLimits, key: str, count: int, cost: int = 1) -> list[Decision]:
    return list(await asyncio.gather(*(store.take(key, FREE, cost) for _ in range(count))))


async def test_sixty_of_sixty_one_pass_by_the_servers_clock(shared_url: str, key: str, opened: Opener) -> None:
    store = opened(shared_url)
    decisions = await take_many(store, key, 61)
    assert [decision.is_allowed for decision in decisions] == [True] * 60 + [False]
    assert [window.remaining for window in decisions[59].windows] == [0, 940]
    assert 0 < decisions[60].windows[0].retry_after_ms <= 1_000
    assert decisions[60].windows[1].retry_after_ms == 0


async def test_the_refused_window_takes_nothing_from_the_other(shared_url: str, key: str, opened: Opener) -> None:
    store = opened(shared_url, now_ms=lambda: 5_000_000)
    await take_many(store, key, 60)
    refused = (await take_many(store, key, 5))[-1]
    assert not refused.is_allowed
    assert [window.remaining for window in refused.windows] == [0, 940]


async def test_two_gateways_share_one_bucket(shared_url: str, key: str, opened: Opener) -> None:
    first, second = (opened(shared_url, now_ms=lambda: 5_000_000) for _ in range(2))
    decisions = await take_many(first, key, 40) + await take_many(second, key, 40)
    assert sum(decision.is_allowed for decision in decisions) == 60


async def test_checks_of_one_turn_are_one_call_and_the_script_is_sent_once(shared_redis: RedisServer, key: str) -> None:
    async with Redis.from_url(shared_redis.url) as client:
        await client.script_flush()
    client = CountingClient(shared_redis.url)
    store = RedisLimits(client)
    await take_many(store, key, 20)
    await take_many(store, key, 30)
    assert client.calls == [("evalsha", 20), ("eval", 20), ("evalsha", 30)]
    await store.close()


async def test_a_key_expires_by_itself(shared_redis: RedisServer, key: str, opened: Opener) -> None:
    store = opened(shared_redis.url)
    await store.take(key, FREE)
    async with Redis.from_url(shared_redis.url, decode_responses=True) as client:
        name = f"limit:{{{key}}}:60/60000,1000/3600000"
        left_ms = await client.pttl(name)
        assert 60_000 < left_ms <= 3_600 + 60_000


async def test_a_check_whose_client_left_does_not_disturb_the_others(shared_url: str, key: str, opened: Opener) -> None:
    store = opened(shared_url)
    left = asyncio.ensure_future(store.take(key, FREE))
    stays = asyncio.ensure_future(store.take(key, FREE))
    left.cancel()
    assert (await stays).is_allowed


async def test_turns_past_the_calls_at_once_go_as_soon_as_one_ends(shared_url: str, key: str, opened: Opener) -> None:
    store = opened(shared_url)
    checks = []
    for _ in range(20):
        checks.append(store.take(key, FREE))
        await asyncio.sleep(0)
    async with asyncio.timeout(10):  # half the deadline
        decisions = await asyncio.gather(*checks)
    assert all(decision.is_allowed for decision in decisions)


async def test_a_refused_connection_is_not_waited_for(own_redis: RedisServer, key: str, opened: Opener) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(StoreDown):
            await opened(own_redis.url).take(key, FREE)


async def test_close_answers_what_is_under_way(shared_url: str, key: str, opened: Opener) -> None:
    store = opened(shared_url)
    sent = store.take(key, FREE)
    await asyncio.sleep(0)
    waiting = store.take(key, FREE)
    await store.close()
    for check in (sent, waiting):
        with pytest.raises(StoreDown):
            await check


async def test_a_bad_url_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="write it like redis://host:6379/0") as caught:
        open_store("redis://user:s3cret/word@h:port/0")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_on_a_cluster_checks_go_by_slot(shared_cluster: RedisClusterServers, key: str, opened: Opener) -> None:
    names = [f"{key}:{number}" for number in range(40)]
    slots = {key_slot(f"limit:{{{name}}}:60/60000,1000/3600000".encode()) for name in names}
    assert len({shared_cluster.node_of(slot).port for slot in slots}) == 3, "every node has its share"
    store = opened(shared_cluster.url)
    decisions = await asyncio.gather(*(store.take(name, FREE) for name in names * 61))
    assert sum(decision.is_allowed for decision in decisions) == 40 * 60


async def test_a_cluster_is_asked_of_any_number_of_tenants_at_once(
    shared_cluster: RedisClusterServers, key: str, opened: Opener
) -> None:
    """A slot is a call, and a call is a connection: of those the client has 100 for a node."""
    store = opened(shared_cluster.url)
    node = shared_cluster.nodes[0]
    names = (f"{key}:{number}" for number in itertools.count())
    of_one_node = [
        name for name in itertools.islice(names, 1_000) if shared_cluster.node_of(key_slot(name.encode())) is node
    ]
    assert len(of_one_node) > 200
    decisions = await asyncio.gather(*(store.take(name, FREE) for name in of_one_node))
    assert all(decision.is_allowed for decision in decisions)
    assert store.phase is Phase.UP


async def test_a_cluster_of_one_node_is_a_cluster(tmp_path: Path, opened: Opener) -> None:
    server = RedisServer("--cluster-enabled", "yes", "--dir", str(tmp_path), port=free_port(has_bus=True))
    server.start()
    try:
        async with Redis.from_url(server.url) as client:
            await client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
            while b"cluster_state:ok" not in await client.execute_command("CLUSTER", "INFO"):
                pass
        store = opened(server.url.replace("redis://", "redis+cluster://").removesuffix("/0"))
        assert sum(decision.is_allowed for decision in await take_many(store, "tenant:a", 61)) == 60
        await store.close()  # while there is a server: redis-py forgets connections to nodes that are gone
    finally:
        server.kill()
