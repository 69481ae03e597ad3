"""What one worker takes, all others know to a twentieth."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from gateway.core.rate_limit import Window
from gateway.stores import redis as redis_store
from gateway.stores import redis_pulse, redis_told
from gateway.stores.local import bucket_name
from gateway.stores.redis import Check, Phase, RedisLimits
from gateway.stores.redis_told import hear
from tests.stores.redis_cluster import RedisClusterServers
from tests.stores.redis_server import RedisServer
from tests.support.gateway import until

DAY = (Window(100, 86_400_000),)
Opener = Callable[..., RedisLimits]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "DEADLINE_S", 20.0)
    monkeypatch.setattr(redis_pulse, "BEAT_S", 0.1)
    monkeypatch.setattr(redis_told, "BEAT_S", 0.05)
    monkeypatch.setattr(redis_told, "PROBE_S", 0.05)


@pytest.fixture
def hearing(opened: Opener) -> Opener:
    def open_one(url: str) -> RedisLimits:
        store = opened(url)
        store.start([hear])
        return store

    return open_one


def known(store: RedisLimits, key: str) -> int:
    """Tokens that this worker believes to be taken."""
    # What has come back since is less than one.
    return -(-store.local.share(bucket_name(key, DAY), DAY).debts[0] // 86_400_000)


async def hears_all(store: RedisLimits) -> None:
    await until(lambda: store.local._unheard_since_ms is None and not store.local._is_deaf)


async def test_each_twentieth_that_is_taken_is_told(shared_url: str, key: str, hearing: Opener) -> None:
    taker, other = hearing(shared_url), hearing(shared_url)
    await hears_all(taker)
    await hears_all(other)
    words = set()
    for count in range(1, 101):
        await taker.take(key, DAY)
        await until(lambda count=count: count - known(other, key) <= 5)  # type: ignore[misc]
        words.add(known(other, key))
    assert len(words) <= 21, "and no more often than that"


async def test_who_comes_later_looks_through_what_there_is(shared_url: str, key: str, hearing: Opener) -> None:
    taker = hearing(shared_url)
    await asyncio.gather(*(taker.take(f"{key}:{number}", DAY) for number in range(250)))
    late = hearing(shared_url)
    await hears_all(late)
    assert {known(late, f"{key}:{number}") for number in range(250)} == {1}


async def test_a_look_through_a_node_of_many_buckets_leaves_room_for_others(
    shared_cluster: RedisClusterServers, key: str, hearing: Opener
) -> None:
    """Keys are told node by node, each is in a slot of its own, and the client has 100 connections for a node."""
    taker = hearing(shared_cluster.url)
    node = shared_cluster.nodes[0]
    names = [f"{key}:{number}" for number in range(1_000)]
    of_one_node = [name for name in names if shared_cluster.node_of(key_slot(name.encode())) is node]
    await asyncio.gather(*(taker.take(name, DAY) for name in of_one_node))
    late = hearing(shared_cluster.url)
    await hears_all(late)
    assert taker.phase is late.phase is Phase.UP
    assert {known(late, name) for name in of_one_node} == {1}


async def test_when_the_server_goes_all_was_heard_until_then(own_redis: RedisServer, key: str, hearing: Opener) -> None:
    own_redis.start()
    taker, other = hearing(own_redis.url), hearing(own_redis.url)
    await hears_all(other)
    await asyncio.gather(*(taker.take(key, DAY) for _ in range(100)))
    await until(lambda: known(other, key) == 100)
    own_redis.kill()
    # Nobody asks anything here: the end of the channel says it.
    await until(lambda: other.phase is Phase.DOWN)
    assert not other.local.take(key, DAY).is_allowed
    fresh = [other.local.take(f"{key}:fresh", DAY).is_allowed for _ in range(100)]
    assert sum(fresh) == 50


async def test_a_channel_that_ends_alone_is_no_outage(
    own_redis: RedisServer, hearing: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    own_redis.start()
    store, other = hearing(own_redis.url), hearing(own_redis.url)
    await hears_all(store)
    async with Redis.from_url(own_redis.url) as admin:
        await admin.client_kill_filter(_type="pubsub")
        await until(lambda: store.local._is_deaf)
        assert store.phase is other.phase is Phase.UP
        assert "what the limit store tells is not heard" in caplog.text
        await hears_all(store)


async def test_one_that_lives_alone_does_not_listen(own_redis: RedisServer, key: str, hearing: Opener) -> None:
    own_redis.start()
    store = hearing(own_redis.url)
    await until(lambda: store.local.live_workers == 1 and store.answered.is_set())
    async with Redis.from_url(own_redis.url) as admin:
        assert await admin.pubsub_numsub("limit:told") == [(b"limit:told", 0)]
        second = hearing(own_redis.url)
        await hears_all(store)
        await hears_all(second)
        assert await admin.pubsub_numsub("limit:told") == [(b"limit:told", 2)]


async def test_every_node_of_a_cluster_tells(shared_cluster: RedisClusterServers, key: str, hearing: Opener) -> None:
    taker, other = hearing(shared_cluster.url), hearing(shared_cluster.url)
    # A worker that the store has not answered yet takes from its own share, and tells nobody.
    await hears_all(taker)
    await hears_all(other)
    names = [f"{key}:{number}" for number in range(30)]
    await asyncio.gather(*(taker.take(name, DAY, 50) for name in names))
    await until(lambda: all(known(other, name) == 50 for name in names))


async def test_a_look_that_fails_is_taken_again(
    shared_url: str, key: str, hearing: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    taker = hearing(shared_url)
    await taker.take(key, DAY)
    real, failures = RedisLimits.call, [OSError("the server was busy"), OSError("and still is")]

    async def call(store: RedisLimits, checks: Sequence[Check]) -> None:
        if failures and store is not taker:
            raise failures.pop()
        await real(store, checks)

    monkeypatch.setattr(RedisLimits, "call", call)
    late = hearing(shared_url)
    await hears_all(late)
    assert failures == []
    assert known(late, key) == 1
