"""What `cache: {warm: …}` does: asks for paths before a client does, so that their replies are kept by then.

For a tenant when it comes back after a pause, with the credential that it came with, and every so often while it is
there; for routes whose replies are shared by all, every so often, as by nobody, for the hosts that were asked for.
Each of these requests goes through the whole pipeline as if the client had sent it, but takes no tokens of its limits.
There are never more than a few at once, and none while the event loop is behind with the clients' own.
"""

import asyncio
from collections import OrderedDict, deque
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.core.headers import Headers
from gateway.core.scalars import Duration, Settings
from gateway.core.schema_hints import written
from gateway.plugin_api import Exchange, PluginServices

AT_ONCE: Final = 2
WAITING_MAX: Final = 200
TENANTS_MAX: Final = 1_000
HOSTS_MAX: Final = 8
LATE_S: Final = 0.005
BREATHER_S: Final = 0.05

_OF_SOMEBODY: Final = frozenset({b"authorization", b"cookie", b"x-api-key"})
_NONE: Final[frozenset[bytes]] = frozenset()
_NOT_TAKEN_ALONG: Final = frozenset(
    {
        *(b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since", b"if-range", b"range"),
        *(b"content-length", b"content-type", b"cache-control", b"pragma", b"idempotency-key"),
    }
)


def _targets(paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path or "#" in path:
            raise ValueError(f'"{path}" is not a path: write it as a client asks for it, like /api/v1/crm/contacts')
    return paths


WarmPath = Annotated[str, written(r"^/[!\"$-~]*$", "/api/v1/crm/contacts")]
_WarmPaths = Annotated[tuple[WarmPath, ...], Field(min_length=1, max_length=50)]


class WarmSettings(Settings):
    """What to ask for ahead. The short form is the list of paths."""

    paths: Annotated[tuple[WarmPath, ...], Field(min_length=1, max_length=50), AfterValidator(_targets)] = Field(
        description="As a client asks for them, with their query"
    )
    every: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None, description="How often, for tenants that are there; left out: only when one comes back"
    )
    after: Annotated[Duration, Field(gt=0)] = Field(
        default=900.0, description="How long a tenant has to be away to come back"
    )


def _read_short(value: Any) -> Any:
    return {"paths": value} if isinstance(value, list) else value


Warm = Annotated[WarmSettings, BeforeValidator(_read_short, json_schema_input_type=_WarmPaths | WarmSettings)]


class Seen:
    """Who is there; it outlives a table, after which nobody has come back. What is kept are copies of requests, which
    hold no route.
    """

    def __init__(self) -> None:
        # Tenant -> when it was last seen, and a request of it: the oldest first.
        self.tenants: OrderedDict[str, tuple[float, Exchange]] = OrderedDict()
        # A request of each scheme and host that clients ask for.
        self.hosts: dict[tuple[str, str], Exchange] = {}

    def __repr__(self) -> str:
        return f"<Seen {len(self.tenants)} tenants, {len(self.hosts)} hosts>"


class Warming:
    """One for all routes of a table."""

    def __init__(self, services: PluginServices, seen: Seen) -> None:
        self._services = services
        self._known: list[WarmSettings] = []
        self._on_return: list[WarmSettings] = []
        self._seen = seen.tenants
        self._hosts = seen.hosts
        self._waiting: deque[Exchange] = deque()
        self._running = 0
        self.is_needed = False
        """Whether `see` has anything to do: asked of every request."""

    def add(self, settings: WarmSettings, *, is_public: bool) -> None:
        """What a route wants; once for a route, also where it goes to several upstreams."""
        if any(known is settings for known in self._known):
            return
        self._known.append(settings)
        self.is_needed = True
        if not is_public:
            self._on_return.append(settings)
        if settings.every is not None:
            self._services.spawn(self._keep_warm(settings, settings.every, is_public=is_public))

    def see(self, exchange: Exchange) -> None:
        """A request has come."""
        if exchange.is_background:
            return
        host = exchange.scheme, exchange.authority
        if host not in self._hosts and len(self._hosts) < HOSTS_MAX:
            self._hosts[host] = _request(exchange, exchange.target, _NONE)
        identity = exchange.identity
        if identity is None or not identity.tenant:
            return
        now_s = self._services.monotonic()
        seen = self._seen.pop(identity.tenant, None)
        if seen is not None and now_s - seen[0] < 1.0:
            # Once a second is often enough to know that it is there.
            self._seen[identity.tenant] = seen
            return
        self._seen[identity.tenant] = now_s, _request(exchange, exchange.target, _NONE)
        if len(self._seen) > TENANTS_MAX:
            self._seen.popitem(last=False)
        for settings in self._on_return:
            if seen is None or now_s - seen[0] >= settings.after:
                self._ask(exchange, settings.paths)

    async def _keep_warm(self, settings: WarmSettings, every_s: float, *, is_public: bool) -> None:
        while True:
            await asyncio.sleep(every_s)
            if not self._services.is_in_force():
                continue
            if is_public:
                for exchange in self._hosts.values():
                    self._ask(exchange, settings.paths, is_public=True)
                continue
            now_s = self._services.monotonic()
            for seen_s, exchange in list(self._seen.values()):
                if now_s - seen_s < settings.after:
                    self._ask(exchange, settings.paths)

    def _ask(self, exchange: Exchange, paths: tuple[str, ...], *, is_public: bool = False) -> None:
        left_out = _NOT_TAKEN_ALONG | _OF_SOMEBODY if is_public else _NOT_TAKEN_ALONG
        for path in paths:
            if len(self._waiting) < WAITING_MAX:
                self._waiting.append(_request(exchange, path, left_out))
        while self._running < AT_ONCE and self._running < len(self._waiting):
            self._running += 1
            self._services.spawn(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._until_idle()
                if self._waiting:
                    exchange = self._waiting.popleft()
                    exchange.started_s = self._services.monotonic()
                    try:
                        await self._services.dispatch(exchange)
                    except OSError as error:
                        self._services.log.info("a path could not be asked for ahead: %s", error)
        finally:
            self._running -= 1

    async def _until_idle(self) -> None:
        """Let the clients' requests go first."""
        loop = asyncio.get_running_loop()
        while True:
            before_s = loop.time()
            await asyncio.sleep(0)
            if loop.time() - before_s < LATE_S:
                return
            await asyncio.sleep(BREATHER_S)

    def __repr__(self) -> str:
        return f"<Warming {len(self._seen)} tenants, {len(self._waiting)} waiting, {self._running} running>"


def _request(exchange: Exchange, path: str, left_out: frozenset[bytes]) -> Exchange:
    """A GET of the path, as the one who sent the exchange would send it, less some header fields."""
    made = Exchange(
        method="GET",
        target=path,
        headers=Headers([line for line in exchange.headers if line[0] not in left_out]),
        scheme=exchange.scheme,
        authority=exchange.authority,
        peer_ip=exchange.peer_ip,
        client_ip=exchange.client_ip,
        is_trusted_peer=exchange.is_trusted_peer,
        request_id=f"{exchange.request_id.removesuffix('.warm')}.warm",
        traceparent=exchange.traceparent,
    )
    made.is_background = True
    return made
