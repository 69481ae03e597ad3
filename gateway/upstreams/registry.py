"""The upstreams as they are now: endpoints, pools, requests under way, retry budgets.

This state outlives a snapshot. It is kept under an upstream's name *and* the settings that shape it, and each endpoint
under those that shape its connections: a reload that changes a weight, the balance, or how endpoints are looked after,
or that adds and removes others, leaves an endpoint its connections and what is known of its health; and as long as one
endpoint stays, the upstream its circuit breaker, its limit and its retry budget.

Building an upstream changes nothing for those in force; `serve` does, when its table is swapped in.
"""

import asyncio
import random
import ssl
from collections.abc import Hashable, Iterable
from functools import partial
from typing import Final

from gateway.config.tls import client_context
from gateway.observe.metrics import WorkerMetrics
from gateway.upstreams.endpoint import Endpoint
from gateway.upstreams.endpoint_series import EndpointSeries
from gateway.upstreams.pool import Pool
from gateway.upstreams.prober import probe
from gateway.upstreams.resolver import resolve
from gateway.upstreams.rounds import Round, Rounds
from gateway.upstreams.shape import Balance, Care, TlsShape, UpstreamShape, shape_of
from gateway.upstreams.upstream import Upstream

__all__ = ["Balance", "Care", "Endpoint", "Registry", "TlsShape", "Upstream", "UpstreamShape", "shape_of"]

_GAUGES_EVERY_S: Final = 1.0

_EndpointKey = tuple[str, str, int, float, TlsShape]


class Registry:
    """Every upstream in use, by shape."""

    def __init__(self, loop: asyncio.AbstractEventLoop, rng: random.Random, metrics: WorkerMetrics) -> None:
        self._loop = loop
        self._rng = rng
        self._metrics = metrics
        self._rounds = Rounds(rng)
        self._upstreams: dict[UpstreamShape, Upstream] = {}
        self._endpoints: dict[_EndpointKey, Endpoint] = {}
        self._contexts: dict[TlsShape, ssl.SSLContext] = {}
        self._in_force: tuple[Upstream, ...] = ()
        self._gauges: asyncio.TimerHandle | None = None

    def upstream(self, shape: UpstreamShape) -> Upstream:
        """The upstream of that shape, the same one each time."""
        found = self._upstreams.get(shape)
        if found is None:
            endpoints = [self._endpoint(shape, url, weight) for url, weight in shape.endpoints]
            found = self._upstreams[shape] = Upstream(shape, endpoints, self._rng)
            urls = {url for url, _ in shape.endpoints}
            for former in self._in_force:
                if former.shape.name == shape.name and any(url in urls for url, _ in former.shape.endpoints):
                    found.succeed(former)
        return found

    def serve(self, upstreams: Iterable[Upstream]) -> None:
        """These are in force from now on: look after their endpoints, and close those that belong to none of them.
        Requests of an older table that are under way end in peace.
        """
        self._in_force = tuple(dict.fromkeys(upstreams))
        self._upstreams = {upstream.shape: upstream for upstream in self._in_force}
        kept = {endpoint for upstream in self._in_force for endpoint in upstream.endpoints}
        for key, endpoint in list(self._endpoints.items()):
            if endpoint not in kept:
                endpoint.close()
                del self._endpoints[key]
        shapes = {key[-1] for key in self._endpoints}
        self._contexts = {shape: context for shape, context in self._contexts.items() if shape in shapes}
        rounds: dict[Hashable, Round] = {}
        for upstream in self._in_force:
            upstream.take_charge()
            rounds.update(self._rounds_of(upstream))
        self._rounds.follow(rounds)
        self._show_load()

    def report(self) -> list[dict[str, object]]:
        """A row an endpoint in force, in the table's order: `Endpoint.report`, and whether it gets requests."""
        return [
            {**endpoint.report(), "in_rotation": endpoint in upstream.rotation}
            for upstream in self._in_force
            for endpoint in upstream.endpoints
        ]

    def close(self) -> None:
        """Look after nothing any more, and close every pool."""
        self._rounds.close()
        if self._gauges is not None:
            self._gauges.cancel()
            self._gauges = None
        for endpoint in self._endpoints.values():
            endpoint.close()
        self._endpoints.clear()
        self._upstreams.clear()
        self._in_force = ()

    def _endpoint(self, shape: UpstreamShape, url: str, weight: int) -> Endpoint:
        key = (shape.name, url, shape.pool_max, shape.pool_idle_s, shape.tls)
        found = self._endpoints.get(key)
        if found is None:
            found = self._endpoints[key] = Endpoint(
                shape.name,
                url,
                weight,
                Pool(self._loop, shape.pool_max, shape.pool_idle_s),
                self._loop,
                EndpointSeries(self._metrics, shape.name, url.partition("://")[2]),
                self._context(shape.tls) if url.startswith("https:") else None,
                shape.tls.server_name,
            )
        return found

    def _context(self, tls: TlsShape) -> ssl.SSLContext:
        found = self._contexts.get(tls)
        if found is None:
            found = self._contexts[tls] = client_context(tls.ca, tls.client_cert, tls.client_key, verify=tls.verify)
        return found

    def _rounds_of(self, upstream: Upstream) -> dict[Hashable, Round]:
        """A key says all that the work goes by, so that a round whose rules change begins anew."""
        care = upstream.shape.care
        rounds: dict[Hashable, Round] = {}
        for endpoint in upstream.endpoints:
            if care.health is not None:
                rounds[endpoint, care.health] = Round(care.health.every_s, partial(_look, endpoint, care))
            if care.resolve_s is not None and endpoint.has_name:
                rounds[endpoint, care.resolve_s] = Round(care.resolve_s, partial(resolve, endpoint, self._loop))
        return rounds

    def _show_load(self) -> None:
        """Once a second, so that no request pays for it."""
        if self._gauges is not None:
            self._gauges.cancel()
        for upstream in self._in_force:
            for endpoint in upstream.endpoints:
                endpoint.series.in_flight.set(endpoint.pool.in_use)
                endpoint.series.connections.set(endpoint.pool.open)
        self._gauges = self._loop.call_later(_GAUGES_EVERY_S, self._show_load)


async def _look(endpoint: Endpoint, care: Care) -> None:
    assert care.health is not None
    endpoint.standing.probed(await probe(endpoint, care.health))
