"""Several worker processes: one limit for all, and one that dies takes neither the service nor the sums along."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.stores.redis_server import RedisServer
from tests.support.client import connected
from tests.support.gateway import gateway_process, rig, token
from tests.support.origin import running_origin

LIMITED = """
version: 1
gateway: {store: "${env:STORE:-memory://}"}
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
plans: {free: {limits: [60/min, 1000/h]}, pro: {limits: [500/min, 50000/h]}}
defaults: {auth: test, limit: {plan: true}}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes: [{id: all, match: /*, to: origin}, {id: open, match: /open, to: origin, auth: none, limit: none}]
"""

# The processes are what this is about, whichever lane they have.
pytestmark = pytest.mark.parametrize("each_lane", ["fast"], indirect=True)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.kill()


async def test_61_quick_requests_of_a_free_tenant_are_60_and_a_429() -> None:
    async with rig(LIMITED) as r:
        headers = {"Authorization": f"Bearer {token('t1', 'free')}"}
        replies = [await r.exchange("GET", "/", headers) for _ in range(61)]
        assert [reply.status for reply in replies] == [200] * 60 + [429]
        assert replies[-1].json["code"] == "rate_limited"
        assert 1 <= int(replies[-1].get("Retry-After") or 0) <= 2
        assert len(r.origin.requests) == 60
        other = await r.exchange("GET", "/", {"Authorization": f"Bearer {token('t2', 'free')}"})
        assert other.status == 200


async def test_61_quick_requests_to_four_workers_with_redis_are_60_and_a_429(redis: RedisServer) -> None:
    async with (
        asyncio.timeout(25),
        running_origin() as origin,
        gateway_process(LIMITED, {"ORIGIN": origin.url, "STORE": redis.url}, workers=4, is_patient=True) as process,
    ):

        async def one(tenant: str) -> tuple[int, str | None]:
            # A connection each, so that the kernel spreads them over the workers.
            async with connected(process.port) as client:
                reply = await client.request("GET", "/", {"Authorization": f"Bearer {token(tenant, 'free')}"})
                return reply.status, reply.get("Retry-After")

        for number in range(5):
            started_s = asyncio.get_running_loop().time()
            replies = await asyncio.gather(*(one(f"t{number}") for _ in range(61)))
            # A token comes back each second: where the machine took longer, another tenant tries.
            if asyncio.get_running_loop().time() - started_s < 0.9:
                break
        assert Counter(status for status, _ in replies) == {200: 60, 429: 1}
        assert [after for status, after in replies if status == 429] in (["1"], ["2"])
        # A worker counts a request in the very turn in which its reply leaves, but after it.
        while await process.metric("gateway_requests_total") < 61 * (number + 1):
            await asyncio.sleep(0.01)
        assert await process.metric("gateway_requests_total") == 61 * (number + 1)


async def test_a_killed_worker_is_replaced_while_the_service_goes_on_and_its_counts_stay() -> None:
    async with (
        asyncio.timeout(25),
        running_origin() as origin,
        gateway_process(LIMITED, {"ORIGIN": origin.url}, workers=2) as process,
    ):
        counted = Counter[str]()
        stop = asyncio.Event()

        async def load() -> None:
            while not stop.is_set():
                try:
                    async with connected(process.port) as client:
                        for _ in range(20):
                            reply = await client.request("GET", "/open")
                            counted[str(reply.status)] += 1
                except (ConnectionError, asyncio.IncompleteReadError):
                    counted["broken"] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(load())
            while counted["200"] < 300:
                await asyncio.sleep(0.01)
            before = set(process.workers())
            os.kill(min(before), signal.SIGKILL)
            at_kill = counted["200"]
            # More than the connections of the killed one that break off at once.
            while counted["200"] < at_kill + 1000 or len(set(process.workers()) - before) == 0:
                await asyncio.sleep(0.01)
            stop.set()
        assert set(counted) <= {"200", "broken"}
        assert counted["broken"] <= 8
        assert await process.metric("gateway_worker_restarts_total") == 1
        sum_of_workers = await process.metric("gateway_requests_total", route="open", status="200")
        # A request that the dying worker had counted may not have reached its client.
        assert counted["200"] <= sum_of_workers <= counted["200"] + counted["broken"]
        assert (await process.admin("/readyz"))[0] == 200
