"""One worker: brought up when the supervisor says so, drained when it says so or is gone."""

import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import uvloop

from gateway.config.settings import ServeSettings, TableSources, TlsSettings
from gateway.observe.metrics import WorkerMetrics
from gateway.observe.metrics_buffer import map_buffer
from gateway.proxy.tls_listener import report_unraisable
from gateway.workers.heap import keep_collections_short, keep_freed_memory
from gateway.workers.ports import bind_shared

_MESSAGE_MAX_BYTES = 256 << 20
_DRAIN_MARGIN_S = 0.5
# Of a text: far below what a line of the other direction may have.
_FAILURE_MAX = 2000

_log = logging.getLogger("gateway.workers")


class RunningGateway(Protocol):
    """What `app.py` builds in a worker: everything ready, nothing accepted yet."""

    @property
    def version(self) -> str:
        """Of the table that it serves."""

    async def start(self, sock: socket.socket) -> None:
        """Accept connections. sock: bound, not listening; listen with `settings.LISTEN_BACKLOG`."""

    def renew_certificates(self, tls: TlsSettings) -> None:
        """Serve these from the next handshake on."""

    async def prepare(self, sources: TableSources) -> str:
        """Build another table beside the one that is served. Returns why that cannot be, "" where it can be swapped."""

    def swap(self) -> None:
        """Serve what was prepared, from the next exchange on."""

    async def abandon(self) -> None:
        """Forget what was prepared, if anything was."""

    async def drain(self, timeout_s: float) -> None:
        """Stop accepting, close idle connections, let exchanges end within timeout_s, close everything."""

    def hear(self, purge: Mapping[str, Any]) -> None:
        """Another worker has purged kept replies. purge: `core.kept_replies.Purge` as a mapping."""

    def upstreams(self) -> Sequence[Mapping[str, Any]]:
        """A row an endpoint, as this worker sees it (`admin.upstream_pages.Reports`)."""

    async def purge(self, purge: Mapping[str, Any]) -> str:
        """Purge kept replies, here and in the store. Returns why that is not done yet, "" where it is."""


Tell = Callable[[Mapping[str, Any]], None]
"""Passes a purge on to the other workers."""

Build = Callable[[ServeSettings, TableSources, WorkerMetrics, Tell], Awaitable[RunningGateway]]


def run_worker(control_descriptor: int, build: Build) -> int:
    """Be one worker until told to drain, until SIGTERM, or until the supervisor is gone. Returns the exit code: 1 where
    the worker cannot start.
    """
    sys.unraisablehook = report_unraisable
    keep_freed_memory()
    return uvloop.run(_work(socket.socket(fileno=control_descriptor), build))


class _Up:
    """A worker on its way up. gateway: once it is built. may_serve: set once the supervisor has seen that it is built
    from the table that all others serve.
    """

    def __init__(self) -> None:
        self.gateway: RunningGateway | None = None
        self.may_serve = asyncio.Event()


async def _work(control: socket.socket, build: Build) -> int:
    reader, writer = await asyncio.open_unix_connection(sock=control, limit=_MESSAGE_MAX_BYTES)
    line = await reader.readline()
    if not line:
        return 0
    start = json.loads(line)["start"]
    settings = ServeSettings.from_json(start["settings"])
    state = _Up()
    up: asyncio.Task[RunningGateway] = asyncio.create_task(_bring_up(settings, start, build, writer, state))
    told = asyncio.create_task(_until_told(reader, writer, state, settings.drain_s))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.cancel)
    waited: list[asyncio.Task[Any]] = [told, up]
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    if not up.done():
        up.cancel()
        await asyncio.wait([up])
        return 0
    try:
        gateway = up.result()
    except Exception as error:
        _log.exception("the worker cannot start")
        await _send(writer, {"failed": f"{type(error).__name__}: {error}"})
        return 1
    await _send(writer, {"ready": gateway.version})
    await asyncio.wait([told])
    drain_s = settings.drain_s if told.cancelled() else told.result()
    try:
        await asyncio.wait_for(gateway.drain(drain_s), drain_s + _DRAIN_MARGIN_S)
    except TimeoutError:
        _log.warning("the worker has not drained in %g s", drain_s)
    return 0


async def _bring_up(
    settings: ServeSettings, start: Mapping[str, Any], build: Build, writer: asyncio.StreamWriter, state: _Up
) -> RunningGateway:
    metrics = WorkerMetrics(map_buffer(start["metrics_descriptor"]))

    def tell(purge: Mapping[str, Any]) -> None:
        # Not drained: purges are few and small, and the supervisor always reads.
        writer.write(_line({"purge": purge}))

    gateway = state.gateway = await build(settings, TableSources(**start["sources"]), metrics, tell)
    await _send(writer, {"built": gateway.version})
    await state.may_serve.wait()
    keep_collections_short()
    await gateway.start(bind_shared(settings.host, settings.port))
    return gateway


async def _until_told(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: _Up, default_s: float
) -> float:
    """Until the supervisor says drain, or is gone. Returns how many seconds the drain may take."""
    asked: set[asyncio.Task[None]] = set()
    with suppress(ConnectionError):
        async for line in reader:
            message = json.loads(line)
            if "drain" in message:
                return float(message["drain"])
            gateway = state.gateway
            if gateway is None:
                # One that is not built yet keeps nothing that could be purged, and gets its certificates when it is.
                continue
            if "serve" in message:
                state.may_serve.set()
            elif "tls" in message:
                gateway.renew_certificates(TlsSettings.from_json(message["tls"]))
            elif "upstreams" in message:
                writer.write(_line({"seen": message["upstreams"], "upstreams": list(gateway.upstreams())}))
            elif "purge" in message:
                if "number" not in message:
                    gateway.hear(message["purge"])
                    continue
                task = asyncio.create_task(_purge(gateway, writer, message))
                asked.add(task)
                task.add_done_callback(asked.discard)
            elif "number" in message:
                task = asyncio.create_task(_change_table(gateway, writer, message))
                asked.add(task)
                task.add_done_callback(asked.discard)
    return default_s


async def _change_table(gateway: RunningGateway, writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    """The supervisor's "prepare", "swap" or "abandon", and the answer."""
    failure = ""
    try:
        if "prepare" in message:
            failure = await gateway.prepare(TableSources(**message["prepare"]))
        elif "swap" in message:
            gateway.swap()
        else:
            await gateway.abandon()
    except Exception as error:
        _log.exception("the table cannot be changed")
        failure = f"{type(error).__name__}: {error}"
    await _send(writer, {"done": message["number"], "failure": failure[:_FAILURE_MAX]})


async def _purge(gateway: RunningGateway, writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    """Carry a purge of the operators out, and say so."""
    try:
        failure = await gateway.purge(message["purge"])
    except Exception as error:
        _log.exception("a purge failed")
        failure = type(error).__name__
    await _send(writer, {"purged": message["number"], "failure": failure})


def _line(message: Mapping[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"


async def _send(writer: asyncio.StreamWriter, message: Mapping[str, object]) -> None:
    writer.write(_line(message))
    # Without a supervisor there is nobody to tell; `_until_told` sees the same.
    with suppress(ConnectionError):
        await writer.drain()
