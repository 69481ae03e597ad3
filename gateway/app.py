"""The composition root: the one file that builds every part of a worker and hands it over."""

import asyncio
import logging
import random
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp

from gateway.config.compile import compile_snapshot
from gateway.config.load import LoadedTable, load_table
from gateway.config.settings import LISTEN_BACKLOG, ServeSettings, TableSources
from gateway.config.snapshot import CompiledRoute, Snapshot
from gateway.config.source import from_memory
from gateway.core.client_address import TrustedProxies
from gateway.core.scalars import Settings
from gateway.observe.access_log import AccessLog
from gateway.observe.metrics import Counter, RequestMetrics, WorkerMetrics
from gateway.observe.recorder import Recorder
from gateway.observe.tracing import IdSource
from gateway.plugin_api import ClaimStore, Exchange, IdentityClaims, InFlight, Plugin, RateLimitStore, Reply
from gateway.proxy.aiohttp_lane import AiohttpLane
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.forward import Forwarder, ForwardPolicy
from gateway.proxy.lane import LaneLimits, LaneParts, LaneState
from gateway.proxy.pipeline import Current, Pipeline
from gateway.stores.in_flight import WorkerInFlight
from gateway.stores.memory import MemoryLimits
from gateway.stores.memory_claims import MemoryClaims
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
        claims: ClaimStore,
        in_flight: InFlight,
        metrics: WorkerMetrics,
        worker_count: int,
        dispatch: Dispatch,
        closers: list[Any],
    ) -> None:
        self.section: Any = section
        self.identity = identity
        self.limits = limits
        self.local_limits = local_limits
        self.claims = claims
        self.in_flight = in_flight
        self.metrics = metrics
        self.log = logging.getLogger("gateway.plugins")
        self.worker_count = worker_count
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

    async def dispatch(self, exchange: Exchange) -> Reply:
        return await self._dispatch(exchange)


class ServingGateway:
    """One worker's gateway, from compiled table to open port (`workers.RunningGateway`)."""

    def __init__(self, settings: ServeSettings, loaded: LoadedTable, metrics: WorkerMetrics) -> None:
        """Needs the running event loop. Raises TableInvalid."""
        loop = self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._metrics = metrics
        self._request_metrics = RequestMetrics(metrics)
        self._access_log = _open_access_log(settings, metrics)
        self._registry = Registry(loop, random.Random())
        self._claims = _open_claims(loaded.table.gateway.store)
        self._limits = _open_limits(loaded.table.gateway.store, settings.workers, metrics)
        self._in_flight = WorkerInFlight(self._limits.live_workers)
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
        self._limits.start()
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
        for part in (*self.current.snapshot.plugins, *self._closers, self._claims, self._limits.shared):
            await _close(part)
        self._registry.close()
        if self._access_log is not None:
            await self._access_log.close()

    async def _dispatch(self, exchange: Exchange) -> Reply:
        """Run a further exchange (a part of a batch) through the whole pipeline, its body read whole."""
        exchange.started_s = time.monotonic()
        reply: Reply | None = None
        try:
            reply = await self._pipeline.handle(exchange)
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

    def _services_for(self, loaded: LoadedTable) -> Callable[[type[Plugin]], Services]:
        identity = loaded.table.identity.claims()

        def services_for(plugin: type[Plugin]) -> Services:
            return Services(
                section=loaded.section(plugin),
                identity=identity,
                limits=self._limits.shared,
                local_limits=self._limits.local,
                claims=self._claims,
                in_flight=self._in_flight,
                metrics=self._metrics,
                worker_count=self._settings.workers,
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


async def build_gateway(settings: ServeSettings, sources: TableSources, metrics: WorkerMetrics) -> ServingGateway:
    """A worker's gateway from the sources that the supervisor read (`workers.Build`). Raises TableInvalid."""
    read_file, find_files = from_memory(sources.files)
    loaded = load_table(sources.path, read_file=read_file, find_files=find_files)
    return ServingGateway(settings, loaded, metrics)


def _open_access_log(settings: ServeSettings, metrics: WorkerMetrics) -> AccessLog | None:
    if settings.access_log == "none":
        return None
    dropped = metrics.counter("gateway_access_log_dropped", "Access log lines that the sink did not take")
    return AccessLog(1 if settings.access_log == "-" else settings.access_log, dropped)


class _Limits:
    """The buckets of `limit`. start: once the event loop runs and the worker serves."""

    def __init__(
        self,
        shared: RateLimitStore,
        local: RateLimitStore,
        live_workers: Callable[[], int] = lambda: 1,
        start: Callable[[], None] = lambda: None,
    ) -> None:
        self.shared = shared
        self.local = local
        self.live_workers = live_workers
        self.start = start


def _open_limits(url: str, workers: int, metrics: WorkerMetrics) -> _Limits:
    if url == "memory://":
        # It never fails; and each worker counts for itself, as if it were the only one.
        memory = MemoryLimits(_wall_ms)
        return _Limits(memory, memory)
    # Only now: the Redis client is a tenth of a worker's start, and few small gateways have a Redis.
    from gateway.stores.local import LocalLimits
    from gateway.stores.redis import Phase, RedisLimits, open_store
    from gateway.stores.redis_pulse import pulse
    from gateway.stores.redis_told import hear

    degraded = metrics.gauge("gateway_limit_degraded_workers", "Workers that count limits without the store.")
    live = metrics.gauge("gateway_limit_live_workers", "Workers of all gateways that share the store of limits.")
    outages = metrics.counter("gateway_limit_outages", "How often a worker lost the store of limits.")

    def watch(limits: RedisLimits) -> None:
        outages.inc(limits.phase is Phase.DOWN and not degraded.value)
        degraded.set(limits.phase is not Phase.UP)
        # The exposition adds up what each worker of this gateway says.
        live.set(limits.local.live_workers / workers)

    local = LocalLimits(lambda: time.monotonic_ns() // 1_000_000, workers)
    store = open_store(url, local=local, watch=watch)
    return _Limits(store, local, lambda: local.live_workers, lambda: store.start((pulse, hear)))


def _open_claims(url: str) -> ClaimStore:
    if url == "memory://":
        return MemoryClaims(time.monotonic)
    from gateway.stores.redis_claims import open_claims

    return open_claims(url)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


async def _close(part: Any) -> None:
    close = getattr(part, "close", None)
    if close is not None:
        result = close()
        if result is not None:
            await result
