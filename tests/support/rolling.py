"""Services of several endpoint processes before which a gateway stands, and load that goes on while they are restarted.

An endpoint is `tests.bench.echo_upstream`, which ends at once at any signal, amid whatever it does: each restart is as
rude as kill -9. Its journal says which requests it began.
"""

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.processes import free_ports
from tests.support.client import RawClient, connected
from tests.support.gateway import Process, gateway_process

EVERY_S = 0.4
HEALTHY_AFTER = 2
RECOVERY_S = HEALTHY_AFTER * EVERY_S * 1.1
"""The health interval: so long after an endpoint is back every worker sends it requests, and a probe takes its time."""

_METHODS = ("GET", "GET", "PUT", "GET", "GET", "DELETE", "GET", "GET", "GET", "POST")

_RULES = f"""
    balance: least_requests
    health: {{path: /health, every: {int(EVERY_S * 1000)}ms, timeout: 2s, healthy_after: {HEALTHY_AFTER}}}
    eject: {{errors: 3, for: 5s, at_most: 50%}}
"""
_DEFAULTS = """
version: 1
defaults:
  auth: none
  retry: {attempts: 4, on: [connect, reset, 502, 503, 504], budget: 100%}
  timeout: {connect: 1s, total: 20s}
"""


class EndpointProcess:
    """One endpoint, which can be killed and started again on its port."""

    def __init__(self, service: int, port: int, folder: Path) -> None:
        self.service = service
        self.name = f"127.0.0.1:{port}"
        self._port = port
        self._journal = folder / f"{port}.journal"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Until it accepts connections."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.echo_upstream", str(self._port), str(self._journal)),
        )
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return

    async def kill(self) -> None:
        """kill -9, and until it is gone."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    def begun(self) -> list[str]:
        """`METHOD id` of each request that it began to serve, probes left out."""
        if not self._journal.exists():
            return []
        return [line for line in self._journal.read_text().splitlines() if not line.endswith(" -")]


@dataclass
class Load:
    """What clients saw. succeeded, failed: the idempotent requests (RFC 9110 section 9.2.2) that got a 200, and those
    that did not, with what they got instead. written, lost: the others, whose failing is no fault where they may have
    been begun.
    """

    succeeded: int = 0
    written: int = 0
    lost: int = 0
    failed: list[str] = field(default_factory=list)
    is_over: bool = False

    async def client(self, port: int, number: int, services: int) -> None:
        """Of each ten requests one is a POST, one a PUT, one a DELETE; all on a connection that is kept."""
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(connected(port))
            for turn in range(10**9):
                if self.is_over:
                    return
                await self._exchange(client, _METHODS[turn % 10], turn % services, f"{number}-{turn}")

    async def _exchange(self, client: RawClient, method: str, service: int, request_id: str) -> None:
        target = f"/s{service}/x?id={request_id}&wait_ms=10"
        reply = await client.request(method, target, body=b"x" if method in ("POST", "PUT") else b"")
        if method == "POST":
            self.written += reply.status == 200
            self.lost += reply.status != 200
        elif reply.status == 200:
            self.succeeded += 1
        else:
            self.failed.append(f"{method} {request_id}: {reply.status} {reply.body[:200].decode()}")


class Stage:
    """Everything, while load goes on."""

    def __init__(self, endpoints: list[EndpointProcess], gateway: Process, load: Load) -> None:
        self.endpoints = endpoints
        self.gateway = gateway
        self.load = load

    async def restart(self, endpoints: Sequence[EndpointProcess], down_s: float) -> float:
        """Kill them at once, start them after a while. Returns how long it took, from when the last of them accepted
        connections, until each got requests again.
        """
        await asyncio.gather(*(endpoint.kill() for endpoint in endpoints))
        before = [len(endpoint.begun()) for endpoint in endpoints]
        await asyncio.sleep(down_s)
        await asyncio.gather(*(endpoint.start() for endpoint in endpoints))
        started_s = time.monotonic()
        for endpoint, count in zip(endpoints, before, strict=True):
            while len(endpoint.begun()) == count:
                await asyncio.sleep(0.02)
        return time.monotonic() - started_s

    def sent_twice(self) -> list[str]:
        """The POSTs that more than one endpoint, or one twice, began."""
        counts = Counter(line for endpoint in self.endpoints for line in endpoint.begun())
        return [line for line, count in counts.items() if line.startswith("POST") and count > 1]


@contextlib.asynccontextmanager
async def stage(folder: Path, *, services: int, endpoints: int, clients: int, workers: int = 1) -> AsyncIterator[Stage]:
    """Up and under load; at the end every client has had its last reply."""
    ports = iter(free_ports(services * endpoints))
    running = [EndpointProcess(service, next(ports), folder) for service in range(services) for _ in range(endpoints)]
    table = _DEFAULTS + "upstreams:\n"
    routes = "routes:\n"
    for service in range(services):
        urls = ", ".join(f'"http://{each.name}"' for each in running if each.service == service)
        table += f"  s{service}:\n    endpoints: [{urls}]{_RULES}"
        routes += f"- {{id: s{service}, match: /s{service}/*, to: s{service}}}\n"
    try:
        await asyncio.gather(*(endpoint.start() for endpoint in running))
        async with gateway_process(table + routes, workers=workers) as gateway:
            load = Load()
            tasks = [asyncio.create_task(load.client(gateway.port, number, services)) for number in range(clients)]
            try:
                yield Stage(running, gateway, load)
            finally:
                load.is_over = True
                await asyncio.gather(*tasks)
    finally:
        for endpoint in running:
            await endpoint.kill()
