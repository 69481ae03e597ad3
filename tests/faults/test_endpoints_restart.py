"""Endpoints of a service are killed amid their work and started again, one after the other, under load: clients do not
notice, and nothing is sent twice that does more the second time.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.client import connected
from tests.support.gateway import running_gateway
from tests.support.origin import Origin, Received, answer

TABLE = """
version: 1
defaults:
  auth: none
  timeout: {connect: 500ms, total: 10s}
  retry: {attempts: 3, on: [connect, reset, 502, 503, 504], budget: 20%}
upstreams:
  origin: {endpoints: ["${env:A}", "${env:B}", "${env:C}"], balance: BALANCE, breaker: {}, overload: {}}
routes: [{id: all, match: /*, to: origin}]
"""
CLIENTS = 8
ROUNDS = 60


async def work(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.01)
    await answer(b"done")(received, reader, writer)


class Endpoint:
    """An origin that can be killed and started again on its port."""

    def __init__(self) -> None:
        self.origin = Origin(work)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self.origin._serve, "127.0.0.1", self.origin.port)
        self.origin.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """As the kernel does for a process that is killed: no more connects, and every connection is reset."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self.origin.open_connections):
            writer.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def three() -> AsyncIterator[list[Endpoint]]:
    endpoints = [Endpoint() for _ in range(3)]
    for endpoint in endpoints:
        await endpoint.start()
    try:
        yield endpoints
    finally:
        for endpoint in endpoints:
            await endpoint.kill()


@pytest.mark.parametrize("balance", ["round_robin", "least_requests"])
async def test_no_idempotent_request_fails_and_no_other_is_sent_twice(balance: str) -> None:
    statuses: dict[str, Counter[int]] = {method: Counter() for method in ("GET", "PUT", "POST")}
    async with asyncio.timeout(40), three() as endpoints:
        urls = {name: each.origin.url for name, each in zip("ABC", endpoints, strict=True)}
        async with running_gateway(TABLE.replace("BALANCE", balance), urls) as gateway:

            async def client(number: int) -> None:
                async with connected(gateway.port) as connection:
                    for turn in range(ROUNDS):
                        for method in statuses:
                            reply = await connection.request(method, f"/{method}/{number}/{turn}", body=b"x")
                            statuses[method][reply.status] += 1

            load = asyncio.gather(*(client(number) for number in range(CLIENTS)))
            turn = 0
            while not load.done():
                endpoint = endpoints[turn % 3]
                turn += 1
                await endpoint.kill()
                await asyncio.sleep(0.1)
                await endpoint.start()
                await asyncio.sleep(0.2)
            await load
            retries = gateway.metric("gateway_upstream_retries_total")
    asked = CLIENTS * ROUNDS
    assert statuses["GET"] == statuses["PUT"] == {200: asked}
    assert retries > 0
    # A write that was cut off is told to the client, and nobody sends it again.
    assert statuses["POST"][200] + statuses["POST"][502] == asked
    assert statuses["POST"][200] > 0.8 * asked
    lines = Counter(each.request_line for endpoint in endpoints for each in endpoint.origin.requests)
    assert max(count for line, count in lines.items() if line.startswith(b"POST")) == 1
