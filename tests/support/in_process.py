"""A worker's pipeline without sockets: a table, the real plugins, what keeps replies, and an upstream of the test."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.app import Services
from gateway.config.compile import compile_snapshot
from gateway.config.load import LoadedTable, load_table
from gateway.core.headers import Headers
from gateway.core.kept_replies import Purge
from gateway.generation import Background, Lasting, Lent
from gateway.observe.metrics import WorkerMetrics
from gateway.plugin_api import Exchange, Plugin, Reply
from gateway.proxy.forward import Forwarder
from gateway.proxy.outbox import Outbox
from gateway.proxy.pipeline import Current, Pipeline
from gateway.stores.in_flight import WorkerInFlight
from gateway.stores.kept_replies import KeptReplies
from gateway.stores.local_replies import LocalReplies
from gateway.stores.memory import MemoryLimits
from gateway.stores.memory_claims import MemoryClaims
from gateway.stores.memory_replies import MemoryReplies
from tests.support.gateway import SECRET

Upstream = Callable[[Exchange], Awaitable[Reply]]


class SharedMemory(MemoryReplies):
    """What several workers of a test share."""

    is_shared = True


def load(text: str, environ: Mapping[str, str] | None = None) -> LoadedTable:
    """The table of that text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "routes.yaml"
        path.write_text(text)
        return load_table(str(path), environ={"SECRET": SECRET, **(environ or {})})


class Worker:
    """One worker. Its clock is the test's: `now_s`, wall clock and monotonic in one."""

    def __init__(
        self,
        loaded: LoadedTable,
        upstream: Upstream,
        store: Any = None,
        tell: Callable[[Purge], None] = lambda purge: None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.now_s = 1_700_000_000.0
        self.metrics = WorkerMetrics()
        self.records: list[Exchange] = []
        self.store = MemoryReplies(1 << 24, lambda: self.now_s) if store is None else store
        evictions = self.metrics.counter("evictions", "")
        self.kept = KeptReplies(
            LocalReplies(1 << 24, lambda route: evictions, lambda size: None),
            self.store,
            now_s=lambda: self.now_s,
            tell=tell,
        )
        self._background = Background(self._refetch)
        self._limits = MemoryLimits(lambda: int(self.now_s * 1000))
        self._lent = Lent(self._background, Lasting())
        self._lent.is_in_force = True
        snapshot = compile_snapshot(loaded, lambda plugin: self._services(loaded, plugin), upstream)
        self.plugins = {(route.info.id, plugin.name): plugin for route in snapshot.routes for plugin in route.plugins}
        self._pipeline = Pipeline(Current(snapshot, Forwarder(loop, Outbox(loop))), loop, self.records.append)

    async def request(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"", **more: Any
    ) -> Reply:
        """One exchange, to its end; the reply's body is whole."""
        lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        given: dict[str, Any] = {"authority": "api.example", "client_ip": "192.0.2.7", "request_id": "r1", **more}
        exchange = Exchange(method=method, target=target, headers=Headers(lines), body=body, **given)
        return await self._run(exchange, self._pipeline.handle(exchange))

    async def settle(self) -> None:
        """Until what runs in the background has ended."""
        while self.kept._tasks or self._background._tasks:
            await asyncio.sleep(0)

    async def close(self) -> None:
        """End everything."""
        await self._background.close()
        await self.kept.close()

    def verdicts(self) -> list[str]:
        """What the cache did, by exchange, in the order in which they ended."""
        return [exchange.verdicts.get("cache", "-") for exchange in self.records]

    async def _run(self, exchange: Exchange, handling: Awaitable[Reply]) -> Reply:
        exchange.started_s = self.now_s
        reply: Reply | None = None
        try:
            reply = await handling
            if not isinstance(reply.body, bytes):
                body = reply.body
                pieces = []
                while piece := await body.read():
                    pieces.append(piece)
                reply.body = b"".join(pieces)
            return reply
        finally:
            self._pipeline.finish(exchange)

    async def _refetch(self, exchange: Exchange, state: dict[str, Any]) -> None:
        again = Exchange(method="GET", target=exchange.target, headers=exchange.headers.copy(), parent=exchange)
        for name in ("path", "query", "route", "compiled", "params", "identity", "scheme", "authority", "request_id"):
            setattr(again, name, getattr(exchange, name))
        again.state = state
        again.is_background = True
        again.hooks_run = len(exchange.compiled.unwinding)
        await self._run(again, self._pipeline.handle(again, None, is_entered=True))

    def _services(self, loaded: LoadedTable, plugin: type[Plugin]) -> "TimedServices":
        return TimedServices(
            self,
            section=loaded.section(plugin),
            identity=loaded.table.identity.claims(),
            claims=MemoryClaims(time.monotonic),
            limits=self._limits,
            in_flight=WorkerInFlight(lambda: 1),
            local_limits=self._limits,
            kept=self.kept,
            metrics=self.metrics,
            worker_count=1,
            dispatch=self._dispatch,
            lent=self._lent,
            owner=plugin.name,
        )

    async def _dispatch(self, exchange: Exchange) -> Reply:
        return await self._run(exchange, self._pipeline.handle(exchange))


class TimedServices(Services):
    """By the worker's clock."""

    def __init__(self, worker: Worker, **more: Any) -> None:
        super().__init__(**more)
        self._worker = worker

    def now(self) -> float:
        return self._worker.now_s

    def monotonic(self) -> float:
        return self._worker.now_s
