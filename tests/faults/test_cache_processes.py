"""The cache over processes: one request to the upstream for many, purges that reach every worker, a store that goes."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.stores.redis_cluster import RedisClusterServers
from tests.stores.redis_server import RedisServer
from tests.support.client import RawClient, connected
from tests.support.gateway import Process, gateway_process
from tests.support.origin import Origin, Received, running_origin

pytestmark = [
    pytest.mark.parametrize("each_lane", ["fast"], indirect=True),
    pytest.mark.timeout(120),
]

TABLE = """
version: 1
gateway: {store: "${env:STORE}"}
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"], pool: {max: 64}}}
routes:
- {id: both, match: {path: /both/*, methods: [GET]}, to: origin, cache: {ttl: 1h, tags: [things]}}
- {id: shared, match: {path: /shared/*, methods: [GET]}, to: origin, cache: {ttl: 1h, layers: [l2], tags: [things]}}
- {id: write, match: {path: /*, methods: [POST]}, to: origin, invalidates: [things]}
"""

REQUESTS = 1_000


class Versions:
    """An origin whose every reply is another one, and which may be held up."""

    def __init__(self) -> None:
        self.count = 0
        self.reads = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if received.head.startswith(b"GET"):
            self.reads += 1
        else:
            self.count += 1
        body = json.dumps({"version": self.count}).encode()
        await self.go_on.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@pytest.fixture(params=["single", "cluster"])
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    server: RedisServer | RedisClusterServers = RedisServer() if request.param == "single" else RedisClusterServers()
    server.start()
    yield server.url
    server.kill()


async def started(
    stack: AsyncExitStack, origin: Origin, store: str, *workers: int, is_patient: bool = True
) -> list[Process]:
    environ = {"STORE": store, "ORIGIN": origin.url}
    gateways = [
        await stack.enter_async_context(gateway_process(TABLE, environ, workers=count, is_patient=is_patient))
        for count in workers
    ]
    # Every worker has taken a request, so that it has connected to the store.
    for gateway in gateways:
        for client in await clients_of(stack, [gateway], 16):
            await client.request("POST", "/warm-up")
    return gateways


async def clients_of(stack: AsyncExitStack, gateways: list[Process], count: int) -> list[RawClient]:
    return [await stack.enter_async_context(connected(gateways[index % len(gateways)].port)) for index in range(count)]


async def flood(clients: list[RawClient], path: str) -> list[int]:
    """A request on each connection, all at once; the versions that came."""
    replies = await asyncio.gather(*(client.request("GET", path) for client in clients))
    assert {reply.status for reply in replies} == {200}
    return [reply.json["version"] for reply in replies]


@pytest.mark.parametrize("workers", [(1,), (4,), (2, 2)], ids=["one worker", "four workers", "two gateways"])
async def test_a_thousand_requests_for_one_cold_key_are_one_for_the_upstream(
    store: str, workers: tuple[int, ...]
) -> None:
    script = Versions()
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(running_origin(script))
        gateways = await started(stack, origin, store, *workers)
        clients = await clients_of(stack, gateways, REQUESTS)
        for count, path in enumerate(("/both/1", "/shared/1"), start=1):
            script.go_on.clear()
            flooding = asyncio.create_task(flood(clients, path))
            while script.reads < count:
                await asyncio.sleep(0.01)
            script.go_on.set()
            assert set(await flooding) == {script.count}
            assert script.reads == count


async def versions(clients: list[RawClient], path: str) -> set[int]:
    return {(await client.request("GET", path)).json["version"] for client in clients}


async def until_kept(script: Versions, clients: list[RawClient], path: str) -> None:
    """Until every worker has it: a purge of before may have been on its way to one."""
    reads = -1
    while script.reads != reads:
        reads = script.reads
        await versions(clients, path)


async def test_a_write_is_seen_by_whoever_has_its_answer_and_within_100_ms_by_all(store: str) -> None:
    script = Versions()
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(running_origin(script))
        gateways = await started(stack, origin, store, 2, 2)
        clients = await clients_of(stack, gateways, 24)
        for _ in range(3):
            for path in ("/both/1", "/shared/1"):
                assert await versions(clients, path) == {script.count}
            await clients[0].request("POST", "/both/9")
            answered_s = asyncio.get_running_loop().time()
            # The store knows it already, so whoever asks that layer sees it at once.
            assert await versions(clients, "/shared/1") == {script.count}
            assert await versions(clients[:1], "/both/1") == {script.count}
            while await versions(clients, "/both/1") != {script.count}:
                assert asyncio.get_running_loop().time() - answered_s < 0.1
        reads = script.reads
        for path in ("/both/1", "/shared/1"):
            await versions(clients, path)
        assert script.reads == reads


@pytest.mark.parametrize("store", ["single"], indirect=True)
async def test_an_operator_s_purge_reaches_every_worker_of_every_gateway(store: str) -> None:
    await assert_purges_reach_all(store, 2, 2)


async def test_without_a_store_the_workers_of_a_gateway_tell_each_other() -> None:
    await assert_purges_reach_all("memory://", 3)


async def assert_purges_reach_all(store: str, *workers: int) -> None:
    script = Versions()
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(running_origin(script))
        gateways = await started(stack, origin, store, *workers)
        clients = await clients_of(stack, gateways, 24)
        for purge in ({"tags": ["things"]}, {"all": True}, {"urls": [{"url": "http://gateway.test/both/1"}]}):
            await until_kept(script, clients, "/both/1")
            script.count += 1
            assert await versions(clients, "/both/1") == {script.count - 1}
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"http://127.0.0.1:{gateways[0].admin_port}/cache/purge", json=purge) as reply,
            ):
                assert reply.status == 200, await reply.text()
            answered_s = asyncio.get_running_loop().time()
            while await versions(clients, "/both/1") != {script.count}:
                assert asyncio.get_running_loop().time() - answered_s < 0.1
        status, page = await gateways[0].admin("/cache")
        rows = {row["route"]: row for row in json.loads(page)["cache"]}
        assert (status, rows["both"]["hit-l1"] > 0) == (200, True)


async def test_a_store_that_goes_leaves_the_upstream_and_comes_back() -> None:
    """Frozen, killed, slow to come: no request fails or waits, and nothing old is given out."""
    server = RedisServer()
    server.start()
    script = Versions()
    try:
        async with AsyncExitStack() as stack:
            origin = await stack.enter_async_context(running_origin(script))
            gateways = await started(stack, origin, server.url, 2, is_patient=False)
            clients = await clients_of(stack, gateways, 8)
            for path in ("/both/1", "/shared/1"):
                await versions(clients, path)
            for fault in (server.freeze, server.kill):
                fault()
                script.count += 1
                loop = asyncio.get_running_loop()
                started_s = loop.time()
                # Until each worker has noticed that it cannot hear of purges, its memory may answer.
                while await versions(clients, "/both/1") != {script.count}:
                    assert loop.time() - started_s < 3.0
                for client in clients:
                    started_s = loop.time()
                    assert (await client.request("GET", "/shared/1")).json["version"] == script.count
                    assert loop.time() - started_s < 0.3
                await clients[0].request("POST", "/both/9")
                if fault == server.freeze:
                    server.thaw()
                else:
                    server.start()
                # The write that the store missed is made good; then both layers keep again.
                started_s = loop.time()
                for path in ("/both/1", "/shared/1"):
                    while True:
                        assert loop.time() - started_s < 10.0
                        before = script.reads
                        if await versions(clients, path) == {script.count} and script.reads == before:
                            break
    finally:
        server.kill()
