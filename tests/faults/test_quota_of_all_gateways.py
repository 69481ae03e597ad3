"""Two gateways of two workers are one gateway to a tenant: 10,000 requests at once pass exactly as often as its quota
says, on one Redis and on a cluster. What happens when the store fails meanwhile: `store_outages.py`.
"""

import asyncio
import itertools
from collections.abc import Iterator, Sequence

import pytest

from tests.stores.redis_cluster import RedisClusterServers
from tests.stores.redis_server import RedisServer
from tests.support.gateway import Process
from tests.support.quota import QUOTA, flood, gateways, request_bytes, total

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
    # A busy machine has it easier with fewer connections, each with more requests ahead.
    for connections in (500, 250, 100, 50):
        await up_again(processes)
        before = await counted_alone(processes)
        found = await flood(processes, request_bytes(f"t{next(_tenants)}"), connections, 10_000 // connections)
        assert set(found) == {200, 429} and found.total() == 10_000
        alone = await counted_alone(processes) - before
        # Each answer without the store is a token too many or too few at most; where there is none, it is exact.
        assert abs(found[200] - QUOTA) <= alone
        if alone == 0:
            break
    for process in processes:
        assert await process.metric("gateway_limit_verdicts_total", verdict="passed") > 0, "each had its part"


async def test_10_000_requests_at_once_pass_as_often_as_the_quota_says(redis: RedisServer) -> None:
    async with gateways(redis.url) as processes:
        await assert_exact(processes)


async def test_10_000_requests_at_once_on_a_cluster(shared_cluster: RedisClusterServers) -> None:
    async with gateways(shared_cluster.url) as processes:
        await assert_exact(processes)
