"""The composition root: the one file that builds every part of a worker and hands it over."""

import asyncio
import logging
import random
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import aiohttp

from gateway.config.compile import compile_snapshot
from gateway.config.load import LoadedTable, load_table
from gateway.config.settings import LISTEN_BACKLOG, ServeSettings, TableSources
from gateway.config.snapshot import CompiledRoute, Snapshot
from gateway.config.source import from_memory
from gateway.core.client_address import TrustedProxies
from gateway.core.kept_replies import KeptReplies as LentReplies
from gateway.core.kept_replies import Purge
from gateway.core.scalars import Settings
from gateway.observe.access_log import AccessLog
from gateway.observe.metrics import Counter, RequestMetrics, WorkerMetrics
from gateway.observe.recorder import Recorder
from gateway.observe.tracing import IdSource
from gateway.plugin_api import Exchange, IdentityClaims, Plugin, RateLimitStore, Reply, StoreDown
from gateway.proxy.aiohttp_lane import AiohttpLane
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.forward import Forwarder, ForwardPolicy
from gateway.proxy.lane import LaneLimits, LaneParts, LaneState
from gateway.proxy.pipeline import Current, Pipeline
from gateway.stores.memory import MemoryLimits
from gateway.stores.open_replies import open_kept_replies
from gateway.upstreams.registry import Registry, UpstreamShape

T = TypeVar("T")

Dispatch = Callable[[Exchange], Awaitable[Reply]]


class Services:
    """What one plugin of one snapshot is lent (`plugin_api.PluginServices`)."""

    def __init__(
        self,
        *,
        section: Settings | None,
        identity: IdentityClaims,
        limits: RateLimitStore,
        local_limits: RateLimitStore,
        kept: LentReplies,
        metrics: WorkerMetrics,
        worker_count: int,
        background: "Background",
        dispatch: Dispatch,
        closers: list[Any],
    ) -> None:
        self.section: Any = section
        self.identity = identity
        self.limits = limits
        self.local_limits = local_limits
        self.kept = kept
        self.metrics = metrics
        self.log = logging.getLogger("gateway.plugins")
        self.worker_count = worker_count
        self._background = background
        self._dispatch = dispatch
        self._closers = closers
        self._shared: dict[object, Any] = {}

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def shared(self, key: object, build: Callable[[], T]) -> T:
        if key not in self._shared:
            self._shared[key] = made = build()
            if hasattr(made, "close"):
                self._closers.append(made)
        found: T = self._shared[key]
        return found

    async def fetch(self, url: str, *, timeout_s: float, size_max: int) -> bytes:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url, allow_redirects=False) as reply,
            ):
                if reply.status != 200:
                    raise ValueError(f"status {reply.status}")
                data = await reply.content.read(size_max + 1)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OSError(f"{type(error).__name__}: {error}") from None
        if len(data) > size_max:
            raise ValueError(f"more than {size_max} bytes")
        return data

    async def run_in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(None, function, *args)

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        self._background.spawn(work)

    async def refetch(self, exchange: Exchange, state: dict[str, Any]) -> None:
        await self._background.refetch(exchange, state)

    async def dispatch(self, exchange: Exchange) -> Reply:
        return await self._dispatch(exchange)


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

    async def close(self) -> None:
        """Cancel it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logging.getLogger("gateway").error("work in the background failed", exc_info=error)


class ServingGateway:
    """One worker's gateway, from compiled table to open port (`workers.RunningGateway`)."""

    def __init__(
        self,
        settings: ServeSettings,
        loaded: LoadedTable,
        metrics: WorkerMetrics,
        tell: Callable[[Purge], None] = lambda purge: None,
    ) -> None:
        """Needs the running event loop. tell: passes a purge on to the other workers. Raises TableInvalid."""
        loop = self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._metrics = metrics
        self._request_metrics = RequestMetrics(metrics)
        self._access_log = _open_access_log(settings, metrics)
        self._registry = Registry(loop, random.Random())
        self._local_limits = MemoryLimits(_wall_ms)
        self._store = _open_limits(loaded.table.gateway.store)
        evictions = metrics.counter("gateway_cache_evictions", "Kept replies that went for want of room.", layer="l1")
        self.kept, self._purges = open_kept_replies(
            loaded.table.gateway.store, loaded.table.gateway.cache.l1, evictions, tell
        )
        self._background = Background(self._refetch)
        self._closers: list[Any] = []
        forwarder = Forwarder(loop)
        snapshot = compile_snapshot(loaded, self._services_for(loaded), forwarder.send)
        forwarder.policies = {
            route.info.id: self._forward_policy(route, snapshot) for route in snapshot.routes if route.call is not None
        }
        self.version = snapshot.version
        self.current = Current(snapshot, forwarder)
        recorder = Recorder(self._request_metrics, self._access_log)
        self._pipeline = Pipeline(self.current, loop, recorder.record)
        gateway = loaded.table.gateway
        self._state = LaneState(self._request_metrics.connections, self._request_metrics.in_flight)
        parts = LaneParts(
            pipeline=self._pipeline,
            loop=loop,
            limits=LaneLimits(
                header_max=gateway.limits.header_max,
                header_timeout_s=gateway.limits.header_timeout,
                idle_timeout_s=gateway.limits.idle_timeout,
                max_connections=gateway.limits.max_connections,
            ),
            trusted=TrustedProxies(gateway.trusted_proxies),
            ids=IdSource(),
            state=self._state,
        )
        self._aiohttp_lane = AiohttpLane(parts)
        self._fast_lane = FastLane(parts, self._aiohttp_lane)
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Begin to accept."""
        lane = self._aiohttp_lane if self._settings.lane == "aiohttp" else self._fast_lane
        self._server = await self._loop.create_server(lane, sock=sock, backlog=LISTEN_BACKLOG)

    async def drain(self, timeout_s: float) -> None:
        """Accept no more, let what is under way end within timeout_s, then close everything."""
        if self._server is not None:
            self._server.close()
        self._fast_lane.close_idle()
        self._aiohttp_lane.close_idle()
        await asyncio.gather(self._fast_lane.shutdown(timeout_s), self._aiohttp_lane.shutdown(timeout_s))
        for tunnel in list(self._state.tunnels):
            tunnel.close()
        await self._background.close()
        for part in (*self.current.snapshot.plugins, *self._closers, self._purges, self.kept, self._store):
            await _close(part)
        self._registry.close()
        if self._access_log is not None:
            await self._access_log.close()

    def hear(self, purge: Mapping[str, Any]) -> None:
        """A purge of another worker."""
        self.kept.hear(Purge.of(purge))

    async def purge(self, purge: Mapping[str, Any]) -> str:
        """Drop kept replies everywhere. Returns why that is not done yet, "" where it is."""
        try:
            await self.kept.purge(Purge.of(purge))
        except StoreDown as error:
            return f"the store is down ({error}); it is told as soon as it answers"
        return ""

    async def _dispatch(self, exchange: Exchange) -> Reply:
        """Run a further exchange (a part of a batch) through the whole pipeline, its body read whole."""
        return await self._run_whole(exchange, self._pipeline.handle(exchange))

    async def _run_whole(self, exchange: Exchange, handling: Awaitable[Reply]) -> Reply:
        exchange.started_s = time.monotonic()
        reply: Reply | None = None
        try:
            reply = await handling
            body = reply.body
            if not isinstance(body, bytes):
                pieces = []
                while piece := await body.read():
                    pieces.append(piece)
                reply.body = b"".join(pieces)
            exchange.bytes_out = len(reply.body) if isinstance(reply.body, bytes) else 0
            exchange.outcome = "complete"
            return reply
        finally:
            if reply is not None and not isinstance(reply.body, bytes):
                reply.body.close()
            exchange.outcome = exchange.outcome or "client_gone"
            self._pipeline.finish(exchange)

    async def _refetch(self, exchange: Exchange, state: dict[str, Any]) -> None:
        """Ask the upstream once more, for nobody (`plugin_api.PluginServices.refetch`)."""
        again = Exchange(
            method="GET",
            target=exchange.target,
            headers=exchange.headers.copy(),
            scheme=exchange.scheme,
            authority=exchange.authority,
            peer_ip=exchange.peer_ip,
            client_ip=exchange.client_ip,
            is_trusted_peer=exchange.is_trusted_peer,
            request_id=f"{exchange.request_id}.again",
            traceparent=exchange.traceparent,
            parent=exchange,
        )
        for name in ("path", "query", "route", "compiled", "params", "identity"):
            setattr(again, name, getattr(exchange, name))
        again.state = state
        again.is_background = True
        # As if all of them had run: this is no request of the caller's, so nothing is asked or counted of him.
        again.hooks_run = len(exchange.compiled.unwinding)
        total_s = exchange.compiled.total_timeout_s
        if total_s is not None:
            again.deadline_s = time.monotonic() + total_s
        await self._run_whole(again, self._pipeline.handle(again, None, is_entered=True))

    def _services_for(self, loaded: LoadedTable) -> Callable[[type[Plugin]], Services]:
        identity = loaded.table.identity.claims()

        def services_for(plugin: type[Plugin]) -> Services:
            return Services(
                section=loaded.section(plugin),
                identity=identity,
                limits=self._store,
                local_limits=self._local_limits,
                kept=self.kept,
                metrics=self._metrics,
                worker_count=self._settings.workers,
                background=self._background,
                dispatch=self._dispatch,
                closers=self._closers,
            )

        return services_for

    def _forward_policy(self, route: CompiledRoute, snapshot: Snapshot) -> ForwardPolicy:
        name = route.info.upstream or ""
        settings = snapshot.table.upstreams[name]
        retry = route.retry
        attempts = _AttemptCounters(name, self._request_metrics)
        return ForwardPolicy(
            upstream=self._registry.upstream(
                UpstreamShape(
                    name=name,
                    endpoints=tuple((endpoint.url, endpoint.weight) for endpoint in settings.endpoints),
                    balance="round_robin" if settings.balance == "hash" else settings.balance,
                    pool_max=settings.pool.max,
                    pool_idle_s=settings.pool.idle,
                )
            ),
            rewrite=route.rewrite,
            location=route.location,
            connect_timeout_s=route.connect_timeout_s,
            idle_timeout_s=route.idle_timeout_s,
            attempts=retry.attempts if retry is not None else 1,
            retry_on=frozenset(retry.on) if retry is not None else frozenset(),
            retry_ratio=retry.budget if retry is not None else 0.0,
            count_attempt=attempts.count,
        )


class _AttemptCounters(dict[str, Counter]):
    """The series of one upstream by outcome, each asked for once."""

    def __init__(self, upstream: str, metrics: RequestMetrics) -> None:
        super().__init__()
        self._upstream = upstream
        self._metrics = metrics

    def __missing__(self, outcome: str) -> Counter:
        counter = self[outcome] = self._metrics.attempts(self._upstream, outcome)
        return counter

    def count(self, outcome: str) -> None:
        self[outcome].inc()


async def build_gateway(
    settings: ServeSettings, sources: TableSources, metrics: WorkerMetrics, tell: Callable[[Mapping[str, Any]], None]
) -> ServingGateway:
    """A worker's gateway from the sources that the supervisor read (`workers.Build`). Raises TableInvalid."""
    read_file, find_files = from_memory(sources.files)
    loaded = load_table(sources.path, read_file=read_file, find_files=find_files)
    return ServingGateway(settings, loaded, metrics, lambda purge: tell(purge._asdict()))


def _open_access_log(settings: ServeSettings, metrics: WorkerMetrics) -> AccessLog | None:
    if settings.access_log == "none":
        return None
    dropped = metrics.counter("gateway_access_log_dropped", "Access log lines that the sink did not take")
    return AccessLog(1 if settings.access_log == "-" else settings.access_log, dropped)


def _open_limits(url: str) -> RateLimitStore:
    if url == "memory://":
        return MemoryLimits(_wall_ms)
    # Only now: the Redis client is a tenth of a worker's start, and few small gateways have a Redis.
    from gateway.stores.redis import open_store

    return open_store(url)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


async def _close(part: Any) -> None:
    close = getattr(part, "close", None)
    if close is not None:
        result = close()
        if result is not None:
            await result
