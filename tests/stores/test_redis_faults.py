"""Redis killed, frozen, restarted, unreachable: every check is answered within its deadline, and the store comes back."""

import asyncio
import logging
import time

import pytest

from gateway.core.rate_limit import Window
from gateway.plugin_api import StoreDown
from gateway.stores import redis as redis_store
from gateway.stores.redis import RedisLimits, open_store
from tests.stores.redis_server import RedisServer

FREE = (Window(60, 60_000), Window(1_000, 3_600_000))
DEADLINE_AND_SLACK_S = redis_store.DEADLINE_S + 0.15


@pytest.fixture(autouse=True)
def _quick_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "DOWN_FOR_S", 0.2)


async def assert_down_in_time(store: RedisLimits, key: str) -> None:
    started = time.monotonic()
    with pytest.raises(StoreDown):
        await store.take(key, FREE)
    assert time.monotonic() - started < DEADLINE_AND_SLACK_S


async def assert_comes_back(store: RedisLimits, key: str) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                assert (await store.take(key, FREE)).is_allowed
            except StoreDown:
                await asyncio.sleep(0)  # only so that timers run; the breaker decides when
            else:
                return


async def test_unreachable_at_start_and_there_later(own_redis: RedisServer, key: str) -> None:
    store = open_store(own_redis.url)
    await assert_down_in_time(store, key)
    own_redis.start()
    await assert_comes_back(store, key)
    await store.close()


async def test_killed_and_restarted(own_redis: RedisServer, key: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "gateway.stores")
    own_redis.start()
    store = open_store(own_redis.url)
    assert (await store.take(key, FREE)).is_allowed
    own_redis.kill()
    for _ in range(3):
        await assert_down_in_time(store, key)
    own_redis.start()
    await assert_comes_back(store, key)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2  # once down and once up, not once a check
    assert said[0].startswith("the limit store is down: ")
    assert said[1] == "the limit store is up again"
    await store.close()


async def test_frozen_while_connected(own_redis: RedisServer, key: str) -> None:
    own_redis.start()
    store = open_store(own_redis.url)
    assert (await store.take(key, FREE)).windows[0].remaining == 59
    own_redis.freeze()
    await assert_down_in_time(store, key)
    own_redis.thaw()
    await assert_comes_back(store, key)
    # Replies that came too late must not be taken for those of later checks.
    other = await store.take(f"{key}:other", (Window(7, 1_000),))
    assert other.windows == ((7, 1_000, 6, 143, 0),)
    await store.close()


async def test_frozen_at_start(own_redis: RedisServer, key: str) -> None:
    own_redis.start()
    own_redis.freeze()
    store = open_store(own_redis.url)
    await assert_down_in_time(store, key)
    own_redis.thaw()
    await assert_comes_back(store, key)
    await store.close()


async def test_down_it_answers_at_once_and_sends_one_probe(
    own_redis: RedisServer, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_redis.start()
    store = open_store(own_redis.url)
    await store.take(key, FREE)
    own_redis.freeze()
    await assert_down_in_time(store, key)
    with pytest.raises(StoreDown):
        store.take(key, FREE)  # at once: nothing to await
    probe = None
    async with asyncio.timeout(5):
        while probe is None:
            await asyncio.sleep(0)
            try:
                probe = store.take(key, FREE)
            except StoreDown:
                pass
    with pytest.raises(StoreDown):
        store.take(key, FREE)
    with pytest.raises(StoreDown):
        await probe
    own_redis.thaw()
    await store.close()


async def test_a_burst_on_a_frozen_server_ends_within_one_deadline(own_redis: RedisServer, key: str) -> None:
    own_redis.start()
    store = open_store(own_redis.url)
    await store.take(key, FREE)
    own_redis.freeze()
    started = time.monotonic()
    checks = []
    for _ in range(20):  # more turns than calls may be under way
        checks += [store.take(key, FREE) for _ in range(10)]
        await asyncio.sleep(0)
    results = await asyncio.gather(*checks, return_exceptions=True)
    assert all(isinstance(result, StoreDown) for result in results)
    assert time.monotonic() - started < DEADLINE_AND_SLACK_S
    assert repr(store).startswith("<RedisLimits down")
    await store.close()


async def test_a_refused_command_is_store_down(shared_redis: RedisServer, key: str) -> None:
    store = open_store(shared_redis.url.replace("redis://", "redis://nobody:wrong@"))
    await assert_down_in_time(store, key)
    await store.close()
