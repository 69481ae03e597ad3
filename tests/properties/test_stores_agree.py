"""The same checks at the same moments have the same results in `core.take`, in memory, in Redis and on a cluster."""

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.rate_limit import Bucket, Window, take
from gateway.stores import redis as redis_store
from gateway.stores.memory import MemoryLimits
from gateway.stores.redis import open_store
from tests.stores.redis_cluster import RedisClusterServers
from tests.stores.redis_server import RedisServer

windows_of_a_key = st.lists(
    st.builds(Window, st.integers(1, 50), st.sampled_from([1, 7, 1_000, 60_000, 3_600_000])), min_size=1, max_size=3
).map(tuple)
large_windows = st.tuples(st.builds(Window, st.integers(1, 50_000_000), st.just(86_400_000)))
# Forward mostly; back as well, but by less than the minute that stores remember a full bucket.
steps_ms = st.one_of(st.integers(0, 2_000), st.integers(0, 5_000_000), st.integers(-20_000, 0))
checks = st.tuples(st.sampled_from("ab"), st.integers(0, 1), st.integers(1, 5), steps_ms)

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The results are the point, not how busy the machine is."""
    monkeypatch.setattr(redis_store, "DEADLINE_S", 20.0)


class Clock:
    def __init__(self) -> None:
        self.ms = 1_700_000_000_000
        self.latest_ms = self.ms

    def __call__(self) -> int:
        return self.ms

    def step(self, by_ms: int) -> None:
        # A minute back from the latest moment at most.
        self.latest_ms = max(self.latest_ms, self.ms + by_ms)
        self.ms = max(self.ms + by_ms, self.latest_ms - 50_000)


@given(
    st.tuples(st.one_of(windows_of_a_key, large_windows), windows_of_a_key), st.lists(checks, min_size=1, max_size=25)
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_stores_agree(
    shared_redis: RedisServer,
    shared_cluster: RedisClusterServers,
    windows: tuple[tuple[Window, ...], ...],
    operations: list[tuple[str, int, int, int]],
) -> None:
    example = next(_numbers)

    async def run() -> None:
        clock = Clock()
        memory = MemoryLimits(clock)
        shared = [open_store(server.url, now_ms=clock) for server in (shared_redis, shared_cluster)]
        buckets: dict[tuple[str, tuple[Window, ...]], list[Bucket]] = {}
        for name, chosen, cost, step_ms in operations:
            clock.step(step_ms)
            asked = windows[chosen]
            stored = buckets.get((name, asked), [None] * len(asked))
            expected, buckets[name, asked] = take(stored, asked, cost, clock())
            assert memory.take(name, asked, cost) == expected
            for store in shared:
                assert await store.take(f"agree:{example}:{name}", asked, cost) == expected
        for store in shared:
            await store.close()

    asyncio.run(run())
