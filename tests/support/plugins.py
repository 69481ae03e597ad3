"""A plugin alone: built from its policy as it stands in routes.yaml, with services of the test."""

import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import TypeAdapter

from gateway.core.headers import Headers
from gateway.plugin_api import BodyStream, Exchange, Plugin, Reply, RouteInfo
from gateway.stores.memory_claims import MemoryClaims

T = TypeVar("T")
P = TypeVar("P", bound=Plugin)


class CountingMetrics:
    """Counters by name and labels."""

    def __init__(self) -> None:
        self.counts: dict[tuple[Any, ...], float] = {}

    def counter(self, name: str, help_text: str, **labels: str) -> "CountingMetrics.Series":
        key = (name, *sorted(labels.items()))
        self.counts.setdefault(key, 0.0)
        return CountingMetrics.Series(self.counts, key)

    class Series:
        def __init__(self, counts: dict[tuple[Any, ...], float], key: tuple[Any, ...]) -> None:
            self._counts, self._key = counts, key

        def inc(self, amount: float = 1.0) -> None:
            self._counts[self._key] += amount


class LentServices:
    """What a plugin gets from the gateway, without the gateway."""

    def __init__(self, section: Any = None) -> None:
        self.section = section
        self.metrics = CountingMetrics()
        self.log = logging.getLogger("gateway.test")
        self.worker_count = 1
        self.clock_s = 1000.0
        self.claims: Any = MemoryClaims(self.monotonic)
        self.dispatched: list[Exchange] = []
        self.on_dispatch: Callable[[Exchange], Any] = lambda exchange: Reply(200)
        self.in_thread: list[str] = []
        self._shared: dict[object, Any] = {}

    def now(self) -> float:
        return self.clock_s

    def monotonic(self) -> float:
        return self.clock_s

    def shared(self, key: object, build: Callable[[], T]) -> T:
        if key not in self._shared:
            self._shared[key] = build()
        return self._shared[key]

    async def run_in_thread(self, function: Callable[..., T], *args: Any) -> T:
        self.in_thread.append(function.__name__)
        return function(*args)

    async def dispatch(self, exchange: Exchange) -> Reply:
        self.dispatched.append(exchange)
        reply = self.on_dispatch(exchange)
        return await reply if inspect.isawaitable(reply) else reply


def build(
    kind: type[P],
    policy: Any,
    services: LentServices | None = None,
    *,
    pattern: str = "/api/*",
    methods: Iterable[str] | None = None,
) -> P:
    """The plugin for one route. policy: as YAML gives it. Raises pydantic.ValidationError or PolicyError."""
    parsed = TypeAdapter(kind.Policy).validate_python(policy)
    route = RouteInfo("test", pattern, None if methods is None else frozenset(methods), None, {kind.name: parsed})
    return kind(parsed, route, services or LentServices())  # type: ignore[arg-type]


def exchange(
    method: str = "GET",
    target: str = "/api/x",
    headers: dict[str, str] | None = None,
    body: bytes | BodyStream = b"",
    **more: Any,
) -> Exchange:
    """A request as a lane and the router leave it."""
    lines = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    made = Exchange(method=method, target=target, headers=Headers(lines), body=body, request_id="r1", **more)
    made.path, _, made.query = target.partition("?")
    return made


def reply(status: int = 200, headers: dict[str, str] | None = None, body: bytes | BodyStream = b"") -> Reply:
    """A reply as an upstream sends it."""
    return Reply(
        status, Headers([(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]), body
    )


class Pieces:
    """A `BodyStream` of the given pieces."""

    def __init__(self, *pieces: bytes, length: int | None = None) -> None:
        self._pieces = list(pieces)
        self.length = length
        self.is_closed = False

    @property
    def has_buffered(self) -> bool:
        return bool(self._pieces)

    async def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def close(self) -> None:
        self.is_closed = True
