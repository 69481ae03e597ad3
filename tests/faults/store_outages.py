"""The store dies, freezes or slows down under load: hardly more than the quota passes, and no request fails.

`make outages`: four workers and their load want a machine of their own, so this is not among the tests of every change.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.faults.test_quota_of_all_gateways import assert_exact, redis, up_again
from tests.stores.redis_server import RedisServer
from tests.support.quota import QUOTA, flood, gateways, request_bytes, total
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
