"""An upstream in force over a clock that is moved by hand."""

import random
from dataclasses import replace
from typing import Any

from gateway.core.ejection import EjectRule
from gateway.core.health import HealthRule
from gateway.observe.metrics import WorkerMetrics
from gateway.observe.metrics_buffer import map_buffer
from gateway.observe.metrics_reader import MetricsReader
from gateway.upstreams.endpoint import Endpoint
from gateway.upstreams.endpoint_series import EndpointSeries
from gateway.upstreams.pool import Pool
from gateway.upstreams.shape import Care, UpstreamShape
from gateway.upstreams.upstream import Upstream
from tests.upstreams.fake_loop import FakeLoop

HEALTH = HealthRule("/health", every_s=5.0, timeout_s=1.0, healthy_after=2, unhealthy_after=3)
EJECT = EjectRule(errors=3, for_s=30.0, at_most=0.5)

BOTH = Care(HEALTH, EJECT)


class Rack:
    """names: of the endpoints, a for `http://a`. weights: 1 each where left out."""

    def __init__(self, names: str = "abc", care: Care = BOTH, weights: str = "", **shape: Any) -> None:
        self.loop = FakeLoop()
        self.memory = map_buffer()
        metrics = WorkerMetrics(self.memory)
        pairs = tuple(
            (f"http://{name}", int(weight)) for name, weight in zip(names, weights or "1" * len(names), strict=True)
        )
        self.shape = UpstreamShape(
            "crm", pairs, **{"balance": "round_robin", "pool_max": 4, "pool_idle_s": 60.0, **shape}
        )
        self.endpoints = [
            Endpoint(
                *("crm", url, weight, Pool(self.loop, 4, 60.0), self.loop),  # type: ignore[arg-type]
                EndpointSeries(metrics, "crm", url.removeprefix("http://")),
            )
            for url, weight in pairs
        ]
        self.care(care)

    def care(self, care: Care) -> None:
        """A table with these rules comes into force."""
        self.upstream = Upstream(replace(self.shape, care=care), self.endpoints, random.Random(1))
        self.upstream.take_charge()

    def probe(self, name: str, results: str) -> None:
        """+ is a good probe, - a failed one."""
        for result in results:
            self.upstream.endpoint(name).standing.probed("" if result == "+" else "status 503")

    def fail(self, name: str, count: int = 1, cause: str = "503") -> None:
        for _ in range(count):
            self.upstream.endpoint(name).failed(cause)

    def state(self, name: str) -> str:
        return self.upstream.endpoint(name).standing.state

    @property
    def rotation(self) -> str:
        """The names of those that get requests."""
        return "".join(endpoint.name for endpoint in self.upstream.rotation)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a series."""
        for line in MetricsReader([self.memory]).text().decode().splitlines():
            series, _, value = line.rpartition(" ")
            if series.startswith(name + "{") and all(f'{key}="{text}"' in series for key, text in labels.items()):
                return float(value)
        raise KeyError(name)
