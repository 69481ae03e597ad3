"""Hazard: a reload forgets that an upstream is ill, or keeps the settings that it had."""

import asyncio
import random
from typing import Any

import pytest

from gateway.config.model import Upstream as UpstreamSettings
from gateway.config.snapshot import CompiledRoute
from gateway.observe.metrics import WorkerMetrics
from gateway.proxy.forward import ForwardPolicy
from gateway.proxy.precautions import with_precautions
from gateway.upstreams.registry import Registry, Upstream, shape_of
from tests.config.sample_plugins import GOOD, compile_text

A, B, C = (f"http://127.0.0.1:{port}" for port in (8101, 8102, 8103))


class Loads:
    """A registry, and the tables that are loaded over it one after the other."""

    def __init__(self) -> None:
        self.metrics = WorkerMetrics()
        self.in_preparation: list[Upstream] = []
        self.registry = Registry(asyncio.get_running_loop(), random.Random(1), self.metrics)

    def load(self, route_lines: str = "", retry_ratio: float = 0.2, **upstream: Any) -> ForwardPolicy:
        settings = UpstreamSettings.model_validate({"endpoints": ["http://127.0.0.1:8101"], **upstream})
        used = self.registry.upstream(shape_of("crm", settings))
        self.in_preparation = [used]
        route: CompiledRoute = compile_text(GOOD + route_lines).routes[0]
        plain = ForwardPolicy(
            upstream=used,
            rewrite=None,
            connect_timeout_s=1.0,
            idle_timeout_s=None,
            attempts=2,
            retry_on=frozenset(),
            retry_ratio=retry_ratio,
            count_attempt=lambda _: None,
        )
        return with_precautions(plain, route, settings, asyncio.get_running_loop(), self.metrics)


async def test_what_is_not_asked_for_is_not_there() -> None:
    policy = Loads().load()
    assert (policy.guard, policy.hedge, policy.sends_timeout, policy.priority) == (None, None, True, 2)


async def test_a_reload_of_the_same_settings_keeps_what_is_known_of_an_upstream() -> None:
    loads = Loads()
    first = loads.load(breaker={"min": 5}, overload={})
    again = loads.load(breaker={"min": 5}, overload={})
    assert first.guard is not None and again.guard is first.guard
    assert first.guard.breaker is not None and first.guard.admission is not None


async def test_other_settings_begin_anew_and_none_are_none() -> None:
    loads = Loads()
    first = loads.load(breaker={"min": 5})
    other = loads.load(breaker={"min": 6})
    assert other.guard is not None and other.guard is not first.guard
    assert other.guard.admission is None
    assert loads.load().guard is None
    assert loads.in_preparation[0].guard is None


async def test_what_is_known_of_an_upstream_outlives_changes_of_its_endpoints_and_their_care() -> None:
    loads = Loads()
    first = loads.load(breaker={"min": 5}, overload={}, endpoints=[A, B])
    loads.registry.serve(loads.in_preparation)
    assert first.guard is not None
    for change in (
        {"endpoints": [A, B, C]},
        {"endpoints": [C, {"url": B, "weight": 3}]},
        {"endpoints": [C], "health": {"path": "/health"}, "eject": {"errors": 3}},
        {"endpoints": [C], "balance": "random_two", "pool": {"max": 9}},
    ):
        other = loads.load(breaker={"min": 5}, overload={}, **change)
        loads.registry.serve(loads.in_preparation)
        assert other.upstream is not first.upstream
        assert other.guard is first.guard
        assert other.upstream.retry_budget is first.upstream.retry_budget
    # Nothing is known of another service under the old name.
    moved = loads.load(breaker={"min": 5}, overload={}, endpoints=[A])
    assert moved.guard is not None and moved.guard is not first.guard
    assert moved.upstream.retry_budget is not first.upstream.retry_budget


async def test_of_breaker_and_limit_the_one_that_is_not_changed_goes_on() -> None:
    loads = Loads()
    guards = [
        loads.load(breaker=each, overload=other).guard
        for each, other in (({}, {}), ({"min": 6}, {}), ({"min": 6}, {"max": 70}))
    ]
    first, second, third = guards
    assert first is not None and second is not None and third is not None
    assert second.breaker is not first.breaker and second.admission is first.admission
    assert third.breaker is second.breaker and third.admission is not second.admission


@pytest.mark.parametrize(("hedged", "ratio"), [("5%", 0.2), ("30%", 0.3)])
async def test_hedges_and_retries_share_the_larger_of_their_budgets(hedged: str, ratio: float) -> None:
    policy = Loads().load(f"  hedge: {{after: 50ms, at_most: {hedged}}}\n  priority: low\n  timeout: {{send: false}}\n")
    assert policy.retry_ratio == ratio
    assert policy.hedge is not None and policy.hedge.delay_s() == 0.05
    assert (policy.priority, policy.sends_timeout) == (3, False)


async def test_repeats_and_hedges_are_counted() -> None:
    loads = Loads()
    policy = loads.load("  hedge: {}\n")
    assert policy.hedge is not None and policy.count_retry is not None
    policy.hedge.count("won")
    policy.count_retry("503")
    policy.count_retry("503")
    # A series that is asked for again is the same one.
    won = loads.metrics.counter("gateway_upstream_hedges", "", upstream="crm", outcome="won")
    retries = loads.metrics.counter("gateway_upstream_retries", "", upstream="crm", cause="503")
    assert (won.value, retries.value) == (1, 2)
