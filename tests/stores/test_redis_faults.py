"""Redis killed, frozen, restarted, unreachable: each check is answered by its deadline, and the store comes back."""

import asyncio
import logging
import time
from collections.abc import Callable

import pytest

from gateway.core.rate_limit import Window, WindowState
from gateway.plugin_api import StoreDown
from gateway.stores import redis as redis_store
from gateway.stores import redis_pulse
from gateway.stores.redis import RedisLimits
from tests.stores.redis_server import RedisServer

FREE = (Window(60, 60_000), Window(1_000, 3_600_000))
# The deadline is 50 ms; a busy machine may look at its clock late.
DEADLINE_AND_SLACK_S = 1.0
Opener = Callable[..., RedisLimits]


@pytest.fixture(autouse=True)
def _quick_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "LATE_FOR_S", 0.0)
    monkeypatch.setattr(redis_pulse, "PROBE_S", 0.1)


async def assert_down_in_time(store: RedisLimits, key: str) -> None:
    started = time.monotonic()
    with pytest.raises(StoreDown):
        await store.take(key, FREE)
    assert time.monotonic() - started < DEADLINE_AND_SLACK_S


async def decided(store: RedisLimits, key: str, windows: tuple[Window, ...]) -> tuple[WindowState, ...]:
    """The first decision that there is; the breaker says when to ask again."""
    async with asyncio.timeout(10):
        while True:
            try:
                return (await store.take(key, windows)).windows
            except StoreDown:
                await asyncio.sleep(0)  # lets timers run


async def assert_comes_back(store: RedisLimits, key: str) -> None:
    assert (await decided(store, key, FREE))[0].remaining > 0


async def test_unreachable_at_start_and_there_later(own_redis: RedisServer, key: str, opened: Opener) -> None:
    store = opened(own_redis.url)
    await assert_down_in_time(store, key)
    own_redis.start()
    await assert_comes_back(store, key)


async def test_killed_and_restarted(
    own_redis: RedisServer, key: str, caplog: pytest.LogCaptureFixture, opened: Opener
) -> None:
    caplog.set_level(logging.WARNING, "gateway.stores")
    own_redis.start()
    store = opened(own_redis.url)
    await assert_comes_back(store, key)
    caplog.clear()
    own_redis.kill()
    for _ in range(3):
        await assert_down_in_time(store, key)
    own_redis.start()
    await assert_comes_back(store, key)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2  # once down and once up, not once a check
    assert said[0].startswith("the limit store is down: ")
    assert said[1] == "the limit store is up again"


async def test_frozen_while_connected(own_redis: RedisServer, key: str, opened: Opener) -> None:
    own_redis.start()
    store = opened(own_redis.url)
    await assert_comes_back(store, key)
    own_redis.freeze()
    await assert_down_in_time(store, key)
    own_redis.thaw()
    await assert_comes_back(store, key)
    # Replies that came too late must not be taken for those of later checks.
    assert await decided(store, f"{key}:other", (Window(7, 1_000),)) == (WindowState(7, 1_000, 6, 143, 0),)


async def test_frozen_at_start(own_redis: RedisServer, key: str, opened: Opener) -> None:
    own_redis.start()
    own_redis.freeze()
    store = opened(own_redis.url)
    await assert_down_in_time(store, key)
    own_redis.thaw()
    await assert_comes_back(store, key)


async def test_down_every_check_is_answered_at_once_and_none_is_a_probe(
    own_redis: RedisServer, key: str, opened: Opener
) -> None:
    own_redis.start()
    store = opened(own_redis.url)
    await assert_comes_back(store, key)
    own_redis.freeze()
    await assert_down_in_time(store, key)
    for _ in range(100):
        with pytest.raises(StoreDown):
            store.take(key, FREE)  # at once: nothing to await
        await asyncio.sleep(0)
    assert repr(store) == "<RedisLimits down, 1 calls under way>", "the one that was late"
    own_redis.thaw()


async def test_a_burst_on_a_frozen_server_ends_within_one_deadline(
    own_redis: RedisServer, key: str, opened: Opener
) -> None:
    own_redis.start()
    store = opened(own_redis.url)
    await assert_comes_back(store, key)
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


async def test_a_reply_that_comes_late_is_no_reason_to_ask_again(
    own_redis: RedisServer, key: str, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_pulse, "PROBE_S", 20.0)
    own_redis.start()
    store = opened(own_redis.url)
    await assert_comes_back(store, key)
    own_redis.freeze()
    await assert_down_in_time(store, key)
    own_redis.thaw()
    async with asyncio.timeout(5):
        while "1 calls" in repr(store):
            await asyncio.sleep(0)
    assert repr(store) == "<RedisLimits down, 0 calls under way>"


async def test_a_refused_command_is_store_down(shared_redis: RedisServer, key: str, opened: Opener) -> None:
    store = opened(shared_redis.url.replace("redis://", "redis://nobody:wrong@"))
    await assert_down_in_time(store, key)
