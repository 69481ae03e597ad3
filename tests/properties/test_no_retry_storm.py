"""Many gateways before an upstream that falls ill: what it gets is never more than 1.2 times what clients ask for.

The forwarder itself, with its judgement, budget, pauses, breaker and hedges, in virtual time and without sockets.
"""

import asyncio
import random
from dataclasses import replace

import pytest

from gateway.config.model import Upstream as UpstreamSettings
from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.observe.metrics import WorkerMetrics
from gateway.plugin_api import Exchange, Reply, RouteInfo
from gateway.proxy import attempt_notes, forward, hedging
from gateway.proxy.forward import Forwarder, ForwardPolicy
from gateway.proxy.outbox import Outbox
from gateway.proxy.precautions import with_precautions
from gateway.proxy.upstream_error import UpstreamError
from gateway.upstreams.registry import Endpoint, Registry, UpstreamShape
from tests.config.sample_plugins import GOOD, compile_text
from tests.support.plugins import exchange
from tests.support.virtual_loop import VirtualLoop, run

GATEWAYS = 6
RATE = 20.0
WELL_S, ILL_S = 10.0, 40.0
TOTAL_S = 2.0
# What each budget has saved up while all was well.
SAVED = 10


class Service:
    """How ill it is, and what it got of late."""

    def __init__(self) -> None:
        self.illness = "none"
        self.attempts = 0
        # Connects that it did not accept: nothing was sent then.
        self.refused = 0

    async def answer(self, asked: Exchange) -> Reply:
        self.attempts += 1
        loop = asyncio.get_running_loop()
        match self.illness:
            case "none":
                await asyncio.sleep(0.02)
                return Reply(200)
            case "refuses":
                self.attempts -= 1
                self.refused += 1
                raise UpstreamError(errors.UPSTREAM_UNREACHABLE, "x", "connect", is_sent=False)
            case "503":
                await asyncio.sleep(0.005)
                return Reply(503)
            case "resets":
                await asyncio.sleep(0.3)
                raise UpstreamError(errors.UPSTREAM_RESET, "x", "reset")
            case "half":
                await asyncio.sleep(0.02)
                return Reply(200 if self.attempts % 2 else 503)
            case "slow":
                await asyncio.sleep(0.8)
                return Reply(200)
            case _:
                assert asked.deadline_s is not None
                await asyncio.sleep(asked.deadline_s - loop.time())
                raise UpstreamError(errors.UPSTREAM_TIMEOUT, "x", "timeout")


class Gateway(Forwarder):
    """One worker: the forwarder with a service in place of its connections."""

    def __init__(self, service: Service, seed: int, breaker: bool) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(loop, Outbox(loop), random.Random(seed))
        self._service = service
        shape = UpstreamShape("crm", (("http://h:1", 1), ("http://h:2", 1), ("http://h:3", 1)), "random_two", 9, 60.0)
        policy = ForwardPolicy(
            upstream=Registry(loop, random.Random(seed), WorkerMetrics()).upstream(shape),
            rewrite=None,
            connect_timeout_s=1.0,
            idle_timeout_s=None,
            attempts=3,
            retry_on=frozenset({"connect", "reset", "timeout", "502", "503", "504"}),
            retry_ratio=0.2,
            count_attempt=lambda _: None,
        )
        route = replace(compile_text(f"{GOOD}  hedge: {{after: p95, at_most: 10%}}\n").routes[0])
        settings = UpstreamSettings.model_validate(
            {"endpoints": ["http://h:1"], **({"breaker": {}} if breaker else {})}
        )
        self.policies = {"crm": with_precautions(policy, route, settings, loop, WorkerMetrics())}

    async def _attempt(self, exchange: Exchange, policy: ForwardPolicy, endpoint: Endpoint) -> Reply:
        return await self._service.answer(exchange)

    async def serve(self, rng: random.Random, until_s: float, asked: list[float]) -> None:
        loop = asyncio.get_running_loop()
        tasks = []
        while loop.time() < until_s:
            await asyncio.sleep(rng.expovariate(RATE))
            tasks.append(loop.create_task(self._one(asked)))
        await asyncio.gather(*tasks)

    async def _one(self, asked: list[float]) -> None:
        loop = asyncio.get_running_loop()
        one = exchange("GET", "/")
        one.route = RouteInfo("crm", "/*", None, "crm")
        one.deadline_s = loop.time() + TOTAL_S
        asked.append(loop.time())
        try:
            await self.send(one)
        except GatewayError:
            pass
        assert loop.time() <= one.deadline_s + 0.001


async def simulate(illness: str, *, breaker: bool) -> tuple[int, int]:
    """What clients asked for while it was ill, and what it got: requests, or connects where it accepted none."""
    loop = asyncio.get_running_loop()
    service = Service()
    gateways = [Gateway(service, seed, breaker) for seed in range(GATEWAYS)]
    rng = random.Random(7)
    asked: list[float] = []
    ill_s = loop.time() + WELL_S
    serving = [loop.create_task(each.serve(rng, ill_s + ILL_S, asked)) for each in gateways]
    await asyncio.sleep(WELL_S)
    before, service.illness, asked[:] = service.attempts, illness, []
    await asyncio.gather(*serving)
    return len(asked), service.attempts - before + service.refused


@pytest.fixture(autouse=True)
def _virtual_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (forward, attempt_notes, hedging):
        monkeypatch.setattr(module, "monotonic", lambda: asyncio.get_running_loop().time())


@pytest.mark.parametrize("illness", ["refuses", "503", "resets", "half", "slow", "silent"])
@pytest.mark.parametrize("breaker", [True, False], ids=["with a breaker", "without"])
def test_load_on_an_upstream_that_fails_stays_within_1_2_of_the_requests(illness: str, breaker: bool) -> None:
    asked, got = run(VirtualLoop(), simulate(illness, breaker=breaker))
    print(f"{illness}, {'with' if breaker else 'without'} a breaker: {asked} asked, {got} got, {got / asked:.3f}")
    assert asked > 0.8 * GATEWAYS * RATE * ILL_S
    # A connect that failed goes on to each other endpoint, and nothing was sent: that needs no budget.
    assert got <= (3 if illness == "refuses" and not breaker else 1.2) * asked + SAVED * GATEWAYS
    if breaker and illness in ("refuses", "503", "resets", "silent"):
        assert got <= 0.4 * asked


def test_there_is_something_to_stop() -> None:
    """Without its budget each request would be three."""
    loop = VirtualLoop()

    async def boundless() -> tuple[int, int]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gateway.core.retry.RetryBudget.take_retry", lambda self: True)
            return await simulate("503", breaker=False)

    asked, got = run(loop, boundless())
    assert got > 2.5 * asked
