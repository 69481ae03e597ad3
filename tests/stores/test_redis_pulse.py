"""Workers count each other; one whose store comes back owes nothing and is owed nothing."""

import asyncio
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from gateway.core.rate_limit import Decision, Window
from gateway.plugin_api import StoreDown
from gateway.stores import redis as redis_store
from gateway.stores import redis_pulse
from gateway.stores.redis import Phase, RedisLimits
from tests.stores.redis_server import RedisServer
from tests.support.gateway import until
from tests.support.slow_proxy import slow_proxy

DAY = (Window(100, 86_400_000),)
Opener = Callable[..., RedisLimits]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_pulse, "BEAT_S", 0.1)
    monkeypatch.setattr(redis_store, "LATE_FOR_S", 0.0)
    monkeypatch.setattr(redis_pulse, "PROBE_S", 0.05)
    monkeypatch.setattr(redis_pulse, "HOLD_S", 0.3)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "DEADLINE_S", 20.0)


def alone(store: RedisLimits, key: str, times: int) -> int:
    """How many of so many requests this worker's share lets pass."""
    return sum(store.local.take(key, DAY).is_allowed for _ in range(times))


async def remaining(store: RedisLimits, key: str) -> int:
    decision = store.take(key, DAY, 0)
    return (decision if isinstance(decision, Decision) else await decision).windows[0].remaining


async def test_workers_count_each_other_until_one_leaves(shared_url: str, opened: Opener, patient: None) -> None:
    first = opened(shared_url)
    await first.answered.wait()
    before = first.local.live_workers
    second = opened(shared_url)
    await until(lambda: first.local.live_workers == second.local.live_workers == before + 1)
    await second.close()
    await until(lambda: first.local.live_workers == before)


async def test_one_that_is_silent_is_not_counted(
    own_redis: RedisServer, opened: Opener, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_pulse, "SILENCE_S", 0.5)
    own_redis.start()
    async with Redis.from_url(own_redis.url) as admin:
        now_s = (await admin.time())[0]
        await admin.zadd("limit:{workers}", {"gone": (now_s - 60) * 1000, "just now": (now_s + 60) * 1000})
        store = opened(own_redis.url)
        await until(lambda: store.local.live_workers == 2)
        assert 0 < await admin.pttl("limit:{workers}") <= 500, "which goes by itself when nobody beats any more"


async def test_what_was_admitted_alone_is_debited_once(own_redis: RedisServer, key: str, opened: Opener) -> None:
    own_redis.start()
    store = opened(own_redis.url)
    for _ in range(20):
        await store.take(key, DAY)
    own_redis.kill()
    with pytest.raises(StoreDown):
        await store.take(key, DAY)
    assert alone(store, key, 30) == 30
    own_redis.start()  # and has forgotten the twenty
    await until(lambda: store.phase is Phase.UP)
    assert await remaining(store, key) == 50
    assert store.local.owing() == []


async def test_the_debit_is_bounded(own_redis: RedisServer, key: str, opened: Opener) -> None:
    own_redis.start()
    store = opened(own_redis.url)
    await store.take(key, DAY)
    own_redis.freeze()
    with pytest.raises(StoreDown):
        await store.take(key, DAY)
    assert alone(store, key, 10) == 10
    [(_, _, share)] = store.local.owing()
    share.owed += 10_000
    own_redis.thaw()
    await until(lambda: store.phase is Phase.UP)
    decision = await store.take(key, DAY)
    assert not decision.is_allowed
    assert decision.windows[0].reset_ms <= 2 * 86_400_000


async def test_a_check_that_was_late_costs_nothing(own_redis: RedisServer, key: str, opened: Opener) -> None:
    """It reaches the server when nobody waits for it any more: its script takes nothing then."""
    own_redis.start()
    store = opened(own_redis.url)
    await store.take(key, DAY)
    own_redis.freeze()
    checks = [store.take(key, DAY) for _ in range(10)]
    assert all(isinstance(error, StoreDown) for error in await asyncio.gather(*checks, return_exceptions=True))
    until_s = asyncio.get_running_loop().time() + redis_store.LATE_S
    await until(lambda: asyncio.get_running_loop().time() > until_s)
    own_redis.thaw()
    await until(lambda: store.phase is Phase.UP)
    await until(lambda: "0 calls" in repr(store))
    assert await remaining(store, key) == 99


async def test_a_reply_that_was_late_is_not_owed_again(
    own_redis: RedisServer, key: str, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server took the tokens in time; only its word came late. What was admitted alone meanwhile is one with it."""
    own_redis.start()
    async with slow_proxy(own_redis.port) as proxy:
        store = opened(proxy.url)
        await store.take(key, DAY)
        store._clocks.clear()  # as if the server's clock were not known: the late calls are carried out
        proxy.delay_s = 0.1
        checks = [store.take(key, DAY) for _ in range(10)]
        assert all(isinstance(error, StoreDown) for error in await asyncio.gather(*checks, return_exceptions=True))
        assert alone(store, key, 10) == 10
        await until(lambda: "0 calls" in repr(store))
        assert store.local.owing() == []
        proxy.delay_s = 0.0
        await until(lambda: store.phase is Phase.UP)
        assert await remaining(store, key) == 89


async def test_a_store_that_is_slow_stays_down(own_redis: RedisServer, key: str, opened: Opener) -> None:
    own_redis.start()
    async with slow_proxy(own_redis.port) as proxy:
        store = opened(proxy.url)
        await store.answered.wait()
        await store.take(key, DAY)
        proxy.delay_s = 0.1
        with pytest.raises(StoreDown):
            await store.take(key, DAY)
        async with Redis.from_url(own_redis.url) as admin:
            beats = "cmdstat_zadd"

            async def beaten() -> int:
                return int((await admin.info("commandstats"))[beats]["calls"])

            before = await beaten()
            while await beaten() < before + 3:  # probes, all answered, and none in time
                assert store.phase is Phase.DOWN
                await asyncio.sleep(0.01)
        proxy.delay_s = 0.0
        await until(lambda: store.phase is Phase.UP)


async def test_returning_both_the_store_and_the_share_have_to_agree(
    own_redis: RedisServer, key: str, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_redis.start()
    store, other = opened(own_redis.url), opened(own_redis.url)
    await until(lambda: store.local.live_workers == other.local.live_workers == 2)
    await store.take(key, DAY)
    store.local.hears(None)
    monkeypatch.setattr(redis_pulse, "HOLD_S", 20.0)
    own_redis.freeze()
    with pytest.raises(StoreDown):
        await store.take(key, DAY)
    assert alone(store, key, 100) == 49
    own_redis.thaw()
    await until(lambda: store.phase is Phase.RETURNING and not store.local.owing())
    refused = store.take(key, DAY)
    assert isinstance(refused, Decision), "at once, by the share"
    assert not refused.is_allowed and refused.is_degraded
    assert await remaining(other, key) == 50


async def test_an_outage_within_the_return_goes_on_with_the_same_share(
    own_redis: RedisServer, key: str, opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own_redis.start()
    store, other = opened(own_redis.url), opened(own_redis.url)
    await until(lambda: store.local.live_workers == 2)
    monkeypatch.setattr(redis_pulse, "HOLD_S", 20.0)
    own_redis.freeze()
    with pytest.raises(StoreDown):
        await store.take(key, DAY)
    alone(store, key, 100)
    own_redis.thaw()
    await until(lambda: store.phase is Phase.RETURNING)
    store.go_down("once more")
    assert alone(store, key, 100) == 0
    assert "the limit store is down again: once more" in caplog.text
    assert "1/2 of each limit" in caplog.text
    assert repr(other).startswith("<RedisLimits")
