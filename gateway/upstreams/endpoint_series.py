"""The metrics of one endpoint."""

from typing import Final

from gateway.observe.metrics import WorkerMetrics

_UP: Final = "Workers by which this endpoint is neither unhealthy nor ejected."
_IN_FLIGHT: Final = "Requests under way at this endpoint, streams included; looked at once a second."
_CONNECTIONS: Final = "Connections to this endpoint, idle ones included; looked at once a second."
_EJECTIONS: Final = "How often a worker left this endpoint out because its replies failed."
_PROBES: Final = "Probes of this endpoint, by result."


class EndpointSeries:
    """Its series in this worker, asked for once; the exposition adds the workers up."""

    __slots__ = ("connections", "ejections", "failed_probes", "good_probes", "in_flight", "up")

    def __init__(self, metrics: WorkerMetrics, upstream: str, endpoint: str) -> None:
        labels = {"upstream": upstream, "endpoint": endpoint}
        self.up = metrics.gauge("gateway_upstream_endpoint_up", _UP, **labels)
        self.in_flight = metrics.gauge("gateway_upstream_endpoint_in_flight", _IN_FLIGHT, **labels)
        self.connections = metrics.gauge("gateway_upstream_endpoint_connections", _CONNECTIONS, **labels)
        self.ejections = metrics.counter("gateway_upstream_endpoint_ejections", _EJECTIONS, **labels)
        probes = "gateway_upstream_endpoint_probes"
        self.good_probes = metrics.counter(probes, _PROBES, result="good", **labels)
        self.failed_probes = metrics.counter(probes, _PROBES, result="failed", **labels)

    def clear(self) -> None:
        """The endpoint is gone: nobody sends it anything."""
        for gauge in (self.up, self.in_flight, self.connections):
            gauge.set(0)
