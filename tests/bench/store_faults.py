"""`python -m tests.bench.store_faults`: what a request costs while the store of limits is killed, frozen or slow.

Two gateways of two workers; 16 connections ask steadily. Prints the time of a request before the fault, while the
workers find out, once they count alone, while they come back, and after that.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence

from tests.faults.store_outages import faulty_store
from tests.stores.redis_server import RedisServer
from tests.support.client import connected
from tests.support.gateway import Process
from tests.support.quota import gateways, request_bytes, total, up_again

_CONNECTIONS = 16
_PHASE_S = 4.0
_PAUSE_S = 0.02


class Load:
    """Asks as long as it runs. took_ms: of each request that was sent in the phase."""

    def __init__(self) -> None:
        self.phase = "before"
        self.took_ms: dict[str, list[float]] = {}
        self.statuses: set[int] = set()

    async def ask(self, port: int, request: bytes) -> None:
        async with connected(port) as client:
            while True:
                phase, began_s = self.phase, time.perf_counter()
                client.send(request)
                self.statuses.add((await client.read_reply()).status)
                self.took_ms.setdefault(phase, []).append((time.perf_counter() - began_s) * 1000)
                await asyncio.sleep(_PAUSE_S)


async def measure(fault: str) -> None:
    redis = RedisServer()
    redis.start()
    try:
        async with faulty_store(fault, redis) as (url, break_it, mend_it), gateways(url) as processes:
            while await processes[0].metric("gateway_limit_live_workers") != 4:
                await asyncio.sleep(0.1)
            load = Load()
            tasks = [
                asyncio.create_task(load.ask(processes[number % 2].port, request_bytes(f"t{number % 3}", "pro")))
                for number in range(_CONNECTIONS)
            ]
            await asyncio.sleep(_PHASE_S)
            load.phase = "finding out"
            break_it()
            await all_alone(processes)
            load.phase = "alone"
            await asyncio.sleep(_PHASE_S)
            load.phase = "coming back"
            mend_it()
            await up_again(processes)
            load.phase = "after"
            await asyncio.sleep(_PHASE_S)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for phase, took_ms in load.took_ms.items():
                print(f"{fault:7} {phase:12} {len(took_ms):5} requests  {percentiles(took_ms)}")
            print(f"{fault:7} statuses {sorted(load.statuses)}")
    finally:
        redis.kill()


async def all_alone(processes: Sequence[Process]) -> None:
    while await total(processes, "gateway_limit_degraded_workers") < 4:
        await asyncio.sleep(0.05)


def percentiles(values: Sequence[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return f"p50 {cuts[49]:6.2f} ms  p99 {cuts[98]:6.2f} ms  max {max(values):6.2f} ms"


async def main() -> None:
    for fault in ("killed", "frozen", "slow"):
        await measure(fault)


if __name__ == "__main__":
    asyncio.run(main())
