"""Counters, gauges and histograms that stay exact when a worker is killed: their values stand in shared memory, and the
worker that takes its place counts on. `metrics_buffer.py` says how they lie there, `metrics_reader.py` adds them up.

What the gateway counts (plugins add their own through `plugin_api.Metrics`):

| metric | labels | counted by |
| --- | --- | --- |
| gateway_requests_total | route, method, status | `RequestMetrics` |
| gateway_request_seconds (histogram) | route | `RequestMetrics` |
| gateway_upstream_seconds (histogram) | upstream | `RequestMetrics` |
| gateway_bytes_sent_total | route | `RequestMetrics` |
| gateway_errors_total | code | `RequestMetrics` |
| gateway_requests_in_flight, gateway_connections (gauges) | | the lanes, on `RequestMetrics` |
| gateway_upstream_attempts_total | upstream, outcome | forward, on `RequestMetrics.attempts` |
| gateway_upstream_endpoint_up (gauge: by how many workers) | upstream, endpoint | `upstreams.EndpointSeries` |
| gateway_upstream_endpoint_in_flight, gateway_upstream_endpoint_connections (gauges) | upstream, endpoint | the same |
| gateway_upstream_endpoint_ejections_total | upstream, endpoint | the same |
| gateway_upstream_endpoint_probes_total | upstream, endpoint, result | the same |
| gateway_upstream_retries_total | upstream, cause | forward |
| gateway_upstream_hedges_total | upstream, outcome | hedging |
| gateway_upstream_breaker_changes_total | upstream, state | circuit breakers |
| gateway_upstream_breaker_open_workers (gauge) | upstream | circuit breakers |
| gateway_upstream_concurrency_limit, gateway_upstream_queued (gauges) | upstream | admission |
| gateway_upstream_shed_total | upstream, priority | admission |
| gateway_limit_verdicts_total | the plugin's | limit |
| gateway_limit_degraded_workers, gateway_limit_live_workers (gauges), gateway_limit_outages_total | | limits in Redis |
| gateway_cache_requests_total | route, result | cache |
| gateway_cache_bytes_total (of bodies) | route, layer | cache |
| gateway_cache_evictions_total | route, layer | the worker's memory of replies |
| gateway_cache_kept_bytes (gauge) | layer | the worker's memory of replies |
| gateway_cache_invalidations_total, gateway_cache_invalidations_owed_total | route | invalidates |
| gateway_split_requests_total | route, upstream | split |
| gateway_mirror_requests_total | route, upstream, result, reason | mirror |
| gateway_faults_total | route | fault |
| gateway_auth_failures_total | the plugin's | auth |
| gateway_access_log_dropped_total | | access log |
| gateway_workers (gauge), gateway_worker_restarts_total | | supervisor |
| gateway_config_info (gauge, always 1) | version | supervisor |
| gateway_config_last_reload_successful (gauge, 1 or 0) | | supervisor |
| gateway_config_last_reload_timestamp_seconds (gauge) | | supervisor |
| gateway_config_reloads_total | result | supervisor |
| gateway_config_rollbacks_total (by `watch`) | | supervisor |
| gateway_routes_quarantined (gauge, 1 or 0) | route | supervisor |
| gateway_config_tables (gauge, of all workers) | | the workers |
| gateway_metrics_overflow_total | | `WorkerMetrics` |

Route is "-" where none matched; method is "other" where it is none of the nine of RFC 9110 section 9 and RFC 5789.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import Final

from gateway.observe.metrics_buffer import Buffer, Memory, Series, map_buffer

SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

_Key = tuple[str, tuple[tuple[str, str], ...]]


class Counter:
    """A number that grows. It stands at `values[index]`, and as `value` here as well: nobody else writes there, so a
    change is one store, and not a load, a sum and a store of Python objects.
    """

    __slots__ = ("index", "value", "values")

    def __init__(self, values: "memoryview[float]", index: int) -> None:
        self.values = values
        self.index = index
        self.value = values[index]

    def inc(self, amount: float = 1.0) -> None:
        """Add to it."""
        self.value = value = self.value + amount
        self.values[self.index] = value

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.values[self.index]}>"


class Gauge(Counter):
    """A number that goes up and down; the exposition adds it up over the workers."""

    __slots__ = ()

    def dec(self, amount: float = 1.0) -> None:
        """Take from it."""
        self.value = value = self.value - amount
        self.values[self.index] = value

    def set(self, value: float) -> None:
        """Replace it."""
        self.value = value
        self.values[self.index] = value


class Histogram:
    """Observations counted by size, and their sum. They stand from `values[index]` on: a count for each bound (above
    the bound before, up to this one), a count above all bounds, the sum. An observation is two stores, so a reader may
    see a sum that lacks the observation counted last. counts and total are the same here, as a counter's value.
    """

    __slots__ = ("bounds", "counts", "index", "sum_index", "total", "values")

    def __init__(self, values: "memoryview[float]", index: int, bounds: tuple[float, ...]) -> None:
        self.values = values
        self.index = index
        self.bounds = bounds
        self.sum_index = index + len(bounds) + 1
        self.counts: list[float] = list(values[index : self.sum_index])
        self.total = values[self.sum_index]

    def observe(self, value: float) -> None:
        """Count one observation."""
        bounds = self.bounds
        # Most are small, and then a bisection through Python's call is dearer than the few steps up to them.
        place = 0
        while place < len(bounds) and bounds[place] < value:
            place += 1
        self.counts[place] = count = self.counts[place] + 1.0
        self.total = total = self.total + value
        values = self.values
        values[self.index + place] = count
        values[self.sum_index] = total

    def __repr__(self) -> str:
        count = sum(self.values[self.index : self.sum_index])
        return f"<Histogram count={count} sum={self.values[self.sum_index]}>"


class WorkerMetrics:
    """The one writer of a buffer. Implements `plugin_api.Metrics`.

    A buffer that holds series already is taken over from a worker that died: counters and histograms go on, gauges
    start at 0. Ask for a series once, at load or at its first use; asking again gives the same object. Where the buffer
    is full, a new series counts into the void and `gateway_metrics_overflow_total` says that one did.
    """

    def __init__(self, memory: Memory | None = None) -> None:
        self._buffer = Buffer(map_buffer() if memory is None else memory)
        self._counters: dict[_Key, Counter] = {}
        self._gauges: dict[_Key, Gauge] = {}
        self._histograms: dict[_Key, Histogram] = {}
        self._placed: dict[_Key, Series] = {}
        self._next_index = 0
        for series in self._buffer.take_over():
            self._placed[series.name, series.labels] = series
            self._next_index = series.index + series.width
        self._kinds = {series.name: _kind(series) for series in self._placed.values()}
        self._overflow = self.counter(
            "gateway_metrics_overflow", "Series that found no room in shared memory and are not exported."
        )

    def counter(self, name: str, help_text: str, **labels: str) -> Counter:
        """The counter of that name (without `_total`, which the exposition adds) and labels.

        Raises ValueError where the name is no metric name, or is taken by another kind of metric or with other labels.
        """
        key = name, tuple(sorted(labels.items()))
        found = self._counters.get(key)
        if found is None:
            found = Counter(*self._place("counter", key, help_text, ()))
            if found.values is self._buffer.values:
                self._counters[key] = found
        return found

    def gauge(self, name: str, help_text: str, **labels: str) -> Gauge:
        """The gauge of that name and labels. Raises ValueError as `counter` does."""
        key = name, tuple(sorted(labels.items()))
        found = self._gauges.get(key)
        if found is None:
            found = Gauge(*self._place("gauge", key, help_text, ()))
            if found.values is self._buffer.values:
                self._gauges[key] = found
        return found

    def histogram(self, name: str, help_text: str, buckets: Sequence[float], **labels: str) -> Histogram:
        """The histogram of that name and labels. buckets: upper bounds, finite and ascending; infinity is understood.

        Raises ValueError as `counter` does, and where another series of the name has other buckets.
        """
        bounds = tuple(float(bound) for bound in buckets)
        if not bounds or bounds[-1] == inf or any(not low < high for low, high in pairwise((-inf, *bounds))):
            raise ValueError(f"metric {name}: buckets must be finite and ascending, not {list(buckets)}")
        key = name, tuple(sorted(labels.items()))
        found = self._histograms.get(key)
        if found is None or found.bounds != bounds:
            found = Histogram(*self._place("histogram", key, help_text, bounds), bounds)
            if found.values is self._buffer.values:
                self._histograms[key] = found
        return found

    def _place(
        self, kind: str, key: _Key, help_text: str, bounds: tuple[float, ...]
    ) -> tuple["memoryview[float]", int]:
        """Where the values of a series are: in the buffer, or in the void."""
        name, labels = key
        series = self._placed.get(key) or Series(kind, name, help_text, labels, bounds, self._next_index)
        wanted = kind, tuple(label for label, _ in labels), bounds
        if self._kinds.get(name, wanted) != wanted:
            raise ValueError(f"metric {name} is a {_text(self._kinds[name])}; it cannot be a {_text(wanted)} as well")
        if key in self._placed:
            return self._buffer.values, series.index
        for text in (name, *wanted[1]):
            if not _NAME.fullmatch(text):
                raise ValueError(f"metric {name}: {text!r} is not a name: letters, digits and _ only")
        if not self._buffer.append(series):
            self._overflow.inc()
            return memoryview(bytearray(8 * series.width)).cast("d"), 0
        self._kinds[name] = wanted
        self._placed[key] = series
        self._next_index += series.width
        return self._buffer.values, series.index

    def __repr__(self) -> str:
        return f"<WorkerMetrics {len(self._placed)} series>"


_Kind = tuple[str, tuple[str, ...], tuple[float, ...]]


def _kind(series: Series) -> _Kind:
    return series.kind, tuple(label for label, _ in series.labels), series.bounds


def _text(kind: _Kind) -> str:
    return f"{kind[0]} of ({', '.join(kind[1])})" + (f" with buckets {list(kind[2])}" if kind[2] else "")


class _RouteSeries:
    """A route's series. requests: by method and status; the counter used last is beside them, for most answers of a
    route are alike, and to find it there again takes no key.
    """

    __slots__ = ("last", "last_method", "last_status", "requests", "seconds", "sent")

    def __init__(self, sent: Counter, seconds: Histogram) -> None:
        self.sent = sent
        self.seconds = seconds
        self.requests: dict[tuple[str, int], Counter] = {}
        self.last: Counter | None = None
        self.last_method = ""
        self.last_status = 0


class RequestMetrics:
    """What is counted of every request, with the series kept ready."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics
        self._routes: dict[str, _RouteSeries] = {}
        self._upstreams: dict[str, Histogram] = {}
        self._errors: dict[str, Counter] = {}
        self.in_flight = metrics.gauge("gateway_requests_in_flight", "Requests being served.")
        self.connections = metrics.gauge("gateway_connections", "Client connections.")

    def record(
        self,
        route_id: str,
        method: str,
        status: int,
        total_s: float,
        bytes_out: int,
        upstream: str | None,
        upstream_s: float,
        error_code: str,
    ) -> None:
        """Count one finished request. route_id: "" where none matched. upstream: None where none was asked. error_code:
        "" where the gateway made no error.
        """
        route = self._routes.get(route_id)
        if route is None:
            route = self._prepare_route(route_id)
        requests = route.last
        if requests is None or route.last_status != status or route.last_method != method:
            requests = self._requests(route, route_id, method, status)
        requests.inc()
        route.sent.inc(float(bytes_out))
        route.seconds.observe(total_s)
        if upstream is not None:
            seconds = self._upstreams.get(upstream)
            if seconds is None:
                seconds = self._prepare_upstream(upstream)
            seconds.observe(upstream_s)
        if error_code:
            error = self._errors.get(error_code)
            if error is None:
                error = self._errors[error_code] = self._metrics.counter(
                    "gateway_errors", "Errors that the gateway answered with, by code.", code=error_code
                )
            error.inc()

    def attempts(self, upstream: str, outcome: str) -> Counter:
        """The counter of attempts on that upstream that ended so. Ask once and keep it."""
        return self._metrics.counter(
            "gateway_upstream_attempts", "Attempts on upstreams, by how they ended.", upstream=upstream, outcome=outcome
        )

    def _requests(self, route: _RouteSeries, route_id: str, method: str, status: int) -> Counter:
        if method not in _METHODS:
            # A client can make up any method, so none of these is kept.
            method = "other"
        found = route.requests.get((method, status))
        if found is None:
            found = route.requests[method, status] = self._metrics.counter(
                "gateway_requests", "Requests.", route=route_id or "-", method=method, status=str(status)
            )
        route.last, route.last_method, route.last_status = found, method, status
        return found

    def _prepare_route(self, route_id: str) -> _RouteSeries:
        metrics, route = self._metrics, route_id or "-"
        prepared = self._routes[route_id] = _RouteSeries(
            metrics.counter("gateway_bytes_sent", "Bytes of reply bodies sent to clients.", route=route),
            metrics.histogram(
                "gateway_request_seconds", "From the request's head to the reply's end.", SECONDS_BUCKETS, route=route
            ),
        )
        return prepared

    def _prepare_upstream(self, upstream: str) -> Histogram:
        prepared = self._upstreams[upstream] = self._metrics.histogram(
            "gateway_upstream_seconds",
            "From sending to the upstream to its reply's head.",
            SECONDS_BUCKETS,
            upstream=upstream,
        )
        return prepared


class AttemptCounters:
    """The attempts on one upstream, by how they ended; each series is asked for once."""

    __slots__ = ("_by_outcome", "_metrics", "_upstream")

    def __init__(self, upstream: str, metrics: RequestMetrics) -> None:
        self._upstream = upstream
        self._metrics = metrics
        self._by_outcome: dict[str, Counter] = {}

    def count(self, outcome: str) -> None:
        """One more."""
        counter = self._by_outcome.get(outcome)
        if counter is None:
            counter = self._by_outcome[outcome] = self._metrics.attempts(self._upstream, outcome)
        counter.inc()
