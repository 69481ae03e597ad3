"""One table as a worker serves it, from the moment it is built until the last exchange under it has ended."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from gateway.config.snapshot import Snapshot
from gateway.plugin_api import Exchange
from gateway.proxy.forward import Forwarder
from gateway.turns import Turns, undisturbed
from gateway.upstreams.registry import Upstream

T = TypeVar("T")

# How long what plugins do in the background of a table that is gone may go on.
GRACE_S = 5.0
# A whole collection stops the event loop for 15 to 30 ms: often enough that what is left out stays little.
THOROUGH_EVERY = 32

_log = logging.getLogger("gateway")


class Background:
    """What runs for nobody."""

    def __init__(self, refetch: Callable[[Exchange, dict[str, Any]], Awaitable[None]]) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self.refetch = refetch

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """See `plugin_api.PluginServices.spawn`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    async def close(self, grace_s: float = 0.0) -> None:
        """Cancel what has not ended by itself within grace_s."""
        tasks = list(self._tasks)
        if tasks and grace_s:
            await asyncio.wait(tasks, timeout=grace_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("work in the background failed", exc_info=error)


class Lasting:
    """What plugins keep beyond their table (`plugin_api.PluginServices.lasting`): each object until the last table that
    asked for it is closed.
    """

    def __init__(self) -> None:
        self._kept: dict[object, tuple[Any, set[Lent]]] = {}

    def find(self, key: object, build: Callable[[], T], lent: "Lent") -> T:
        if key not in self._kept:
            self._kept[key] = build(), set()
        found, users = self._kept[key]
        users.add(lent)
        made: T = found
        return made

    def release(self, lent: "Lent") -> list[Any]:
        """What nobody uses any more without that one."""
        unused = []
        for key, (found, users) in list(self._kept.items()):
            users.discard(lent)
            if not users:
                del self._kept[key]
                unused.append(found)
        return unused

    def __repr__(self) -> str:
        return f"<Lasting {len(self._kept)} objects>"


class Lent:
    """What the plugins of one table have of the worker. is_in_force: whether new exchanges are under this table."""

    def __init__(self, background: Background, lasting: Lasting) -> None:
        self.background = background
        self.is_in_force = False
        self._shared: dict[object, Any] = {}
        self._lasting = lasting

    def shared(self, key: object, build: Callable[[], T]) -> T:
        """See `plugin_api.PluginServices.shared`."""
        if key not in self._shared:
            self._shared[key] = build()
        found: T = self._shared[key]
        return found

    def lasting(self, key: object, build: Callable[[], T]) -> T:
        """See `plugin_api.PluginServices.lasting`."""
        return self._lasting.find(key, build, self)

    async def close(self, grace_s: float = 0.0) -> None:
        self.is_in_force = False
        await self.background.close(grace_s)
        parts = (*self._shared.values(), *self._lasting.release(self))
        # They know who lent them what they have, and what is in no cycle needs no collector.
        self._shared.clear()
        for part in parts:
            await close_part(part)


class Generation:
    """upstreams: those that its routes go to, in the table's order."""

    def __init__(self, snapshot: Snapshot, forwarder: Forwarder, upstreams: Sequence[Upstream], lent: Lent) -> None:
        self.snapshot = snapshot
        self.forwarder = forwarder
        self.upstreams = upstreams
        self.lent = lent

    async def close(self, grace_s: float = 0.0) -> None:
        """Close its plugins and what they shared. A fault of one does not keep the others from it."""
        turns = Turns()
        for plugin in self.snapshot.plugins:
            await close_part(plugin)
            await turns.pause()
        await self.lent.close(grace_s)

    def pieces(self) -> list[object]:
        """All that is large in it."""
        return [*self.snapshot.plugins, *self.forwarder.policies.values(), *self.snapshot.routes]

    def __repr__(self) -> str:
        return f"<Generation {self.snapshot.version} {self.snapshot.uses!r}>"


async def close_part(part: Any) -> None:
    """Call `close`, where it has one, and wait where that is to be waited for."""
    close = getattr(part, "close", None)
    if close is None:
        return
    try:
        result = close()
        if result is not None:
            await result
    except Exception:
        _log.exception("%s cannot be closed", type(part).__name__)


class Generations:
    """The table in force, those before it that still have exchanges, and perhaps one that is prepared.

    serve: gets the upstreams of the table in force, each time that others may have been built. count: told how many
    tables there are.
    """

    def __init__(
        self, first: Generation, serve: Callable[[Sequence[Upstream]], None], count: Callable[[float], None]
    ) -> None:
        self.current = first
        self.prepared: Generation | None = None
        self._serve = serve
        self._count = count
        self._alive = {first}
        self._closing: set[asyncio.Task[None]] = set()
        self._built = 0
        first.lent.is_in_force = True
        count(1)

    @contextmanager
    def building(self) -> Iterator[None]:
        """While another one is built to be `prepared`, beside requests."""
        self._built += 1
        with undisturbed(is_thorough=self._built % THOROUGH_EVERY == 0):
            yield

    def swap(self) -> Generation:
        """What was prepared is in force, and returned; the old one is closed when its last exchange has ended."""
        old, new = self.current, self.prepared
        assert new is not None
        self.current, self.prepared = new, None
        self._serve(new.upstreams)
        old.lent.is_in_force = False
        new.lent.is_in_force = True
        self._alive.add(new)
        self._count(len(self._alive))
        old.snapshot.uses.end(lambda: self._retire(old))
        return new

    async def abandon(self) -> None:
        """Forget what was prepared."""
        prepared, self.prepared = self.prepared, None
        if prepared is not None:
            await prepared.close()
            self._serve(self.current.upstreams)

    async def close(self) -> None:
        """All of them, whatever their exchanges do."""
        for task in list(self._closing):
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        for generation in list(self._alive):
            await generation.close()
        self._alive.clear()

    def _retire(self, generation: Generation) -> None:
        task = asyncio.get_running_loop().create_task(self._close(generation))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, generation: Generation) -> None:
        await generation.close(GRACE_S)
        self._alive.discard(generation)
        self._count(len(self._alive))
        # To free it takes a while as well: 12 ms in one piece, with 577 routes.
        pieces = generation.pieces()
        del generation
        turns = Turns()
        while pieces:
            pieces.pop()
            await turns.pause()

    def __repr__(self) -> str:
        return f"<Generations {self.current!r} and {len(self._alive) - 1} before it>"
