"""Plugin services without a network, a store or a clock: enough to build every plugin and so to check a table."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gateway.config.load import LoadedTable
from gateway.core.cache_reply import StoredReply
from gateway.core.kept_replies import Answer, CacheKey, Purge, Sought, Ticket, Variant
from gateway.core.rate_limit import Decision, Window
from gateway.plugin_api import (
    ClaimStore,
    Counter,
    Exchange,
    InFlight,
    Metrics,
    Plugin,
    PluginServices,
    RateLimitStore,
    Reply,
    StoreDown,
)

T = TypeVar("T")


class _NoCounter:
    def inc(self, amount: float = 1.0) -> None:
        """Nobody reads it."""


class _NoMetrics:
    def counter(self, name: str, help_text: str, **labels: str) -> Counter:
        """A series that nobody reads."""
        return _NoCounter()


class _NoStore:
    def take(self, key: str, windows: tuple[Window, ...], cost: int = 1) -> Decision:
        """There is no store here."""
        raise StoreDown("no store while a table is checked")

    async def claim(self, key: str, value: bytes, for_s: float) -> bytes | None:
        """There is no store here."""
        raise StoreDown("no store while a table is checked")

    async def replace(self, key: str, value: bytes, new: bytes, for_s: float) -> bool:
        """There is no store here."""
        raise StoreDown("no store while a table is checked")


class NothingKept:
    """`KeptReplies` without any."""

    mark = 0

    def find_local(self, key: CacheKey) -> list[Variant] | None:
        """Nothing is kept."""
        return None

    async def look(self, sought: Sought) -> StoredReply | None:
        """Nothing is kept."""
        return None

    async def find(self, sought: Sought) -> Answer | Ticket | None:
        """Nothing is kept."""
        return None

    async def begin(self, sought: Sought) -> Ticket | None:
        """Nothing is kept."""
        return None

    def keep(self, ticket: Ticket, stored: StoredReply) -> None:
        """There are no tickets here."""

    def give_up(self, ticket: Ticket, *, is_kept: bool = True) -> None:
        """There are no tickets here."""

    async def purge(self, purge: Purge) -> None:
        """Nothing is kept."""


class _NothingInFlight:
    def enter(self, key: str, concurrent: int) -> bool:
        """Nothing is served, so nothing is too much."""
        return True

    def leave(self, key: str) -> None:
        """Nothing was counted."""


class OfflineServices:
    """`PluginServices` for one plugin of a table that is only checked."""

    def __init__(self, loaded: LoadedTable, plugin: type[Plugin]) -> None:
        self.section: Any = loaded.section(plugin)
        self.identity = loaded.table.identity.claims()
        self.limits: RateLimitStore = _NoStore()
        self.local_limits: RateLimitStore = _NoStore()
        self.claims: ClaimStore = _NoStore()
        self.kept = NothingKept()
        self.in_flight: InFlight = _NothingInFlight()
        self.metrics: Metrics = _NoMetrics()
        self.log = logging.getLogger(f"plugins.{plugin.name}")
        self.worker_count = 1
        self._shared: dict[object, Any] = {}

    def now(self) -> float:
        """Always the epoch."""
        return 0.0

    def monotonic(self) -> float:
        """Always zero."""
        return 0.0

    def shared(self, key: object, build: Callable[[], T]) -> T:
        """One object for the plugin and key."""
        if key not in self._shared:
            self._shared[key] = build()
        found: T = self._shared[key]
        return found

    def lasting(self, key: object, build: Callable[[], T]) -> T:
        """As `shared`: there is no next table here."""
        return self.shared(("lasting", key), build)

    def is_in_force(self) -> bool:
        """Nothing is served while a table is checked."""
        return False

    async def fetch(self, url: str, *, timeout_s: float, size_max: int) -> bytes:
        """Nothing is fetched while a table is checked."""
        raise OSError("no network while a table is checked")

    async def run_in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run it at once."""
        return function(*args)

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Nothing runs while a table is checked."""
        work.close()

    async def refetch(self, exchange: Exchange, state: dict[str, Any]) -> None:
        """Nothing is served while a table is checked."""
        raise OSError("no upstream while a table is checked")

    async def dispatch(self, exchange: Exchange) -> Reply:
        """Nothing is served while a table is checked."""
        raise OSError("no pipeline while a table is checked")


def offline_services(loaded: LoadedTable) -> Callable[[type[Plugin]], PluginServices]:
    """For `compile_snapshot`, where a table is checked and not served."""
    return lambda plugin: OfflineServices(loaded, plugin)
