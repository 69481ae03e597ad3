"""The cache over processes: one request to the upstream for many, purges that reach every worker, a store that goes."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack

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

CONNECTIONS = 100
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


async def started(stack: AsyncExitStack, origin: Origin, store: str, *workers: int) -> list[Process]:
    environ = {"STORE": store, "ORIGIN": origin.url}
    gateways = [await stack.enter_async_context(gateway_process(TABLE, environ, workers=count)) for count in workers]
    # Every worker has taken a request, so that it has connected to the store.
    for gateway in gateways:
        for client in await clients_of(stack, [gateway], 16):
            await client.request("POST", "/warm-up")
    return gateways


async def clients_of(stack: AsyncExitStack, gateways: list[Process], count: int) -> list[RawClient]:
    return [await stack.enter_async_context(connected(gateways[index % len(gateways)].port)) for index in range(count)]


async def flood(clients: list[RawClient], path: str, count: int) -> list[int]:
    """As many requests, each connection one after the other; the versions that came."""

    async def run(client: RawClient) -> list[int]:
        replies = [await client.request("GET", path) for _ in range(count // len(clients))]
        assert {reply.status for reply in replies} == {200}
        return [reply.json["version"] for reply in replies]

    return [version for versions in await asyncio.gather(*map(run, clients)) for version in versions]


@pytest.mark.parametrize("workers", [(1,), (4,), (2, 2)], ids=["one worker", "four workers", "two gateways"])
@pytest.mark.parametrize("path", ["/both/1", "/shared/1"])
async def test_a_thousand_requests_for_one_cold_key_are_one_for_the_upstream(
    store: str, workers: tuple[int, ...], path: str
) -> None:
    script = Versions()
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(running_origin(script))
        gateways = await started(stack, origin, store, *workers)
        clients = await clients_of(stack, gateways, CONNECTIONS)
        script.go_on.clear()
        flooding = asyncio.create_task(flood(clients, path, REQUESTS))
        while not script.reads:
            await asyncio.sleep(0.01)
        script.go_on.set()
        assert set(await flooding) == {script.count}
        assert script.reads == 1
