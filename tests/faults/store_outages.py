"""The store dies, freezes or slows down under load: hardly more than the quota passes, and no request fails.

`make outages`: four workers and their load want a machine of their own, so this is not among the tests of every change.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.faults.test_quota_of_all_gateways import redis
from tests.stores.redis_server import RedisServer
from tests.support.gateway import Process
from tests.support.quota import QUOTA, flood, gateways, left_of, request_bytes, total, up_again
from tests.support.slow_proxy import slow_proxy

__all__ = ["redis"]

# The processes and their store are what this is about, whichever lane they have.
pytestmark = [pytest.mark.parametrize("each_lane", ["fast"], indirect=True), pytest.mark.timeout(180)]

_tenants = itertools.count(1_000)


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


async def assert_exact_again(processes: Sequence[Process]) -> None:
    """A flood passes exactly as often as the quota says. A busy machine has it easier with fewer connections, each with
    more requests ahead: these stores have the deadline of 50 ms.
    """
    for connections in (500, 500, 250, 250, 100, 100, 50, 50):
        await up_again(processes)
        before = await counted_alone(processes)
        found = await flood(processes, request_bytes(f"t{next(_tenants)}"), connections, 10_000 // connections)
        if await counted_alone(processes) == before:
            assert found == {200: QUOTA, 429: 9 * QUOTA}
            return
    pytest.fail("the store was never asked in time")


async def counted_alone(processes: Sequence[Process]) -> float:
    """How many checks were answered without the store."""
    verdicts = ("passed_local", "limited_local")
    return sum([await total(processes, "gateway_limit_verdicts_total", verdict=verdict) for verdict in verdicts])


@pytest.mark.parametrize("fault", ["killed", "frozen", "slow"])
async def test_a_store_that_fails_under_load_lets_hardly_more_pass_and_all_is_well_again(
    fault: str, redis: RedisServer
) -> None:
    async with faulty_store(fault, redis) as (url, break_it, mend_it), gateways(url) as processes:
        while await processes[0].metric("gateway_limit_live_workers") != 4:
            await asyncio.sleep(0.05)
        busy, idle = f"t{next(_tenants)}", f"t{next(_tenants)}"
        passed = Counter[str]()

        async def ask(tenant: str, each: int) -> None:
            found = await flood(processes, request_bytes(tenant), connections=100, each=each)
            assert set(found) <= {200, 429}, "no error of ours"
            passed[tenant] += found[200]
            assert passed[tenant] <= 1.1 * QUOTA

        await ask(busy, 6)
        break_it()
        await ask(busy, 20)
        assert await total(processes, "gateway_limit_degraded_workers") == 4
        await ask(busy, 10)
        # Who was idle until then has a share in each worker.
        await ask(idle, 20)
        assert passed[idle] >= 0.8 * QUOTA
        mend_it()
        await up_again(processes)
        for tenant in (busy, idle):
            # What passed is what is charged. A check that was late may be charged and refused: the store carried it
            # out, and nobody waited for its word; where it only was slow, it carried out all of them.
            left, expected = await left_of(processes[0], tenant), max(0, QUOTA - passed[tenant])
            assert left <= expected + 0.01 * QUOTA
            assert left >= expected - 0.1 * QUOTA or fault == "slow"
            await ask(tenant, 20)
        await assert_exact_again(processes)
