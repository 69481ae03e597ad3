"""The supervisor: keeps the port and the workers, adds up their metrics, and answers the operators."""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import uvloop
from aiohttp import web

from gateway.admin.app import make_admin_app
from gateway.config.reload import CheckedTable
from gateway.config.settings import ServeSettings, TableSources, TlsSettings
from gateway.explain.live_table import LiveTable
from gateway.observe.metrics import WorkerMetrics
from gateway.observe.metrics_buffer import Buffer, map_buffer
from gateway.observe.metrics_reader import MetricsReader
from gateway.workers.certificate_watch import CertificateWatch
from gateway.workers.history import History
from gateway.workers.ports import address_text, reserve_port
from gateway.workers.reloading import Reloading
from gateway.workers.slot import Slot
from gateway.workers.table_files import TableReader, watch_files

WORKER_COMMAND = (sys.executable, "-m", "gateway", "worker")
"""Starts a worker; the number of the control descriptor is its last argument."""

_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 5.0
_SETTLED_S = 5.0
_KILL_MARGIN_S = 1.0
_LOOK_AT_CERTIFICATES_EVERY_S = 2.0
_PURGE_TIMEOUT_S = 5.0
_REPORT_TIMEOUT_S = 1.0
_PREPARE_TIMEOUT_S = 30.0
_SWAP_TIMEOUT_S = 5.0

_log = logging.getLogger("gateway.workers")


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the gateway can be reached, the chosen numbers in place of port 0."""

    host: str
    port: int
    admin_host: str
    admin_port: int
    workers: int
    scheme: str = "http"

    def __str__(self) -> str:
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        at, admin = address_text(self.host, self.port), address_text(self.admin_host, self.admin_port)
        return f"listening on {self.scheme}://{at}, admin http://{admin}, {workers}"


def run_supervisor(
    settings: ServeSettings,
    table: CheckedTable,
    files: TableReader,
    history: History,
    *,
    announce: Callable[[Listening], None],
    command: Sequence[str] = WORKER_COMMAND,
) -> int:
    """Serve until SIGTERM or SIGINT; a second one ends the drain. announce: called once all workers are ready. files:
    where the table comes from, and its successors.

    Returns the exit code: 0, 1 where a worker cannot start, 2 where an address cannot be had; the reason is then one
    line on standard error.
    """
    return uvloop.run(_Supervisor(settings, table, files, history, announce, command).run())


def next_backoff_s(previous_s: float, lived_s: float) -> float:
    """How long to wait before a dead worker is started again: not at all if it had settled, else twice as long as the
    last time, 0.1 s to 5 s.
    """
    if lived_s >= _SETTLED_S:
        return 0.0
    return min(max(previous_s * 2, _BACKOFF_FIRST_S), _BACKOFF_MAX_S)


class _StartFailedError(Exception):
    def __init__(self, exit_code: int, reason: str) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


class _Supervisor:
    """Implements `AdminView`."""

    def __init__(
        self,
        settings: ServeSettings,
        table: CheckedTable,
        files: TableReader,
        history: History,
        announce: Callable[[Listening], None],
        command: Sequence[str],
    ) -> None:
        self._settings = settings
        self._live_table = LiveTable()
        self._files = files
        self._announce = announce
        self._command = command
        self._slots = [Slot(number) for number in range(settings.workers)]
        own_memory = map_buffer()
        self._metrics = WorkerMetrics(own_memory)
        self._reader = MetricsReader([own_memory, *(slot.memory for slot in self._slots)])
        self._ready_workers = self._metrics.gauge("gateway_workers", "Workers that accept connections.")
        self._restarts = self._metrics.counter("gateway_worker_restarts", "Workers started in place of dead ones.")
        self.reloading = Reloading(table, files, self._change_table, history, self._metrics, self._reader.samples)
        self._is_started = False
        self._background: set[asyncio.Task[object]] = set()
        self._purges: dict[int, asyncio.Future[str]] = {}
        self._next_purge = 0
        self._reports: dict[int, asyncio.Future[list[Mapping[str, Any]]]] = {}
        self._next_report = 0
        self._all_ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()

    def reasons_not_ready(self) -> Sequence[str]:
        if self._stopping.is_set():
            return ["the gateway is draining"]
        if not any(slot.is_ready for slot in self._slots):
            return [f"no worker is ready, of {len(self._slots)}"]
        return []

    def metrics_text(self) -> bytes:
        return self._reader.text()

    def routes(self) -> Sequence[Mapping[str, object]]:
        return self.reloading.table.routes

    def config(self) -> Mapping[str, object]:
        return {**self.reloading.table.config, "status": self.reloading.status()}

    async def reload(self, *, is_dry_run: bool, is_forced: bool) -> Mapping[str, Any]:
        outcome = await self.reloading.reload("POST /reload", is_dry_run=is_dry_run, is_forced=is_forced)
        return outcome.as_dict()

    async def rollback(self, version: str | None) -> Mapping[str, Any]:
        return (await self.reloading.rollback(version)).as_dict()

    def samples(self, name: str) -> Sequence[tuple[Mapping[str, str], float]]:
        return self._reader.samples(name)

    async def explain(self, query: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
        return await self._live_table.explain(self.reloading.table.sources, query)

    async def purge(self, purge: Mapping[str, Any]) -> str:
        """One worker carries it out and tells the store, which tells all; without a shared one, it tells us."""
        slot = next((slot for slot in self._slots if slot.is_ready), None)
        if slot is None:
            return "no worker is ready"
        number = self._next_purge = self._next_purge + 1
        waiter = self._purges[number] = asyncio.get_running_loop().create_future()
        slot.tell({"purge": purge, "number": number})
        try:
            return await asyncio.wait_for(waiter, _PURGE_TIMEOUT_S)
        except TimeoutError:
            return "the worker does not answer"
        finally:
            del self._purges[number]

    async def upstreams(self) -> tuple[Sequence[Sequence[Mapping[str, Any]]], int]:
        asked: dict[int, asyncio.Future[list[Mapping[str, Any]]]] = {}
        for slot in self._slots:
            if slot.is_ready:
                number = self._next_report = self._next_report + 1
                asked[number] = self._reports[number] = asyncio.get_running_loop().create_future()
                slot.tell({"upstreams": number})
        try:
            if asked:
                await asyncio.wait(asked.values(), timeout=_REPORT_TIMEOUT_S)
        finally:
            for number in asked:
                del self._reports[number]
        told = [waiter.result() for waiter in asked.values() if waiter.done()]
        return told, len(self._slots) - len(told)

    def _pass_on(self, sender: Slot, purge: Mapping[str, Any]) -> None:
        for slot in self._slots:
            if slot is not sender:
                slot.tell({"purge": purge})

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self.reloading.reload("SIGHUP")))
        try:
            with _listening_on(self._settings.host, self._settings.port):
                held = reserve_port(self._settings.host, self._settings.port)
            with held:
                self._settings = replace(self._settings, port=held.getsockname()[1])
                await self._serve()
        except _StartFailedError as error:
            sys.stderr.write(f"gateway: {error}\n")
            return error.exit_code
        return 0

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    async def _serve(self) -> None:
        settings = self._settings
        runner = web.AppRunner(make_admin_app(self), access_log=None, shutdown_timeout=_KILL_MARGIN_S)
        keepers: list[asyncio.Task[None]] = []
        watch: asyncio.Task[None] | None = None
        try:
            await runner.setup()
            with _listening_on(settings.admin_host, settings.admin_port):
                await web.TCPSite(runner, settings.admin_host, settings.admin_port).start()
            if settings.tls is not None:
                watch = asyncio.create_task(self._watch_certificates(settings.tls))
            keepers += [asyncio.create_task(self._keep(slot)) for slot in self._slots]
            await self._bring_up(keepers)
            if not self._stopping.is_set():
                admin_port = runner.addresses[0][1]
                scheme = "http" if settings.tls is None else "https"
                self._announce(
                    Listening(settings.host, settings.port, settings.admin_host, admin_port, settings.workers, scheme)
                )
                self._spawn(watch_files(self._files.footprint, self._on_change))
            await self._stopping.wait()
        finally:
            for task in self._background:
                task.cancel()
            await asyncio.gather(*self._background, return_exceptions=True)
            await self.reloading.close()
            if watch is not None:
                watch.cancel()
            await self._drain(keepers)
            await runner.cleanup()

    async def _watch_certificates(self, tls: TlsSettings) -> None:
        """Every worker gets what this process has read and found good, as with the table."""
        watch = CertificateWatch(tls, self._metrics)
        while True:
            await asyncio.sleep(_LOOK_AT_CERTIFICATES_EVERY_S)
            renewed = watch.look(time.time())
            if renewed is not None:
                self._settings = replace(self._settings, tls=renewed)
                for slot in self._slots:
                    self._tell_certificates(slot)

    def _tell_certificates(self, slot: Slot) -> None:
        tls = self._settings.tls
        if slot.is_ready and tls is not None and slot.tls is not tls:
            slot.tls = tls
            slot.tell({"tls": asdict(tls)})

    async def _bring_up(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        """Until all workers are ready, or the first one has failed, or a signal."""
        waits = [asyncio.create_task(event.wait()) for event in (self._all_ready, self._stopping)]
        await asyncio.wait([*waits, *keepers], return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if self._stopping.is_set():
            return
        for keeper in keepers:
            if keeper.done():
                keeper.result()
        self._is_started = True
        self.reloading.started()

    async def _keep(self, slot: Slot) -> None:
        """Keep a worker in the slot until the gateway stops. Raises _StartFailedError at the first start."""
        loop = asyncio.get_running_loop()
        backoff_s = 0.0
        while not self._stopping.is_set():
            started_s = loop.time()
            try:
                end = await self._live(slot)
            except OSError as error:
                end = f"cannot be started: {error.strerror}"
            if self._stopping.is_set():
                return
            if not self._is_started:
                raise _StartFailedError(1, f"worker {slot.number} {end}")
            # Its connections are gone; what it counted is not.
            Buffer(slot.memory).take_over()
            self._restarts.inc()
            backoff_s = next_backoff_s(backoff_s, loop.time() - started_s)
            _log.warning("worker %d %s; the next one starts in %g s", slot.number, end, backoff_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff_s)

    async def _live(self, slot: Slot) -> str:
        """The life of one worker process. Returns how it ended."""
        ours, theirs = socket.socketpair()
        with theirs:
            slot.process = process = await asyncio.create_subprocess_exec(
                *self._command,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), slot.descriptor),
                # Ctrl-C at a terminal is for the supervisor, which then drains the workers.
                start_new_session=True,
            )
        reader, slot.control = await asyncio.open_unix_connection(sock=ours)
        # Without the parcel: while it starts nobody waits, and what is wrong is told with its place.
        sources = _as_json(replace(self.reloading.table.sources, parcel=""))
        slot.tls = self._settings.tls
        slot.tell(
            {"start": {"settings": asdict(self._settings), "sources": sources, "metrics_descriptor": slot.descriptor}}
        )
        if self._stopping.is_set():
            slot.tell({"drain": self._settings.drain_s})
        failure = ""
        with suppress(ConnectionError):
            async for line in reader:
                message = json.loads(line)
                failure = message.get("failed", failure)
                if "built" in message:
                    slot.version = message["built"]
                    self._spawn(self._let_serve(slot))
                elif "done" in message:
                    slot.answer(message["done"], message["failure"])
                elif "ready" in message:
                    self._on_ready(slot)
                elif "purge" in message:
                    self._pass_on(slot, message["purge"])
                elif "seen" in message:
                    if (asked := self._reports.get(message["seen"])) and not asked.done():
                        asked.set_result(message["upstreams"])
                elif "purged" in message and (waiter := self._purges.get(message["purged"])) and not waiter.done():
                    waiter.set_result(message["failure"])
        exit_code = await process.wait()
        slot.control.close()
        slot.end()
        self._count_ready()
        if failure:
            return f"failed: {failure}"
        return f"was ended by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"ended with code {exit_code}"

    def _on_ready(self, slot: Slot) -> None:
        slot.is_ready = True
        self._count_ready()
        # They may have changed while it started.
        self._tell_certificates(slot)
        if all(each.is_ready for each in self._slots):
            self._all_ready.set()

    async def _let_serve(self, slot: Slot) -> None:
        """A worker is built. The table may have changed while it was: then it gets the new one before any request."""
        control = slot.control
        async with self.reloading.lock:
            table = self.reloading.table
            if slot.control is not control:
                return
            if slot.version != table.version:
                failure = await self._change_slots([slot], table.sources, table.version)
                if failure and slot.control is control and slot.process is not None:
                    _log.warning("worker %d cannot take the table that is served: %s", slot.number, failure)
                    with suppress(ProcessLookupError):
                        slot.process.kill()
                    return
            slot.tell({"serve": True})

    async def _change_table(self, sources: TableSources, version: str) -> str:
        """Give all workers this table, or none of them (`Reloading.change`)."""
        return await self._change_slots([slot for slot in self._slots if slot.version], sources, version)

    async def _change_slots(self, slots: Sequence[Slot], sources: TableSources, version: str) -> str:
        prepare = {"prepare": _as_json(sources)}
        prepared: list[tuple[Slot, asyncio.StreamWriter | None]] = []
        # One after the other, so that the others have the processors for their clients meanwhile. The successor of a
        # worker that has ended by then gets the new table when it is built.
        for slot in slots:
            if slot.version:
                prepared.append((slot, slot.control))
                if failure := await slot.ask(prepare, _PREPARE_TIMEOUT_S):
                    same = [slot for slot, control in prepared if slot.version and slot.control is control]
                    await asyncio.gather(*(slot.ask({"abandon": True}, _SWAP_TIMEOUT_S) for slot in same))
                    return failure
        # From here on there is no way back: a worker that cannot even do this is replaced, by one with the new table.
        same = [slot for slot, control in prepared if slot.version and slot.control is control]
        for slot in same:
            slot.version = version
        for failure in await asyncio.gather(*(self._swap(slot) for slot in same)):
            if failure:
                _log.warning("%s: it has prepared the table but does not serve it, and is replaced", failure)
        return ""

    async def _swap(self, slot: Slot) -> str:
        process = slot.process
        failure = await slot.ask({"swap": True}, _SWAP_TIMEOUT_S)
        if failure and process is not None and process is slot.process:
            with suppress(ProcessLookupError):
                process.kill()
        return failure

    async def _on_change(self) -> None:
        await self.reloading.reload("the files changed")

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[object]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("work of the supervisor failed", exc_info=error)

    def _count_ready(self) -> None:
        self._ready_workers.set(sum(slot.is_ready for slot in self._slots))

    async def _drain(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        """Readiness fails from here on: let the workers finish, then end those that have not."""
        self._stopping.set()
        if not keepers:
            return
        for slot in self._slots:
            slot.tell({"drain": self._settings.drain_s})
        ended = asyncio.gather(*keepers, return_exceptions=True)
        hurrying = asyncio.create_task(self._hurrying.wait())
        ends: list[asyncio.Future[Any]] = [ended, hurrying]
        timeout_s = self._settings.drain_s + _KILL_MARGIN_S
        await asyncio.wait(ends, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        for slot in self._slots:
            if slot.process is not None:
                _log.warning("worker %d has not drained and is killed", slot.number)
                with suppress(ProcessLookupError):
                    slot.process.kill()
        await ended


def _as_json(sources: TableSources) -> dict[str, object]:
    return {"path": sources.path, "files": dict(sources.files), "parcel": sources.parcel}


@contextmanager
def _listening_on(host: str, port: int) -> Iterator[None]:
    """Turns an OSError into the line that an operator reads."""
    try:
        yield
    except OSError as error:
        # Name look-ups have numbers of their own, below 0, and asyncio's texts repeat the address.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise _StartFailedError(2, f"cannot listen on {address_text(host, port)}: {reason}") from error
