"""Hazard: an endpoint that is gone still looks up, or the load that a dashboard shows is of long ago."""

import asyncio
import random

from gateway.observe.metrics import WorkerMetrics
from gateway.upstreams.endpoint_series import EndpointSeries
from gateway.upstreams.registry import Registry, UpstreamShape


def test_gauges_of_an_endpoint_that_is_gone_are_0_and_counters_stay() -> None:
    series = EndpointSeries(WorkerMetrics(), "crm", "a:1")
    for each in (series.up, series.in_flight, series.connections, series.ejections, series.good_probes):
        each.inc(3)
    series.clear()
    assert [each.value for each in (series.up, series.in_flight, series.connections)] == [0, 0, 0]
    assert [each.value for each in (series.ejections, series.good_probes)] == [3, 3]


async def test_the_load_is_shown() -> None:
    registry = Registry(asyncio.get_running_loop(), random.Random(1), WorkerMetrics())
    upstream = registry.upstream(UpstreamShape("crm", (("http://127.0.0.1:1", 1),), "round_robin", 4, 60.0))
    endpoint = upstream.endpoints[0]
    assert endpoint.pool.reserve()
    registry.serve([upstream])
    assert (endpoint.series.in_flight.value, endpoint.series.connections.value) == (1, 1)
    registry.close()
    assert endpoint.series.in_flight.value == 0
