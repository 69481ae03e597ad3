"""What the gateway lends to plugins, in a form that a test holds in its hands."""

import logging
from collections import Counter as Counts
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter

from gateway.config.offline import NothingKept
from gateway.core.headers import Headers
from gateway.plugin_api import Exchange, IdentityClaims, Plugin, Reply, RouteInfo
from gateway.stores.in_flight import WorkerInFlight
from gateway.stores.local import LocalLimits
from gateway.stores.memory import MemoryLimits
from gateway.stores.memory_claims import MemoryClaims

ROUTE = RouteInfo(id="crm", pattern="/api/v1/crm/*", methods=None, upstream="crm", policies={"auth": "main"})


class LentCounter:
    def __init__(self, counts: Counts[tuple[str, ...]], series: tuple[str, ...]) -> None:
        self._counts, self._series = counts, series

    def inc(self, amount: float = 1.0) -> None:
        self._counts[self._series] += int(amount)


class LentMetrics:
    """counts: (name, label values in the order of the labels' names) -> how often."""

    def __init__(self) -> None:
        self.counts: Counts[tuple[str, ...]] = Counts()

    def counter(self, name: str, help_text: str, **labels: str) -> LentCounter:
        return LentCounter(self.counts, (name, *(labels[label] for label in sorted(labels))))


class LentServices:
    """now_s: the wall clock and the monotonic one, moved by the test. documents: url -> bytes or an error to raise.
    last: what lasts; give it to the services of the next table.
    """

    def __init__(self, section: Any = None, identity: IdentityClaims | None = None) -> None:
        self.section = section
        self.identity = identity or IdentityClaims()
        self.now_s = 1_000_000.0
        self.limits: Any = MemoryLimits(self.now_ms)
        self.local_limits: Any = LocalLimits(self.now_ms, workers=4)
        self.claims: Any = MemoryClaims(self.monotonic)
        self.kept: Any = NothingKept()
        self.spawned: list[Any] = []
        self.refetched: list[tuple[Exchange, dict[str, Any]]] = []
        self.live_workers = 1
        self.in_flight: Any = WorkerInFlight(lambda: self.live_workers)
        self.metrics = LentMetrics()
        self.log = logging.getLogger("gateway.plugins.test")
        self.worker_count = 4
        self.documents: dict[str, bytes | Exception] = {}
        self.fetched: list[str] = []
        self.in_force = True
        self.last: dict[object, Any] = {}
        self._shared: dict[object, Any] = {}

    def now(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic(self) -> float:
        return self.now_s - 500.0

    def shared(self, key: object, build: Callable[[], Any]) -> Any:
        if key not in self._shared:
            self._shared[key] = build()
        return self._shared[key]

    def lasting(self, key: object, build: Callable[[], Any]) -> Any:
        if key not in self.last:
            self.last[key] = build()
        return self.last[key]

    def is_in_force(self) -> bool:
        return self.in_force

    async def fetch(self, url: str, *, timeout_s: float, size_max: int) -> bytes:
        self.fetched.append(url)
        document = self.documents[url]
        if isinstance(document, Exception):
            raise document
        return document

    async def run_in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    def spawn(self, work: Any) -> None:
        self.spawned.append(work)

    async def refetch(self, exchange: Exchange, state: dict[str, Any]) -> None:
        self.refetched.append((exchange, state))

    async def dispatch(self, exchange: Exchange) -> Reply:
        raise AssertionError("no plugin of these tests dispatches")


def build(plugin: Any, policy: Any, services: Any = None, route: RouteInfo = ROUTE) -> Any:
    """A plugin from its policy as it stands in routes.yaml, the section of `services` likewise."""
    services = services or LentServices()
    if plugin.Section is not None and services.section is not None:
        services.section = TypeAdapter(plugin.Section).validate_python(services.section)
    assert issubclass(plugin, Plugin)
    return plugin(TypeAdapter(plugin.Policy).validate_python(policy), route, services)


def exchange_of(*lines: tuple[bytes, bytes], client_ip: str = "192.0.2.7") -> Exchange:
    """A GET request with these header lines."""
    return Exchange(method="GET", target="/api/v1/crm/contacts", headers=Headers(lines), client_ip=client_ip)
