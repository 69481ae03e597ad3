"""Another table for a running gateway: read, judged, given to all workers or to none, and remembered (decisions/0016).

Nothing here touches a request. An invalid table changes nothing, and is told of in the log, the metrics and `/config`.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from gateway.config.model import GatewaySection
from gateway.config.problems import Problem, TableInvalid
from gateway.config.reload import CheckedTable, changed_routes, problem_rows, summarize
from gateway.config.settings import TableSources
from gateway.core.table_watch import Counts, Verdict, judge
from gateway.observe.metrics import WorkerMetrics
from gateway.workers.history import Entry, History

LOOK_EVERY_S = 1.0
"""How often a new table that is watched is judged."""

_NICER = 10

_log = logging.getLogger("gateway.workers")

Result = Literal["swapped", "unchanged", "good", "invalid", "failed", "unknown_version"]
Samples = Callable[[str], Sequence[tuple[Mapping[str, str], float]]]


class ReadTable(Protocol):
    """Reads a table and finds it good. Both run in a thread, and raise TableInvalid.

    running: the section of the table that is served.
    """

    def current(self, running: GatewaySection) -> CheckedTable:
        """The files as they are."""

    def former(self, running: GatewaySection, path: str, parts: Mapping[str, str]) -> CheckedTable:
        """A table of these texts; what they refer to is read as it is now."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt. version: that is served now. tried: that of the table in question, "" where it has none.
    detail: one sentence.
    """

    result: Result
    version: str
    detail: str
    tried: str = ""
    problems: tuple[Problem, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = {"result": self.result, "version": self.version, "tried": self.tried, "detail": self.detail}
        return {**rows, "problems": problem_rows(self.problems)}


class Reloading:
    """One for a supervisor. change: gives a table, and says its version, to all workers: returns why that cannot
    be, and then none has it. samples: the counters of all workers.
    """

    def __init__(
        self,
        table: CheckedTable,
        read: ReadTable,
        change: Callable[[TableSources, str], Awaitable[str]],
        history: History,
        metrics: WorkerMetrics,
        samples: Samples,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.table = table
        self.lock = asyncio.Lock()
        """Held while the workers' table changes: one that starts meanwhile has to wait."""
        self._read = read
        self._change = change
        self._history = history
        self._metrics = metrics
        self._samples = samples
        self._now = now
        self._monotonic = monotonic
        self._since_s = now()
        self._note = "started with it"
        self._in_file = table.version
        """The version that the files had when they were last good."""
        self._left: str | None = None
        """The version of the files that was gone back from: not served again before the files change."""
        self._last: tuple[float, Outcome] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._reader = ThreadPoolExecutor(1, "table", initializer=_give_way)

    def started(self) -> None:
        """All workers serve the first table."""
        self._history.add(self.table, summarize(None, self.table), self._now())
        self._show()
        for entry in self.table.quarantined:
            _log_quarantine(entry.route, entry.problems)

    async def reload(self, why: str, *, is_dry_run: bool = False, is_forced: bool = False) -> Outcome:
        """Serve the files as they are now, where they are good. why: who asked, for the log.

        is_dry_run: only judge them. is_forced: also where they were gone back from.
        """
        async with self.lock:
            wanted = await self._judge(lambda: self._read.current(self.table.gateway))
            if isinstance(wanted, CheckedTable):
                outcome = await self._take(wanted, why, is_dry_run=is_dry_run, is_forced=is_forced)
            else:
                outcome = wanted
            if not is_dry_run:
                self._tell(outcome, why)
            return outcome

    async def rollback(self, version: str | None) -> Outcome:
        """Serve a table of the history until the files change. version: or its beginning; None: the one before."""
        async with self.lock:
            entry = self._history.find(version, self.table.version)
            if entry is None:
                what = f"no good table {version}" if version is not None else "no table before this one"
                return Outcome("unknown_version", self.table.version, f"there is {what} in the history")
            wanted = await self._judge(lambda: self._read.former(self.table.gateway, entry.path, entry.parts))
            if isinstance(wanted, CheckedTable):
                outcome = await self._go_back(wanted, f"rolled back to the table of {_time(entry)}")
            else:
                outcome = wanted
            self._tell(outcome, "rollback")
            return outcome

    def status(self) -> dict[str, Any]:
        """What `/config` says of the table in force and of the last attempt."""
        last: dict[str, Any] | None = None
        if self._last is not None:
            at_s, outcome = self._last
            last = {"at": _iso(at_s), **outcome.as_dict()}
        return {
            "version": self.table.version,
            "since": _iso(self._since_s),
            "note": self._note,
            "is_rolled_back": self._left is not None,
            "quarantined": [
                {"route": entry.route, "position": entry.position, "problems": problem_rows(entry.problems)}
                for entry in self.table.quarantined
            ],
            "last_attempt": last,
        }

    async def close(self) -> None:
        """End what runs."""
        self._stop_watching()
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def _judge(self, read: Callable[[], CheckedTable]) -> CheckedTable | Outcome:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader, read)
        except TableInvalid as invalid:
            problems = tuple(invalid.problems)
            count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            return Outcome("invalid", self.table.version, f"the table has {count}, and nothing changes", "", problems)
        except Exception as error:
            _log.exception("the table cannot be read")
            detail = f"the table cannot be read ({type(error).__name__}: {error}), and nothing changes"
            return Outcome("failed", self.table.version, detail)

    async def _take(self, wanted: CheckedTable, why: str, *, is_dry_run: bool, is_forced: bool) -> Outcome:
        running = self.table
        summary = summarize(running, wanted)
        if is_dry_run:
            return Outcome("good", running.version, f"the table is good; it changes: {summary}", wanted.version)
        self._in_file = wanted.version
        if wanted.version == running.version:
            self._left = None
            return Outcome("unchanged", running.version, "the files are what is served", wanted.version)
        if wanted.version == self._left and not is_forced:
            detail = "the files are still those that were gone back from; change them, or force it"
            return Outcome("unchanged", running.version, detail, wanted.version)
        failure = await self._change(wanted.sources, wanted.version)
        if failure:
            detail = f"the workers cannot take it, and nothing changes: {failure}"
            return Outcome("failed", running.version, detail, wanted.version)
        self._left = None
        self._put_in_force(wanted, f"{why}: {summary}")
        self._history.add(wanted, summary, self._since_s)
        self._start_watching(running, wanted)
        return Outcome("swapped", wanted.version, summary, wanted.version)

    async def _go_back(self, wanted: CheckedTable, note: str) -> Outcome:
        running = self.table
        if wanted.version == running.version:
            return Outcome("unchanged", running.version, "that table is what is served", wanted.version)
        failure = await self._change(wanted.sources, wanted.version)
        if failure:
            detail = f"the workers cannot take it, and nothing changes: {failure}"
            return Outcome("failed", running.version, detail, wanted.version)
        self._left = self._in_file if self._in_file != wanted.version else None
        self._put_in_force(wanted, note)
        return Outcome("swapped", wanted.version, note, wanted.version)

    def _put_in_force(self, table: CheckedTable, note: str) -> None:
        self._stop_watching()
        self._metrics.gauge("gateway_config_info", _INFO_HELP, version=self.table.version).set(0)
        for entry in self.table.quarantined:
            self._quarantine_gauge(entry.route).set(0)
        self.table = table
        self._since_s = self._now()
        self._note = note
        self._show()

    def _show(self) -> None:
        self._metrics.gauge("gateway_config_info", _INFO_HELP, version=self.table.version).set(1)
        self._metrics.gauge("gateway_config_last_reload_successful", _SUCCESSFUL_HELP).set(1)
        self._metrics.gauge("gateway_config_last_reload_timestamp_seconds", _TIMESTAMP_HELP).set(self._since_s)
        for entry in self.table.quarantined:
            self._quarantine_gauge(entry.route).set(1)

    def _quarantine_gauge(self, route: str) -> Any:
        return self._metrics.gauge("gateway_routes_quarantined", _QUARANTINED_HELP, route=route)

    def _tell(self, outcome: Outcome, why: str) -> None:
        self._last = self._now(), outcome
        self._metrics.counter("gateway_config_reloads", _RELOADS_HELP, result=outcome.result).inc()
        if outcome.result in ("invalid", "failed"):
            self._metrics.gauge("gateway_config_last_reload_successful", _SUCCESSFUL_HELP).set(0)
            _log.error("%s: %s; version %s goes on", why, outcome.detail, outcome.version)
            for problem in outcome.problems:
                _log.error("%s", problem)
            return
        # The files are as good as what is served, or are it.
        self._metrics.gauge("gateway_config_last_reload_successful", _SUCCESSFUL_HELP).set(1)
        if outcome.result == "swapped":
            _log.info("%s: version %s is served; %s", why, outcome.version, outcome.detail)
            for entry in self.table.quarantined:
                _log_quarantine(entry.route, entry.problems)

    # -- going back by itself -----------------------------------------------------------------------------------------

    def _start_watching(self, before: CheckedTable, after: CheckedTable) -> None:
        routes = changed_routes(before, after)
        if after.gateway.watch is not None and routes:
            self._watching = asyncio.create_task(
                self._watch(before, after, routes, self._counts(routes), self._monotonic())
            )

    def _stop_watching(self) -> None:
        task, self._watching = self._watching, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _watch(
        self, before: CheckedTable, after: CheckedTable, routes: frozenset[str], at_first: Counts, started_s: float
    ) -> None:
        rule = after.gateway.watch
        assert rule is not None
        verdict = Verdict.WAIT
        counts = Counts()
        while verdict is Verdict.WAIT:
            await asyncio.sleep(LOOK_EVERY_S)
            counts = self._counts(routes) - at_first
            elapsed_s = self._monotonic() - started_s
            verdict = judge(counts, elapsed_s, for_s=rule.for_, error_rate_max=rule.rollback_if)
        if verdict is Verdict.KEEP:
            _log.info("version %s stays: %d of %d requests failed", after.version, counts.failures, counts.requests)
            return
        async with self.lock:
            if self.table is not after:
                return
            note = (
                f"went back from {after.version}: {counts.failures:g} of {counts.requests:g} requests of the routes "
                f"that it changed failed, more than {rule.rollback_if:.0%}"
            )
            outcome = await self._go_back(before, note)
            self._metrics.counter("gateway_config_rollbacks", "Tables that were gone back from by themselves.").inc()
            self._tell(outcome, "watch")
            _log.error("%s", note if outcome.result == "swapped" else f"{note}; but {outcome.detail}")

    def _counts(self, routes: frozenset[str]) -> Counts:
        requests = failures = 0.0
        for labels, value in self._samples("gateway_requests"):
            if labels["route"] in routes:
                requests += value
                failures += value if labels["status"].startswith("5") else 0.0
        return Counts(requests, failures)


def _give_way() -> None:
    """Of a thread that reads tables: the workers' processes come first, whatever the gateway's own priority is."""
    with suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICER)


def _log_quarantine(route: str, problems: Sequence[Problem]) -> None:
    for problem in problems:
        _log.error("route %s is quarantined and answers 503: %s", route, problem)


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")


def _time(entry: Entry) -> str:
    return _iso(entry.time_s)


_INFO_HELP = "The version of the route table."
_SUCCESSFUL_HELP = "Whether the last (re)load succeeded."
_TIMESTAMP_HELP = "Since when the table in force is served, as a Unix time."
_RELOADS_HELP = "Attempts to serve another table, by what came of them."
_QUARANTINED_HELP = "Routes that are broken and answer 503."
