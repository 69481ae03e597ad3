"""One run of the bench: what is started, checked, loaded in turn, and reported."""

import datetime
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.bench import big_body, idle, scaling
from tests.bench.check import CheckFailed, check, request_headers
from tests.bench.load import CONNECTIONS, Figures, RoundFailed, medians, run_round
from tests.bench.machine import describe_interpreter, describe_machine
from tests.bench.material import make_credentials, write_files
from tests.bench.processes import StartFailed
from tests.bench.proxies import PEERS, Bench, Running, find_program, version_of
from tests.bench.table import Line, render, work_lines
from tests.bench.work import CALLERS, GATEWAY, INTERPRETED, WORK, Work

WARM_UP_S = 1
_NOISE_MAX = 0.1
_REPEATS_MAX = 3

Cell = tuple[Work, str]
"""A work and the proxy that does it."""


class Session:
    """bench: whose upstream is started here. rounds, seconds: of each work and proxy."""

    def __init__(self, bench: Bench, rounds: int, seconds: int) -> None:
        self._bench = bench
        self._rounds = rounds
        self._seconds = seconds
        self._versions: list[str] = []
        self._absent: list[str] = []
        self._programs: dict[str, str] = {}
        self._running: dict[Cell, Running] = {}
        self._main: dict[str, Running] = {}
        self._results: dict[tuple[str, str], Figures | str] = {}
        self._more_lines: list[Line] = []
        self._growth = ""
        self._repeats: dict[Cell, list[str]] = {}
        self._sizes: dict[str, int] = {}
        self._bodies = write_files(bench.folder)
        self._credentials = make_credentials(bench.secret, CALLERS)
        self._credentials_file = bench.folder / "credentials"
        self._credentials_file.write_text("\n".join(self._credentials))

    def run(self, works: Sequence[Work], others: Sequence[str]) -> None:
        """others: names of the rows that are no `Work`. Raises StartFailed where it is the upstream that fails."""
        self._bench.start_upstream()
        self._find_programs()
        self._start_main(works, others)
        self._start_tables(works)
        self._check()
        self._load()
        if big_body.NAME in others:
            self._say("1 GiB body")
            self._more_lines += big_body.measure(self._bench, self._those(big_body.PROXIES), min(self._rounds, 3))
        if scaling.GROWTH_NAME in others:
            self._say("how cost grows")
            proxies = self._those(scaling.GROWTH_PROXIES)
            grid = scaling.measure_growth(self._bench, proxies, min(self._rounds, 2))
            self._growth = scaling.render_growth(grid)
        # The rest starts proxies of its own; nobody else needs the processors or the ports any more.
        for running in (*self._main.values(), *self._running.values()):
            running.process.stop()
        if idle.NAME in others:
            self._say("idle clients")
            starters = {name: start for name, start in self._starters().items() if name in idle.PROXIES}
            self._more_lines += idle.measure(self._bench, starters, min(self._rounds, 3), self._seconds)
        if scaling.WORKERS_NAME in others:
            self._say("two workers")
            self._more_lines += scaling.measure_workers(self._bench, self._rounds, self._seconds)

    def report(self, works: Sequence[Work]) -> str:
        """The tables, with what they were measured on."""
        lines = [
            f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {describe_machine()}.",
            f"{GATEWAY}, {INTERPRETED}: {describe_interpreter()}. {', '.join(self._versions)}.",
            f"{GATEWAY}: its hot modules compiled by `deploy/compile.py`, as in the image. {INTERPRETED}: uncompiled.",
            f"Medians of {self._rounds} rounds of {self._seconds} s over {CONNECTIONS} connections in turn.",
            "Request ids, metrics and a JSON access log everywhere.",
        ]
        if self._absent:
            lines.append(f"Not installed: {', '.join(self._absent)}.")
        if self._sizes:
            sizes = ", ".join(f"{proxy} {size:,}" for proxy, size in self._sizes.items())
            lines.append(f"Bytes of the gzip body: {sizes}.")
        lines += [
            f"Beyond what its peers do, the {GATEWAY} starts a trace (traceparent) and sends Server-Timing.",
            "CPU is user and system time of the proxy's whole process tree.",
            "Where a proxy leaves much of its processor unused, the load was the limit: requests/s is a lower bound.",
        ]
        noise = max((each.others for each in self._results.values() if isinstance(each, Figures)), default=0.0)
        if noise > _NOISE_MAX:
            lines.append(f"The machine was busy: others used up to {noise:.0%} of the proxy's processor. Run it alone.")
        for (work, proxy), reasons in self._repeats.items():
            lines.append(f"Rounds that failed and were repeated: {proxy}, {work.title}: {len(reasons)}; {reasons[-1]}.")
        text = "\n".join(f"- {line}" for line in lines)
        text += "\n\n" + render(work_lines(works, self._results) + self._more_lines)
        if self._growth:
            text += f"\n\nHow cost grows, in CPU µs/request (forward, no policies):\n\n{self._growth}"
        return text

    def _find_programs(self) -> None:
        for name, program, argument in (
            *((peer.name, peer.program, peer.version) for peer in PEERS),
            ("wrk", "wrk", "--version"),
            ("redis-server", "redis-server", "--version"),
        ):
            path = find_program(program)
            if path is None:
                self._absent.append(name)
            else:
                self._programs[name] = path
                self._versions.append(f"{name} {version_of(path, argument)}")

    def _starters(self) -> dict[str, Callable[[], Running]]:
        """Of the proxies that are there, what starts each with its main configuration."""
        bench = self._bench
        starters: dict[str, Callable[[], Running]] = {
            GATEWAY: lambda: bench.start_gateway("main"),
            INTERPRETED: lambda: bench.start_gateway("main", compiled=False),
        }
        for peer in PEERS:
            if peer.name in self._programs:
                starters[peer.name] = lambda peer=peer: bench.start_peer(peer, self._programs[peer.name])  # type: ignore[misc]
        return starters

    def _start_main(self, works: Sequence[Work], others: Sequence[str]) -> None:
        needed = {proxy for work in works if work.table == "main" for proxy in work.proxies}
        for name, proxies in ((big_body.NAME, big_body.PROXIES), (scaling.GROWTH_NAME, scaling.GROWTH_PROXIES)):
            if name in others:
                needed |= set(proxies)
        for proxy, start in self._starters().items():
            if proxy not in needed:
                continue
            cells = [(work, proxy) for work in works if work.table == "main" and proxy in work.proxies]
            try:
                self._main[proxy] = start()
            except StartFailed as failure:
                for cell in cells:
                    self._fail(cell, f"did not start: {failure}")
            else:
                self._running |= dict.fromkeys(cells, self._main[proxy])

    def _start_tables(self, works: Sequence[Work]) -> None:
        """The gateway with the other route tables."""
        redis_url = ""
        more_routes = {"5-routes": 2, "1000-routes": 997}
        for work in works:
            if work.table == "main":
                continue
            for proxy in work.proxies:
                try:
                    if work.table == "redis" and not redis_url:
                        redis_url = self._start_redis()
                    self._running[work, proxy] = self._bench.start_gateway(
                        work.table,
                        compiled=proxy == GATEWAY,
                        store=redis_url if work.table == "redis" else "memory://",
                        more_routes=more_routes.get(work.table, 0),
                    )
                except StartFailed as failure:
                    self._fail((work, proxy), f"did not start: {failure}")

    def _start_redis(self) -> str:
        if "redis-server" not in self._programs:
            raise StartFailed("redis-server is not installed")
        _, port = self._bench.start_redis(self._programs["redis-server"])
        return f"redis://127.0.0.1:{port}/0"

    def _check(self) -> None:
        """Leave out what does not do its work."""
        for (work, proxy), running in list(self._running.items()):
            try:
                size = check(work, running.ports[work.entry], self._bodies[work.path], self._credentials[0])
            except CheckFailed as failure:
                self._fail((work, proxy), str(failure))
            else:
                if work.entry == "gzip":
                    self._sizes[proxy] = size

    def _load(self) -> None:
        """Warm up, then the rounds in turn; the medians are the results."""
        done: dict[Cell, list[Figures]] = {cell: [] for cell in self._in_order()}
        for number in range(self._rounds + 1):
            for cell in self._in_order():
                figures = self._one(cell, self._seconds if number else WARM_UP_S)
                self._bench.empty_logs()
                if figures is not None and number:
                    done[cell].append(figures)
        for cell in self._running:
            self._results[cell[0].name, cell[1]] = medians(done[cell])

    def _in_order(self) -> list[Cell]:
        """The proxies of one work next to each other: they are compared."""
        return sorted(self._running, key=lambda cell: WORK.index(cell[0]))

    def _one(self, cell: Cell, seconds: int) -> Figures | None:
        work, proxy = cell
        running = self._running[cell]
        headers = request_headers(work, self._credentials[0])
        try:
            figures = run_round(
                running.process,
                running.url(work.path),
                load_processors=self._bench.load_processor,
                seconds=seconds,
                headers=[f"{name}: {value}" for name, value in headers.items()],
                credentials=self._credentials_file if work.callers > 1 else None,
                log=running.log,
            )
        except RoundFailed as failure:
            # Once may be the machine's fault; a proxy that keeps failing has no figures, whatever its good rounds say.
            reasons = self._repeats.setdefault(cell, [])
            reasons.append(str(failure))
            if len(reasons) <= _REPEATS_MAX:
                return self._one(cell, seconds)
            self._fail(cell, str(failure))
            return None
        self._say(f"{work.name} {proxy}: {figures.cpu_us:.1f} us, {figures.requests_per_s:,.0f}/s")
        return figures

    def _those(self, names: Sequence[str]) -> Mapping[str, Running]:
        return {name: self._main[name] for name in names if name in self._main}

    def _fail(self, cell: Cell, reason: str) -> None:
        self._running.pop(cell, None)
        self._results[cell[0].name, cell[1]] = reason

    def _say(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")


def folder_for_everyone(folder: Path) -> Path:
    """Where root starts it, nginx reads its files as another user."""
    folder.chmod(0o755)
    return folder
