"""Several gateways of several workers before one store, and a tenant that asks them all at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from tests.support.client import connected
from tests.support.gateway import Process, gateway_process, token

TABLE = """
version: 1
gateway: {store: "${env:STORE}"}
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
plans: {free: {limits: [1000/d]}, pro: {limits: [200/min]}}
defaults: {auth: test, limit: {plan: true}}
routes: [{id: all, match: /*, respond: {text: ok}}, {id: me, match: /me, respond: limits}]
"""
QUOTA = 1_000


@asynccontextmanager
async def gateways(
    store: str, count: int = 2, workers: int = 2, *, is_patient: bool = False
) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                gateway_process(TABLE, {"STORE": store}, workers=workers, is_patient=is_patient)
            )
            for _ in range(count)
        ]


def request_bytes(tenant: str, plan: str = "free") -> bytes:
    return f"GET / HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer {token(tenant, plan)}\r\n\r\n".encode()


async def flood(processes: Sequence[Process], request: bytes, connections: int, each: int) -> Counter[int]:
    """So many requests on each of so many connections, all sent before any reply is read. Returns statuses."""
    found: Counter[int] = Counter()

    async def one(port: int) -> None:
        async with connected(port) as client:
            client.send(request * each)
            for _ in range(each):
                found[(await client.read_reply()).status] += 1

    await asyncio.gather(*(one(processes[number % len(processes)].port) for number in range(connections)))
    return found


async def left_of(process: Process, tenant: str) -> int:
    """What limits/me says."""
    async with connected(process.port) as client:
        reply = await client.request("GET", "/me", {"Authorization": f"Bearer {token(tenant)}"})
        assert reply.json["is_degraded"] is False
        remaining: int = reply.json["windows"][0]["remaining"]
        return remaining


async def total(processes: Sequence[Process], name: str, **labels: str) -> float:
    """Of a metric over all gateways."""
    return sum([await process.metric(name, **labels) for process in processes])


async def up_again(processes: Sequence[Process]) -> None:
    """Until no worker counts on its own."""
    while await total(processes, "gateway_limit_degraded_workers"):
        await asyncio.sleep(0.05)
