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
from gateway.workers.heap import keep_freed_memory
from gateway.workers.ports import bind_shared

_MESSAGE_MAX_BYTES = 256 << 20
_DRAIN_MARGIN_S = 0.5

_log = logging.getLogger("gateway.workers")


class RunningGateway(Protocol):
    """What `app.py` builds in a worker: everything ready, nothing accepted yet. version: of its snapshot."""

    version: str

    async def start(self, sock: socket.socket) -> None:
        """Accept connections. sock: bound, not listening; listen with `settings.LISTEN_BACKLOG`."""

    def renew_certificates(self, tls: TlsSettings) -> None:
        """Serve these from the next handshake on."""

    async def drain(self, timeout_s: float) -> None:
        """Stop accepting, close idle connections, let exchanges end within timeout_s, close everything."""


Build = Callable[[ServeSettings, TableSources, WorkerMetrics], Awaitable[RunningGateway]]


def run_worker(control_descriptor: int, build: Build) -> int:
    """Be one worker until told to drain, until SIGTERM, or until the supervisor is gone. Returns the exit code: 1 where
    the worker cannot start.
    """
    sys.unraisablehook = report_unraisable
    keep_freed_memory()
    return uvloop.run(_work(socket.socket(fileno=control_descriptor), build))


async def _work(control: socket.socket, build: Build) -> int:
    reader, writer = await asyncio.open_unix_connection(sock=control, limit=_MESSAGE_MAX_BYTES)
    line = await reader.readline()
    if not line:
        return 0
    start = json.loads(line)["start"]
    settings = ServeSettings.from_json(start["settings"])
    running: list[RunningGateway] = []
    told = asyncio.create_task(_until_told(reader, settings.drain_s, running))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.cancel)
    up = asyncio.create_task(_bring_up(settings, start, build))
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
    running.append(gateway)
    await _send(writer, {"ready": gateway.version})
    await asyncio.wait([told])
    drain_s = settings.drain_s if told.cancelled() else told.result()
    try:
        await asyncio.wait_for(gateway.drain(drain_s), drain_s + _DRAIN_MARGIN_S)
    except TimeoutError:
        _log.warning("the worker has not drained in %g s", drain_s)
    return 0


async def _bring_up(settings: ServeSettings, start: Mapping[str, Any], build: Build) -> RunningGateway:
    metrics = WorkerMetrics(map_buffer(start["metrics_descriptor"]))
    gateway = await build(settings, TableSources(**start["sources"]), metrics)
    await gateway.start(bind_shared(settings.host, settings.port))
    return gateway


async def _until_told(reader: asyncio.StreamReader, default_s: float, running: Sequence[RunningGateway]) -> float:
    """Until the supervisor says drain, or is gone. Returns how many seconds the drain may take. running: the gateway
    that is told of new certificates, once it is ready.
    """
    with suppress(ConnectionError):
        async for line in reader:
            message = json.loads(line)
            if "drain" in message:
                return float(message["drain"])
            for gateway in running:
                gateway.renew_certificates(TlsSettings.from_json(message["tls"]))
    return default_s


async def _send(writer: asyncio.StreamWriter, message: Mapping[str, object]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")
    # Without a supervisor there is nobody to tell; `_until_told` sees the same.
    with suppress(ConnectionError):
        await writer.drain()
