"""Two gateways of two workers are one gateway to a tenant: 10,000 requests at once pass exactly as often as its quota
says, on one Redis and on a cluster. What happens when the store fails meanwhile: `store_outages.py`.
"""

import os
from collections.abc import Iterator, Sequence

import pytest

from tests.stores.redis_cluster import RedisClusterServers
from tests.stores.redis_server import RedisServer
from tests.support.gateway import Process
from tests.support.quota import QUOTA, flood, gateways, request_bytes, total

# The processes and their store are what this is about, whichever lane they have.
pytestmark = [pytest.mark.parametrize("each_lane", ["fast"], indirect=True), pytest.mark.timeout(180)]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.kill()


async def assert_exact(processes: Sequence[Process]) -> None:
    tenant = os.urandom(8).hex()  # the cluster is not this test's alone
    found = await flood(processes, request_bytes(tenant), 500, 20)
    assert found == {200: QUOTA, 429: 9 * QUOTA}
    for verdict in ("passed_local", "limited_local"):
        assert await total(processes, "gateway_limit_verdicts_total", verdict=verdict) == 0, "none without the store"
    for process in processes:
        assert await process.metric("gateway_limit_verdicts_total", verdict="passed") > 0, "each had its part"


async def test_10_000_requests_at_once_pass_as_often_as_the_quota_says(redis: RedisServer) -> None:
    async with gateways(redis.url, is_patient=True) as processes:
        await assert_exact(processes)


async def test_10_000_requests_at_once_on_a_cluster(shared_cluster: RedisClusterServers) -> None:
    async with gateways(shared_cluster.url, is_patient=True) as processes:
        await assert_exact(processes)
