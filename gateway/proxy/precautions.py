"""What a route and its upstream say of failures and overload, made ready for the forwarder at load."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from gateway.config.model import Upstream as UpstreamSettings
from gateway.config.snapshot import CompiledRoute
from gateway.core.adaptive_limit import LimitSettings
from gateway.core.circuit_breaker import BreakerSettings
from gateway.observe.metrics import Counter, WorkerMetrics
from gateway.proxy.forward import ForwardPolicy
from gateway.proxy.hedging import Hedge
from gateway.upstreams.admission import PRIORITIES, AdmissionSettings
from gateway.upstreams.guard import Guard
from gateway.upstreams.registry import Upstream

# Where a limit begins; it finds the right one within seconds.
_INITIAL_LIMIT = 20


def with_precautions(
    policy: ForwardPolicy,
    route: CompiledRoute,
    settings: UpstreamSettings,
    loop: asyncio.AbstractEventLoop,
    metrics: WorkerMetrics,
) -> ForwardPolicy:
    """The policy with the guard of its upstream, its hedging and its counters; what is not configured stays None."""
    name = policy.upstream.shape.name
    hedge = None
    ratio = policy.retry_ratio
    if route.hedge is not None:
        hedge = Hedge(route.hedge.after, route.hedge.at_most, _hedge_counter(name, metrics))
        ratio = max(ratio, route.hedge.at_most)
    return replace(
        policy,
        guard=_guard(policy.upstream, settings, loop, metrics),
        hedge=hedge,
        retry_ratio=ratio,
        priority=PRIORITIES.index(route.priority),
        sends_timeout=route.sends_timeout,
        count_retry=_RetryCounters(name, metrics).count,
    )


def _guard(
    upstream: Upstream, settings: UpstreamSettings, loop: asyncio.AbstractEventLoop, metrics: WorkerMetrics
) -> Guard | None:
    """The guard that the upstream has; another one where its settings are others, with what of it stays the same."""
    breaker, overload = settings.breaker, settings.overload
    if breaker is None and overload is None:
        upstream.guard = None
        return None
    wanted = (
        None
        if breaker is None
        else BreakerSettings(breaker.error_rate, breaker.window, breaker.min, breaker.open, breaker.trials),
        None
        if overload is None
        else AdmissionSettings(
            LimitSettings(overload.min, overload.max, _INITIAL_LIMIT), overload.queue, overload.wait
        ),
    )
    if upstream.guard is None or upstream.guard.settings != wanted:
        upstream.guard = Guard(upstream.shape.name, wanted, loop, metrics, upstream.guard)
    return upstream.guard


def _hedge_counter(upstream: str, metrics: WorkerMetrics) -> Callable[[str], None]:
    help_text = "Second attempts beside a slow first one, by whether they overtook it."
    counters = {
        outcome: metrics.counter("gateway_upstream_hedges", help_text, upstream=upstream, outcome=outcome)
        for outcome in ("won", "lost")
    }
    return lambda outcome: counters[outcome].inc()


class _RetryCounters(dict[str, Counter]):
    """The series of one upstream by cause, each asked for once."""

    def __init__(self, upstream: str, metrics: WorkerMetrics) -> None:
        super().__init__()
        self._upstream = upstream
        self._metrics = metrics

    def __missing__(self, cause: str) -> Counter:
        counter = self[cause] = self._metrics.counter(
            "gateway_upstream_retries",
            "Repeated attempts, by what the one before failed of.",
            upstream=self._upstream,
            cause=cause,
        )
        return counter

    def count(self, cause: str) -> None:
        self[cause].inc()
