"""`GET /metrics`: requests by operation and status with their durations, the pool, and jobs by how they ended.

Each application has a registry of its own, so that several in one process (tests) do not add up.
"""

import time
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from upstream_services.kit.keys import DATABASE

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """What a process counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "path", "status")
        self.requests = Counter("service_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "service_request_seconds",
            "How long they took.",
            ("method", "path"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.jobs = Counter(
            "service_jobs", "Attempts at jobs by how they ended.", ("name", "end"), registry=self.registry
        )
        self.connections = Gauge("service_database_connections", "Connections in use.", registry=self.registry)


METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts a request under its path as it was declared, which bounds the number of series."""
    started = time.monotonic()
    reply = await handler(request)
    resource: Any = request.match_info.route.resource
    path = resource.canonical if resource is not None else "none"
    metrics = request.app[METRICS]
    metrics.requests.labels(request.method if resource is not None else "other", path, str(reply.status)).inc()
    if not reply.prepared:  # a stream's length says nothing of the service
        metrics.seconds.labels(request.method if resource is not None else "other", path).observe(
            time.monotonic() - started
        )
    return reply


async def tell(request: web.Request) -> web.Response:
    """`GET /metrics`, for Prometheus."""
    metrics, pool = request.app[METRICS], request.app[DATABASE].engine.pool
    metrics.connections.set(pool.checkedout())  # type: ignore[attr-defined]
    return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
