"""Two gateways of two workers are one gateway to a tenant: 10,000 requests at once pass exactly as often as its quota
says, on one Redis and on a cluster; and hardly more often when the store dies, freezes or slows down meanwhile.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.stores.redis_cluster import RedisClusterServers
from tests.stores.redis_server import RedisServer
from tests.support.gateway import Process
from tests.support.quota import QUOTA, flood, gateways, request_bytes, total
from tests.support.slow_proxy import slow_proxy

# The processes and their store are what this is about, whichever lane they have.
pytestmark = [pytest.mark.parametrize("each_lane", ["fast"], indirect=True), pytest.mark.timeout(180)]

_tenants = itertools.count()


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.kill()


async def counted_alone(processes: Sequence[Process]) -> float:
    """How many checks were answered without the store: on a machine that is too busy to ask it within 50 ms."""
    verdicts = ("passed_local", "limited_local")
    return sum([await total(processes, "gateway_limit_verdicts_total", verdict=verdict) for verdict in verdicts])


async def up_again(processes: Sequence[Process]) -> None:
    while await total(processes, "gateway_limit_degraded_workers"):
        await asyncio.sleep(0.05)


async def assert_exact(processes: Sequence[Process]) -> None:
    for _ in range(8):
        await up_again(processes)
        before = await counted_alone(processes)
        found = await flood(processes, request_bytes(f"t{next(_tenants)}"), connections=500, each=20)
        assert set(found) == {200, 429} and found.total() == 10_000
        assert found[200] <= 1.1 * QUOTA
        if await counted_alone(processes) == before:
            break
    else:
        pytest.fail("the store was never asked in time")
    assert found[200] == QUOTA
    for process in processes:
        assert await process.metric("gateway_limit_verdicts_total", verdict="passed") > 0, "each had its part"


async def test_10_000_requests_at_once_pass_as_often_as_the_quota_says(redis: RedisServer) -> None:
    async with gateways(redis.url) as processes:
        await assert_exact(processes)


async def test_10_000_requests_at_once_on_a_cluster(shared_cluster: RedisClusterServers) -> None:
    async with gateways(shared_cluster.url) as processes:
        await assert_exact(processes)


@asynccontextmanager
async def faulty_store(
    fault: str, redis: RedisServer
) -> AsyncIterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """Its URL, what breaks it, and what mends it."""
    if fault == "slow":
        async with slow_proxy(redis.port) as proxy:

            def delay(delay_s: float) -> None:
                proxy.delay_s = delay_s

            yield proxy.url, lambda: delay(0.1), lambda: delay(0.0)
    elif fault == "killed":
        yield redis.url, redis.kill, redis.start
    else:
        yield redis.url, redis.freeze, redis.thaw


@pytest.mark.parametrize("fault", ["killed", "frozen", "slow"])
async def test_a_store_that_fails_under_load_lets_hardly_more_pass_and_all_is_well_again(
    fault: str, redis: RedisServer
) -> None:
    async with faulty_store(fault, redis) as (url, break_it, mend_it), gateways(url) as processes:
        while await processes[0].metric("gateway_limit_live_workers") != 4:
            await asyncio.sleep(0.05)
        tenant, idle = (request_bytes(f"t{next(_tenants)}") for _ in range(2))
        passed = 0

        async def ask(request: bytes, each: int) -> int:
            found = await flood(processes, request, connections=100, each=each)
            assert set(found) <= {200, 429}, "no error of ours"
            return found[200]

        passed += await ask(tenant, 6)
        assert passed <= 600
        break_it()
        passed += await ask(tenant, 20)
        assert await total(processes, "gateway_limit_degraded_workers") == 4
        passed += await ask(tenant, 10)
        # Who was idle until then has a share in each worker.
        passed_idle = await ask(idle, 20)
        assert 0.8 * QUOTA <= passed_idle <= 1.1 * QUOTA
        mend_it()
        await up_again(processes)
        passed += await ask(tenant, 20)
        passed_idle += await ask(idle, 20)
        assert QUOTA <= passed <= 1.1 * QUOTA
        assert QUOTA <= passed_idle <= 1.1 * QUOTA
        await assert_exact(processes)
