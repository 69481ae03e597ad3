"""How each route goes to its upstreams, made ready at load."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

from gateway.config.model import Table
from gateway.config.shares import percent_text, share_of
from gateway.config.snapshot import CompiledRoute, Snapshot
from gateway.core.headers import MIRROR_HEADER
from gateway.observe.metrics import AttemptCounters, RequestMetrics, WorkerMetrics
from gateway.proxy.forward import ForwardPolicy
from gateway.proxy.precautions import with_precautions
from gateway.upstreams.registry import Registry, Upstream, shape_of


class Ways:
    """Of one worker."""

    def __init__(
        self, registry: Registry, requests: RequestMetrics, metrics: WorkerMetrics, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._registry = registry
        self._requests = requests
        self._metrics = metrics
        self._loop = loop

    def of(self, route: CompiledRoute, table: Table) -> ForwardPolicy:
        """The policy of a route, with one for each of its upstreams where there are several: of a split, of a mirror.

        A copy for a mirror is sent once and says that it is one.
        """
        if not route.split and route.mirror is None:
            return self._to(route, route.info.upstream or "", table)
        names = [part.to for part in route.split] or [route.info.upstream or ""]
        legs = {name: self._to(route, name, table) for name in names}
        if route.mirror is not None:
            once = replace(route, retry=None, hedge=None)
            line = MIRROR_HEADER + b": " + route.info.id.encode()
            legs[route.mirror.to] = replace(self._to(once, route.mirror.to, table), line=line)
        return replace(legs[names[0]], legs=legs)

    def _to(self, route: CompiledRoute, name: str, table: Table) -> ForwardPolicy:
        retry = route.retry
        settings = table.upstreams[name]
        policy = ForwardPolicy(
            upstream=self._registry.upstream(shape_of(name, settings)),
            rewrite=route.rewrite,
            location=route.location,
            connect_timeout_s=route.connect_timeout_s,
            idle_timeout_s=route.idle_timeout_s,
            attempts=retry.attempts if retry is not None else 1,
            retry_on=frozenset(retry.on) if retry is not None else frozenset(),
            retry_ratio=retry.budget if retry is not None else 0.0,
            count_attempt=AttemptCounters(name, self._requests).count,
        )
        return with_precautions(policy, route, settings, self._loop, self._metrics)


def upstreams_of(policies: Mapping[str, ForwardPolicy]) -> tuple[Upstream, ...]:
    """Every upstream that these go to, each once, in their order."""
    return tuple(dict.fromkeys(leg.upstream for policy in policies.values() for leg in _legs(policy)))


def _legs(policy: ForwardPolicy) -> Iterable[ForwardPolicy]:
    return (policy,) if policy.legs is None else policy.legs.values()


def with_shares(report: Iterable[Mapping[str, object]], snapshot: Snapshot) -> list[dict[str, object]]:
    """The rows, each with `shares`: what the upstream gets of routes that go to several, like `deals: 10%`."""
    shares: dict[object, list[str]] = {}
    for route in snapshot.routes:
        for part in route.split:
            said = percent_text(share_of(route.split, part.to))
            shares.setdefault(part.to, []).append(f"{route.info.id}: {said}")
        if route.mirror is not None:
            said = percent_text(route.mirror.percent)
            shares.setdefault(route.mirror.to, []).append(f"{route.info.id}: copies of {said}")
    return [{**row, "shares": shares.get(row["upstream"], [])} for row in report]
