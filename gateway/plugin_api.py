"""Everything that a plugin may know: `Plugin`, `Exchange`, `Reply`, `PluginServices`.

A plugin is one class in one file, named as its key in routes.yaml. One object of it is built for each route that has
the policy, when the table is loaded; `plugins/example.py` shows every hook.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, Final, Protocol, TypeVar

from mypy_extensions import mypyc_attr

from gateway.core.headers import Headers
from gateway.core.identity import Identity
from gateway.core.kept_replies import KeptReplies
from gateway.core.rate_limit import Decision, Window

T = TypeVar("T")


class Stage(IntEnum):
    """When a plugin runs: the one documented, safe order. Within a stage, the order of the plugins' names."""

    EDGE = 10
    """Before anybody is known: cors, headers."""
    IDENTITY = 20
    """Who is it: auth, maintenance."""
    ADMISSION = 30
    """May it, and how often: allow, limit."""
    CACHE = 40
    """Is there an answer already: cache, idempotency."""
    TRANSFORM = 50
    """Change the request or the reply: compress."""
    LOCAL = 60
    """Answer instead of an upstream: batch, redirect, respond, mock, fault."""


class BodyStream(Protocol):
    """A body that moves in pieces. Only one reader at a time."""

    @property
    def length(self) -> int | None:
        """All bytes of the body, or None where that is not known before its end."""

    @property
    def has_buffered(self) -> bool:
        """Whether the next `read` returns without waiting."""

    async def read(self) -> bytes:
        """The next piece, never empty before the end; b"" at the end. Raises GatewayError where the body breaks off."""

    def close(self) -> None:
        """Give the rest up. Harmless after the end."""


class BodyTransform(Protocol):
    """Turns a reply's body into another while it moves (compression, say)."""

    def feed(self, piece: bytes) -> bytes:
        """Take one piece; what is ready of the result."""

    def flush(self) -> bytes:
        """All that was fed so far, so that a slow stream leaves at once."""

    def finish(self) -> bytes:
        """The rest."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Reply:
    """A reply on its way to the client.

    status: 200..599. headers: without Content-Length, Transfer-Encoding, Connection and Date, which are the lane's.
    body: whole bytes, or a stream. length: the Content-Length where there is no body to count (HEAD, 304), else None.
    """

    __slots__ = ("body", "close", "headers", "length", "status", "trailers")

    def __init__(
        self,
        status: int,
        headers: Headers | None = None,
        body: bytes | BodyStream = b"",
        *,
        length: int | None = None,
        close: bool = False,
    ) -> None:
        self.status = status
        self.headers = Headers() if headers is None else headers
        self.body = body
        self.length = length
        self.close = close
        self.trailers: Headers | None = None

    def __repr__(self) -> str:
        size = f"{len(self.body)} bytes" if isinstance(self.body, bytes) else "stream"
        return f"<Reply {self.status} {size}>"


class Later:
    """What a request hook may return where it waits for one thing only: a lane that has no task needs none for it.

    future: what is waited for. then: what the hook does once that is done, perhaps with an exception; its result or
    GatewayError is the hook's.
    """

    __slots__ = ("future", "then")

    def __init__(self, future: "asyncio.Future[Any]", then: "Callable[[asyncio.Future[Any]], Reply | None]") -> None:
        self.future = future
        self.then = then

    async def wait(self) -> Reply | None:
        """The hook's result. Raises GatewayError."""
        try:
            await self.future
        except Exception:  # noqa: S110 - the hook's own business
            pass
        return self.then(self.future)

    def __await__(self) -> Generator[Any, Any, Reply | None]:
        return self.wait().__await__()


class Exchange:
    """One request and, in time, its reply.

    Set by the lane: method, target (as sent, origin form), scheme ("http" or "https"), authority (the Host, lower
    case), headers (of the request; forwarded as hooks leave them, less hop-by-hop and identity fields), body, peer_ip,
    client_ip (behind trusted proxies), request_id, started_s (monotonic clock).
    Set by the router: path (normal form), query (as sent, without "?"), route, params (decoded path parameters).
    Set by plugins: identity, state[plugin name] for what a plugin keeps between its hooks, verdicts[plugin name] for
    one word in the access log.
    is_background: nobody waits for it (what is fetched ahead, say), so no limit counts it.
    Set by the forwarder: endpoint, attempts, upstream_s. Set at the end: reply, bytes_out, outcome.
    """

    __slots__ = (
        "attempt",
        "attempts",
        "authority",
        "body",
        "bytes_in",
        "bytes_out",
        "client_ip",
        "compiled",
        "deadline_s",
        "endpoint",
        "error_code",
        "forwarder",
        "headers",
        "hooks_run",
        "identity",
        "is_background",
        "is_trusted_peer",
        "method",
        "outcome",
        "params",
        "parent",
        "path",
        "peer_ip",
        "query",
        "refusal",
        "reply",
        "request_id",
        "route",
        "scheme",
        "send_interim",
        "started_s",
        "state",
        "target",
        "traceparent",
        "upstream_s",
        "upstream_started_s",
        "verdicts",
    )

    def __init__(
        self,
        *,
        method: str,
        target: str,
        headers: Headers,
        body: bytes | BodyStream = b"",
        scheme: str = "http",
        authority: str = "",
        peer_ip: str = "",
        client_ip: str = "",
        is_trusted_peer: bool = False,
        request_id: str = "",
        traceparent: bytes = b"",
        started_s: float = 0.0,
        parent: "Exchange | None" = None,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.scheme = scheme
        self.authority = authority
        self.peer_ip = peer_ip
        self.client_ip = client_ip
        self.is_trusted_peer = is_trusted_peer
        self.is_background = False
        self.request_id = request_id
        self.traceparent = traceparent
        self.started_s = started_s
        self.parent = parent
        self.path = ""
        self.query = ""
        self.route: RouteInfo | None = None
        # The gateway's own: the compiled route (plugins use `route`), what forwards for it where no plugin wraps the
        # call, how many of its hooks were entered, and why no route serves the request.
        self.compiled: Any = None
        self.forwarder: Any = None
        self.hooks_run = 0
        self.refusal: Exception | None = None
        self.params: Mapping[str, str] = _NO_PARAMS
        self.identity: Identity | None = None
        self.state: dict[str, Any] = {}
        self.verdicts: dict[str, str] = {}
        self.deadline_s: float | None = None
        self.endpoint = ""
        self.attempts = 0
        # The forwarder's own, of the attempt under way; None where it has nothing to remember.
        self.attempt: Any = None
        self.upstream_s = 0.0
        self.upstream_started_s = 0.0
        self.bytes_in = 0
        self.bytes_out = 0
        self.outcome = ""
        self.error_code = ""
        self.reply: Reply | None = None
        self.send_interim: Callable[[int, Headers], None] | None = None

    def __repr__(self) -> str:
        return f"<Exchange {self.request_id} {self.method} {self.path or self.target.partition('?')[0]}>"


_NO_PARAMS: Final[Mapping[str, str]] = {}

UpstreamCall = Callable[[Exchange], Awaitable[Reply]]
"""Sends the request on and returns the reply's head with its body still moving. Raises GatewayError."""


class PolicyError(Exception):
    """A policy that parses but cannot work, raised while a plugin is built: becomes `file:line:column: code: message`.

    path: where below the policy, as keys and indexes. section: the fault is in the plugin's top-level section.
    """

    def __init__(self, message: str, *, code: str = "invalid", path: tuple[str | int, ...] = (), section: bool = False):
        super().__init__(message)
        self.code = code
        self.path = path
        self.section = section


@dataclass(frozen=True)
class RouteInfo:
    """What a plugin may know of its route. policies: plugin name -> the policy in force (absent: none). upstream: None
    where the route answers itself; with a `split`, for plugins before Stage.CACHE, which run before one is chosen.
    """

    id: str
    pattern: str
    methods: frozenset[str] | None
    upstream: str | None
    policies: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class IdentityClaims:
    """Which claims say who the caller is: dotted names, as in the `identity` section."""

    tenant: str = "tenant_id"
    user: str = "sub"
    plan: str = "plan"
    scopes: str = "scope"
    default_plan: str = "free"


class Counter(Protocol):
    """One series of a metric."""

    def inc(self, amount: float = 1.0) -> None:
        """Add to it."""


class Metrics(Protocol):
    """Where a plugin counts. Ask for each series once, at load, and keep it."""

    def counter(self, name: str, help_text: str, **labels: str) -> Counter:
        """The series of that name and labels; the name without the `_total` that the exposition adds."""


class RateLimitStore(Protocol):
    """Token buckets. A result may be there at once (memory) or come later (Redis)."""

    def take(self, key: str, windows: tuple[Window, ...], cost: int = 1) -> "Decision | asyncio.Future[Decision]":
        """Take `cost` tokens from every window of the key, or from none; cost 0 looks only. Raises StoreDown, at once
        or when awaited.
        """


class InFlight(Protocol):
    """Requests under way, by key."""

    def enter(self, key: str, concurrent: int) -> bool:
        """Count one more, if at most so many are then under way; each that was counted has to `leave`."""

    def leave(self, key: str) -> None:
        """One has ended."""


REPEATABLE = "repeatable"
"""Set in `Exchange.state` where the request says which one it is (by an Idempotency-Key, say), so that an upstream
which gets it twice can carry it out once.
"""

LIMITS_REPORT = "limit.report"
"""The key of `Exchange.state` under which `limit` leaves how the caller stands, for `respond: limits`."""


class ClaimStore(Protocol):
    """Values that belong to whoever claimed their key first, until they end by themselves."""

    async def claim(self, key: str, value: bytes, for_s: float) -> bytes | None:
        """Write the value for so long and return None; or return the value that stands there. Raises StoreDown."""

    async def replace(self, key: str, value: bytes, new: bytes, for_s: float) -> bool:
        """Write another value in place of `value`, b"" to free the key, the same to renew it. False, and nothing is
        done, where that value does not stand there any more. Raises StoreDown.
        """


class StoreDown(Exception):  # noqa: N818 - a state of the store, named as operators know it
    """The shared store did not answer within its deadline, or its breaker is open."""


class PluginServices(Protocol):
    """What the gateway lends to plugins."""

    @property
    def section(self) -> Any:
        """The plugin's top-level section, parsed by `Plugin.Section`; None where routes.yaml has none."""

    @property
    def identity(self) -> IdentityClaims:
        """Which claims say who the caller is."""

    @property
    def limits(self) -> RateLimitStore:
        """The shared buckets."""

    @property
    def local_limits(self) -> RateLimitStore:
        """This worker's share of the shared buckets, for when the shared store is down."""

    @property
    def in_flight(self) -> InFlight:
        """Requests under way. Outlives the table."""

    @property
    def claims(self) -> ClaimStore:
        """Who was first, over all gateways of the store; with memory://, in this worker."""

    @property
    def kept(self) -> KeptReplies:
        """The replies that this worker and the store keep; it outlives a table."""

    @property
    def metrics(self) -> Metrics:
        """Where to count."""

    @property
    def log(self) -> logging.Logger:
        """Where to say what operators should know."""

    @property
    def worker_count(self) -> int:
        """Worker processes of this gateway."""

    def now(self) -> float:
        """Wall clock in seconds since the epoch."""

    def monotonic(self) -> float:
        """The event loop's clock in seconds."""

    def shared(self, key: object, build: Callable[[], T]) -> T:
        """One object for all routes of this snapshot with this plugin and key; `close()`d with the snapshot."""

    def lasting(self, key: object, build: Callable[[], T]) -> T:
        """As `shared`, but the next table of this worker gets the same object where it asks with the same key: so the
        key has to say everything that shapes it. `close()`d with the last table that asked.
        """

    def is_in_force(self) -> bool:
        """Whether new exchanges are under this table: not yet while it is built, and no more once it was replaced."""

    async def fetch(self, url: str, *, timeout_s: float, size_max: int) -> bytes:
        """GET a document of the gateway's own configuration (a JWK set). Raises OSError or ValueError."""

    async def run_in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run what would hold up the event loop."""

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run in the background what nobody waits for; it is cancelled when the worker ends, and a fault is logged."""

    async def refetch(self, exchange: Exchange, state: dict[str, Any]) -> None:
        """Send the request of an exchange to its upstream once more, as a further exchange with this `state`: without
        its request hooks, through `wrap_upstream` and the response hooks. Nobody gets the reply.
        """

    async def dispatch(self, exchange: Exchange) -> Reply:
        """Send a further exchange through the whole pipeline, as if a client had sent it; its body is read whole."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Plugin:
    """Base of all plugins. Define only the hooks that are needed: on_request, on_response, on_finish, body_transform,
    wrap_upstream, close (see `plugins/example.py`). The class attributes say how it stands in routes.yaml.

    Another method is optional: `explain(exchange)`, asked only of exchanges that are explained, returns what the plugin
    did as a mapping of JSON's types, with the `key` under which it counted or kept something; or None.
    """

    name: ClassVar[str]
    """Its key on a route and under `defaults`."""
    stage: ClassVar[Stage]
    Policy: ClassVar[Any]
    """What stands under the key: a pydantic model or an annotated type; short forms are its before-validators."""
    section_name: ClassVar[str] = ""
    Section: ClassVar[Any] = None
    """The plugin's top-level section and its type, where it has one."""
    is_answering: ClassVar[bool] = False
    """Whether it always replies itself, so that the route has it instead of `to`."""
    required_hint: ClassVar[str] = ""
    """Set where each route must have the policy or say `none`: what to tell an operator who did neither."""
    compare: ClassVar[Any] = None
    """What a change of the policy means, for `gateway diff`: (old, new: core.changes.Side) -> Iterable[Change]; None:
    told by the stage. compare_section: likewise of the top-level section.
    """
    compare_section: ClassVar[Any] = None
    is_in_force: ClassVar[bool] = True
    """False for a policy of the contract that this version only reads; `gateway check` says so."""

    def __init__(self, policy: Any, route: RouteInfo, services: PluginServices) -> None:
        """Resolve everything here, once. Raises PolicyError."""


HOOKS = ("on_request", "on_response", "on_finish", "body_transform", "wrap_upstream", "close")
