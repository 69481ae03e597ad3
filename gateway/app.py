"""The composition root: the one file that builds every part of a worker and hands it over."""

import asyncio
import logging
import random
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from functools import partial
from typing import Any, TypeVar

import aiohttp

from gateway.config.compile import Step, take_all
from gateway.config.load import LoadedTable, read_table
from gateway.config.parcel import unpack
from gateway.config.partial import admit_steps
from gateway.config.problems import TableInvalid
from gateway.config.settings import LISTEN_BACKLOG, ServeSettings, TableSources, TlsSettings
from gateway.config.source import from_memory
from gateway.config.tls import server_context
from gateway.core.client_address import TrustedProxies
from gateway.core.kept_replies import KeptReplies as LentReplies
from gateway.core.kept_replies import Purge
from gateway.core.scalars import Settings
from gateway.generation import Background, Generation, Generations, Lasting, Lent, close_part
from gateway.observe.access_log import AccessLog
from gateway.observe.metrics import RequestMetrics, WorkerMetrics
from gateway.observe.recorder import Recorder
from gateway.observe.tracing import IdSource
from gateway.plugin_api import (
    ClaimStore,
    Counter,
    Exchange,
    IdentityClaims,
    InFlight,
    Plugin,
    RateLimitStore,
    Reply,
    StoreDown,
)
from gateway.proxy.aiohttp_lane import AiohttpLane
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.forward import Forwarder, ForwardPolicy
from gateway.proxy.lane import LaneLimits, LaneParts, LaneState
from gateway.proxy.outbox import Outbox
from gateway.proxy.pipeline import Current, Pipeline
from gateway.proxy.slow_readers import SlowReaders
from gateway.proxy.tls_listener import TlsListener
from gateway.proxy.ways import Ways, upstreams_of, with_shares
from gateway.stores.in_flight import WorkerInFlight
from gateway.stores.memory import MemoryLimits, wall_ms
from gateway.stores.memory_claims import MemoryClaims
from gateway.stores.open_replies import open_kept_replies
from gateway.turns import Turns
from gateway.upstreams.registry import Registry

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
        kept: LentReplies,
        in_flight: InFlight,
        metrics: WorkerMetrics,
        worker_count: int,
        dispatch: Dispatch,
        lent: Lent,
        owner: str,
    ) -> None:
        self.section: Any = section
        self.identity = identity
        self.limits = limits
        self.local_limits = local_limits
        self.claims = claims
        self.kept = kept
        self.in_flight = in_flight
        self.metrics = metrics
        self.log = logging.getLogger("gateway.plugins")
        self.worker_count = worker_count
        self._dispatch = dispatch
        self._lent = lent
        self._owner = owner

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def shared(self, key: object, build: Callable[[], T]) -> T:
        return self._lent.shared((self._owner, key), build)

    def lasting(self, key: object, build: Callable[[], T]) -> T:
        return self._lent.lasting((self._owner, key), build)

    def is_in_force(self) -> bool:
        return self._lent.is_in_force

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
        self._lent.background.spawn(work)

    async def refetch(self, exchange: Exchange, state: dict[str, Any]) -> None:
        await self._lent.background.refetch(exchange, state)

    async def dispatch(self, exchange: Exchange) -> Reply:
        return await self._dispatch(exchange)


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
        self._registry = Registry(loop, random.Random(), metrics)
        self._ways = Ways(self._registry, self._request_metrics, metrics, loop)
        self._claims = _open_claims(loaded.table.gateway.store)
        kept_bytes = metrics.gauge("gateway_cache_kept_bytes", "Bytes of kept replies in workers' memory.", layer="l1")
        self.kept, self._purges = open_kept_replies(
            loaded.table.gateway.store,
            loaded.table.gateway.cache.l1,
            partial(_evictions, metrics),
            kept_bytes.set,
            tell,
        )
        self._limits = _open_limits(loaded.table.gateway.store, settings.workers, metrics)
        self._in_flight = WorkerInFlight(self._limits.live_workers)
        self._lasting = Lasting()
        outbox = self._outbox = Outbox(loop)
        first = take_all(self._generation(loaded))
        tables = metrics.gauge("gateway_config_tables", "Tables that workers serve: more than one each after a reload.")
        self._generations = Generations(first, self._registry.serve, tables.set)
        self.current = Current(first.snapshot, first.forwarder)
        recorder = Recorder(self._request_metrics, self._access_log)
        self._pipeline = Pipeline(self.current, loop, recorder.record)
        gateway = loaded.table.gateway
        limits = gateway.limits
        self._state = LaneState(self._request_metrics.connections, self._request_metrics.in_flight)
        parts = LaneParts(
            pipeline=self._pipeline,
            outbox=outbox,
            loop=loop,
            limits=LaneLimits(
                target_max=limits.target_max,
                header_max=limits.header_max,
                header_line_max=limits.header_line_max,
                header_count_max=limits.max_headers,
                header_timeout_s=limits.header_timeout,
                idle_timeout_s=limits.idle_timeout,
                body_rate_min=limits.body_rate_min,
                max_connections=limits.max_connections,
                max_requests=limits.max_requests,
            ),
            trusted=TrustedProxies(gateway.trusted_proxies),
            ids=IdSource(),
            state=self._state,
            slow_readers=SlowReaders(loop, limits.reply_rate_min),
        )
        self._aiohttp_lane = AiohttpLane(parts)
        self._fast_lane = FastLane(parts, self._aiohttp_lane)
        self._tls: TlsListener | None = None
        if settings.tls is not None:
            self._tls = TlsListener(
                self._aiohttp_lane if settings.lane == "aiohttp" else self._fast_lane,
                server_context(settings.tls),
                loop,
                metrics,
                handshakes_max=gateway.limits.max_connections,
                handshake_timeout_s=gateway.limits.header_timeout,
            )
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Begin to accept."""
        await self.kept.store.prepare()
        self._limits.start()
        self._registry.serve(self._generations.current.upstreams)
        lane = self._aiohttp_lane if self._settings.lane == "aiohttp" else self._fast_lane
        if self._tls is None:
            self._server = await self._loop.create_server(lane, sock=sock, backlog=LISTEN_BACKLOG)
        else:
            sock.listen(LISTEN_BACKLOG)
            self._tls.start(sock)

    def renew_certificates(self, tls: TlsSettings) -> None:
        """Serve these from the next handshake on."""
        assert self._tls is not None
        self._tls.context = server_context(tls)

    @property
    def version(self) -> str:
        """Of the table in force."""
        return self.current.snapshot.version

    async def prepare(self, sources: TableSources) -> str:
        """Build another table beside the one in force, without holding up its exchanges (decisions/0016). Returns why
        that cannot be done, "" where it is ready for `swap`.
        """
        await self.abandon()
        with self._generations.building():
            if sources.parcel and not await self._prepare(partial(unpack, sources.parcel)):
                return ""
            # It was not packed; or what cannot be done has to be told with its place, which the texts know.
            return await self._prepare(partial(read_sources, sources))

    async def _prepare(self, read: Callable[[], LoadedTable]) -> str:
        try:
            loaded = await self._loop.run_in_executor(None, read)
            self._generations.prepared = await _in_turns(self._generation(loaded))
        except TableInvalid as error:
            return str(error)
        return ""

    def swap(self) -> None:
        """Serve what was prepared, from the next exchange on."""
        new = self._generations.swap()
        self.current.serving = new.snapshot, new.forwarder

    async def abandon(self) -> None:
        """Forget what was prepared."""
        await self._generations.abandon()

    async def drain(self, timeout_s: float) -> None:
        """Accept no more, let what is under way end within timeout_s, then close everything."""
        if self._server is not None:
            self._server.close()
        if self._tls is not None:
            await self._tls.close()
        self._fast_lane.close_idle()
        self._aiohttp_lane.close_idle()
        await asyncio.gather(self._fast_lane.shutdown(timeout_s), self._aiohttp_lane.shutdown(timeout_s))
        for tunnel in list(self._state.tunnels):
            tunnel.close()
        await self.abandon()
        await self._generations.close()
        for part in (self._purges, self.kept, self._claims, self._limits.shared):
            await close_part(part)
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

    def upstreams(self) -> list[dict[str, object]]:
        """A row an endpoint, as this worker sees it."""
        return with_shares(self._registry.report(), self.current.snapshot)

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
        again.compiled.uses.count += 1
        total_s = exchange.compiled.total_timeout_s
        if total_s is not None:
            again.deadline_s = time.monotonic() + total_s
        await self._run_whole(again, self._pipeline.handle(again, None, is_entered=True))

    def _generation(self, loaded: LoadedTable) -> Generator[Step, None, Generation]:
        """Build it step by step. Raises TableInvalid; what was built by then is closed."""
        lent = Lent(Background(self._refetch), self._lasting)
        forwarder = Forwarder(self._loop, self._outbox)
        try:
            snapshot = yield from admit_steps(loaded, self._services_for(loaded, lent), forwarder.send)
        except TableInvalid:
            self._loop.create_task(lent.close())
            raise
        policies: dict[str, ForwardPolicy] = {}
        for route in snapshot.routes:
            if route.call is not None:
                policies[route.info.id] = self._ways.of(route, snapshot.table)
            yield None
        forwarder.policies = policies
        return Generation(snapshot, forwarder, upstreams_of(policies), lent)

    def _services_for(self, loaded: LoadedTable, lent: Lent) -> Callable[[type[Plugin]], Services]:
        identity = loaded.table.identity.claims()

        def services_for(plugin: type[Plugin]) -> Services:
            return Services(
                section=loaded.section(plugin),
                identity=identity,
                limits=self._limits.shared,
                local_limits=self._limits.local,
                claims=self._claims,
                kept=self.kept,
                in_flight=self._in_flight,
                metrics=self._metrics,
                worker_count=self._settings.workers,
                dispatch=self._dispatch,
                lent=lent,
                owner=plugin.name,
            )

        return services_for


async def build_gateway(
    settings: ServeSettings, sources: TableSources, metrics: WorkerMetrics, tell: Callable[[Mapping[str, Any]], None]
) -> ServingGateway:
    """A worker's gateway from the sources that the supervisor read (`workers.Build`). Raises TableInvalid."""
    return ServingGateway(settings, read_sources(sources), metrics, lambda purge: tell(purge._asdict()))


def read_sources(sources: TableSources) -> LoadedTable:
    """The table of these texts, with what is wrong with it."""
    read_file, find_files = from_memory(sources.files)
    return read_table(sources.path, read_file=read_file, find_files=find_files)


async def _in_turns(steps: Generator[Step, None, Generation]) -> Generation:
    """Take the steps, and let the event loop do other things in between."""
    turns = Turns()
    while True:
        try:
            work = next(steps)
        except StopIteration as end:
            generation: Generation = end.value
            return generation
        if work is not None:
            await asyncio.get_running_loop().run_in_executor(None, work)
        await turns.pause()


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


def _evictions(metrics: WorkerMetrics, route: str) -> Counter:
    return metrics.counter(
        "gateway_cache_evictions", "Kept replies that went for want of room.", layer="l1", route=route
    )


def _open_limits(url: str, workers: int, metrics: WorkerMetrics) -> _Limits:
    if url == "memory://":
        # It never fails; and each worker counts for itself, as if it were the only one.
        memory = MemoryLimits(wall_ms)
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
