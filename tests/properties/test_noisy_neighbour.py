"""One tenant at 20 times the load of each of fifty others, before an upstream that cannot do it all. In virtual time;
the same over sockets: `make neighbours`.
"""

import asyncio
import random
from collections import defaultdict

import pytest

from gateway.core.adaptive_limit import LimitSettings
from gateway.observe.metrics import WorkerMetrics
from gateway.upstreams.admission import NORMAL, Admission, AdmissionSettings, Overloaded
from tests.support.virtual_loop import VirtualLoop, run

QUIET = [f"quiet{number}" for number in range(50)]
NOISY = "noisy"
RATE = 7.5
AT_ONCE = 10
PACE_S = 0.02
WARM_S, RUN_S = 5.0, 20.0


class Service:
    """Does so many at once, 10 to 30 ms each, and lets all others wait in the order in which they came."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def serve(self) -> None:
        async with self._slots:
            await asyncio.sleep(PACE_S * self._rng.uniform(0.5, 1.5))


class Figures:
    """What became of the requests of the quiet ones, and how long the good ones took."""

    def __init__(self) -> None:
        self.took_s: dict[str, list[float]] = defaultdict(list)
        self.refused: dict[str, int] = defaultdict(int)

    def of_quiet(self) -> tuple[float, float]:
        """Share of success, and p99 in seconds."""
        took_s = sorted(value for name in QUIET for value in self.took_s[name])
        refused = sum(self.refused[name] for name in QUIET)
        return len(took_s) / (len(took_s) + refused), took_s[int(0.99 * len(took_s))]


async def simulate(loads: dict[str, float], seed: int, *, is_guarded: bool) -> Figures:
    loop = asyncio.get_running_loop()
    rng = random.Random(seed)
    service, figures = Service(rng), Figures()
    limits = AdmissionSettings(LimitSettings(5, 200, 20), queue=100, wait_s=1.0)
    admission = Admission("crm", limits, loop, WorkerMetrics()) if is_guarded else None
    started_s = loop.time()

    async def request(tenant: str) -> None:
        began_s = loop.time()
        try:
            if admission is not None:
                await admission.enter(tenant, NORMAL, 60.0)
                sent_s = loop.time()
                await service.serve()
                admission.leave(loop.time() - sent_s, loop.time())
            else:
                await service.serve()
        except Overloaded:
            if began_s > started_s + WARM_S:
                figures.refused[tenant] += 1
            return
        if began_s > started_s + WARM_S:
            figures.took_s[tenant].append(loop.time() - began_s)

    async def client(tenant: str, rate: float) -> None:
        while loop.time() < started_s + WARM_S + RUN_S:
            await asyncio.sleep(rng.expovariate(rate))
            tasks.append(loop.create_task(request(tenant)))

    tasks: list[asyncio.Task[None]] = []
    await asyncio.gather(*(client(tenant, rate) for tenant, rate in loads.items()))
    await asyncio.gather(*tasks)
    return figures


def figures(loads: dict[str, float], seed: int, *, is_guarded: bool = True) -> Figures:
    return run(VirtualLoop(), simulate(loads, seed, is_guarded=is_guarded))


@pytest.mark.parametrize("seed", [1, 2])
def test_fifty_quiet_tenants_do_not_notice_a_noisy_one(seed: int) -> None:
    quiet = dict.fromkeys(QUIET, RATE)
    alone_success, alone_p99_s = figures(quiet, seed).of_quiet()
    beside = figures({**quiet, NOISY: 20 * RATE}, seed)
    success, p99_s = beside.of_quiet()
    print(f"alone {alone_success:.2%} {alone_p99_s * 1000:.0f} ms, beside {success:.2%} {p99_s * 1000:.0f} ms")
    assert alone_success > 0.99
    assert success >= 0.99
    assert p99_s <= 1.5 * alone_p99_s
    # There was too much, and it is the noisy one's requests that were refused.
    assert beside.refused[NOISY] > 100


def test_without_a_limit_they_do_notice() -> None:
    """Or the test above would show nothing."""
    loads = {**dict.fromkeys(QUIET, RATE), NOISY: 20 * RATE}
    _, p99_s = figures(loads, 1, is_guarded=False).of_quiet()
    _, alone_p99_s = figures(dict.fromkeys(QUIET, RATE), 1, is_guarded=False).of_quiet()
    assert p99_s > 5 * alone_p99_s
