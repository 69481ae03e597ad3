"""One compiled routes.yaml: frozen, read once per request, swapped whole and never edited."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.config.model import Retry, Table
from gateway.config.precautions import Hedge, Priority
from gateway.config.problems import Problem
from gateway.config.shares import Mirror, SplitPart
from gateway.core.routing import Router
from gateway.plugin_api import BodyTransform, Exchange, Plugin, Reply, RouteInfo, UpstreamCall

RequestHook = Callable[[Exchange], "Reply | Awaitable[Reply | None] | None"]
ExchangeHook = Callable[[Exchange], None]
TransformHook = Callable[[Exchange], BodyTransform | None]
TargetRewrite = Callable[[Exchange], str]
PathRewrite = Callable[[str], str]


class Uses:
    """How many exchanges a snapshot serves: counted by the pipeline, since a table that was replaced is closed with its
    last one. on_last: called once, when `end` was and none is left.
    """

    __slots__ = ("_on_last", "count")

    def __init__(self) -> None:
        self.count = 0
        self._on_last: Callable[[], None] | None = None

    def leave(self) -> None:
        """An exchange that was counted has ended."""
        self.count -= 1
        if not self.count and self._on_last is not None:
            self._finish()

    def end(self, on_last: Callable[[], None]) -> None:
        """No further exchange will be counted."""
        self._on_last = on_last
        if not self.count:
            self._finish()

    def _finish(self) -> None:
        on_last, self._on_last = self._on_last, None
        if on_last is not None:
            on_last()

    def __repr__(self) -> str:
        return f"<Uses {self.count}{' and no more' if self._on_last is not None else ''}>"


@dataclass(frozen=True)
class Unwinding:
    """What runs on the way back, last plugin first, once a given number of plugins were entered."""

    on_response: tuple[ExchangeHook, ...]
    body_transforms: tuple[TransformHook, ...]
    on_finish: tuple[ExchangeHook, ...]


@dataclass(frozen=True)
class CompiledRoute:
    """A route with everything resolved.

    request_hooks[i] is the i-th `on_request` to run, and unwinding[i] what has to run on the way back when that one
    answers or raises; unwinding[-1] is for the exchange that went all the way. call: to the upstream, through every
    `wrap_upstream`; None where a plugin always answers. rewrite: the target for the upstream; None: as it came.
    location: its way back, for a reply's Location. retry, hedge: None is never. sends_timeout: the upstream is
    told what is left of total_timeout_s. Times are seconds, None is no limit; body_max
    is bytes. position is `file:line:column`. uses: of its snapshot. split: the upstreams with their shares, else empty;
    legs: by upstream, the route as it goes on once that is chosen (`splitting.py`). mirror: None is no copies.
    """

    info: RouteInfo
    position: str
    request_hooks: tuple[RequestHook, ...]
    unwinding: tuple[Unwinding, ...]
    call: UpstreamCall | None
    rewrite: TargetRewrite | None
    connect_timeout_s: float
    total_timeout_s: float | None
    idle_timeout_s: float | None
    body_max: int
    plugins: tuple[Plugin, ...]
    location: PathRewrite | None = None
    retry: Retry | None = None
    uses: Uses = field(default_factory=Uses)
    hedge: Hedge | None = None
    priority: Priority = "normal"
    sends_timeout: bool = False
    split: tuple[SplitPart, ...] = ()
    legs: "Mapping[str, CompiledRoute]" = field(default_factory=dict)
    mirror: Mirror | None = None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A route that is broken in a table with `on_invalid: partial`, and why."""

    route: str
    position: str
    problems: tuple[Problem, ...]

    def __reduce__(self) -> tuple[object, ...]:
        # Compiled, a class has no other way into a parcel.
        return Quarantined, (self.route, self.position, self.problems)


@dataclass(frozen=True)
class Snapshot:
    """version: a digest of every file that the table was made of. fallback: runs the EDGE plugins of `defaults` for
    requests that no route serves, so that a 404 carries CORS headers as well. plugins:
    every one that was built, to be closed with it. config: the table as data, without secrets. uses: the exchanges
    that it serves. quarantined: the routes that answer 503, for they are broken.
    """

    version: str
    table: Table
    routes: tuple[CompiledRoute, ...]
    router: "Router[CompiledRoute]"
    fallback: CompiledRoute
    warnings: tuple[Problem, ...]
    plugins: tuple[Plugin, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    uses: Uses = field(default_factory=Uses)
    quarantined: tuple[Quarantined, ...] = ()
