"""`python -m tests.bench`: the gateway beside nginx, HAProxy, Envoy and Caddy, doing the same work on this machine.

Each proxy has processor A to itself; the load, the upstream and Redis share processor B. The rounds of the proxies take
turns, so that what else the machine does falls on all alike, and the medians count.
"""

import argparse
import datetime
import os
import platform
import secrets
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from tests.bench.check import CheckFailed, check, request_headers
from tests.bench.load import CONNECTIONS, Figures, RoundFailed, medians, run_round
from tests.bench.material import make_credentials, write_files
from tests.bench.processes import StartFailed
from tests.bench.proxies import PEERS, Bench, Running, find_program, version_of
from tests.bench.table import render
from tests.bench.work import CALLERS, COMPILED, GATEWAY, WORK, Work

RESULTS = Path(__file__).parent / "RESULTS.md"
_WARM_UP_S = 1
_NOISE_MAX = 0.1
_NEEDED = ("taskset", "wrk", "nginx")

Cell = tuple[Work, str]
"""A work and the proxy that does it."""


def main() -> int:
    """Measure, print the table, and keep it in RESULTS.md unless only a part was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round of one second, to try it; keeps no results")
    parser.add_argument("--rounds", type=int, default=5, help="of each work and proxy (default: 5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each round (default: 3)")
    names = [work.name for work in WORK]
    parser.add_argument("--work", nargs="+", choices=names, default=names, help="only these; keeps no results")
    found = parser.parse_args()
    rounds, seconds = (1, 1) if found.quick else (max(found.rounds, 1), max(found.seconds, 1))
    works = [work for work in WORK if work.name in found.work]
    missing = [name for name in _NEEDED if find_program(name) is None]
    processors = sorted(os.sched_getaffinity(0))[:2] if sys.platform == "linux" else []
    if missing or len(processors) < 2:
        reason = f"{', '.join(missing)} not installed" if missing else "this needs Linux and two processors"
        print(f"Nothing can be measured: {reason}.")
        return 0
    # Ended in any way, it ends its processes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        report = _measure(works, rounds, seconds, processors)
    except StartFailed as failure:
        print(f"Nothing can be measured: the upstream did not start: {failure}")
        return 1
    except KeyboardInterrupt:
        return 130
    print(report)
    if not found.quick and works == list(WORK):
        RESULTS.write_text(f"# The gateway beside its peers\n\n{report}\n")
    return 0


def _measure(works: Sequence[Work], rounds: int, seconds: int, processors: Sequence[int]) -> str:
    os.sched_setaffinity(0, {processors[1]})
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        # Where root starts it, nginx reads its files as another user.
        folder.chmod(0o755)
        session = _Session(folder, processors)
        try:
            session.start(works)
            session.check()
            session.run(rounds, seconds)
        finally:
            session.bench.stop_all()
    return session.report(works, rounds, seconds)


class _Session:
    """One run. results: as the table takes them; `sizes` are the compressed bodies as they came."""

    def __init__(self, folder: Path, processors: Sequence[int]) -> None:
        secret = secrets.token_urlsafe(32)
        self.bench = Bench(folder, proxy_processor=processors[0], load_processor=processors[1], secret=secret)
        self._versions: list[str] = []
        self._absent: list[str] = []
        self._running: dict[Cell, Running] = {}
        self._results: dict[tuple[str, str], Figures | str] = {}
        self._sizes: dict[str, int] = {}
        self._bodies = write_files(folder)
        self._credentials = make_credentials(secret, CALLERS)
        self._credentials_file = folder / "credentials"
        self._credentials_file.write_text("\n".join(self._credentials))

    def start(self, works: Sequence[Work]) -> None:
        """Start what the works need. Raises StartFailed where it is the upstream that does not start."""
        self.bench.start_upstream()
        tables: dict[str, Callable[[], Running]] = {
            "main": lambda: self.bench.start_gateway("main"),
            "redis": self._start_with_redis,
            "5-routes": lambda: self.bench.start_gateway("5-routes", more_routes=2),
            "1000-routes": lambda: self.bench.start_gateway("1000-routes", more_routes=997),
        }
        for table, start in tables.items():
            self._place([(work, GATEWAY) for work in works if work.table == table], start)
        cells = [(work, COMPILED) for work in works if work.table == "main"]
        self._place(cells, lambda: self.bench.start_gateway("compiled", code=self.bench.compile_gateway()))
        for peer in PEERS:
            program = find_program(peer.program)
            if program is None:
                self._absent.append(peer.name)
                continue
            self._versions.append(f"{peer.name} {version_of(program, peer.version)}")
            cells = [(work, peer.name) for work in works if peer.name in work.peers]
            self._place(cells, lambda peer=peer, program=program: self.bench.start_peer(peer, program))
        for program in ("wrk", "redis-server"):
            path = find_program(program)
            if path is None:
                self._absent.append(program)
            else:
                self._versions.append(f"{program} {version_of(path, '--version')}")

    def check(self) -> None:
        """Leave out what does not do its work."""
        for (work, proxy), running in list(self._running.items()):
            try:
                size = check(work, running.ports[work.entry], self._bodies[work.path], self._credentials[0])
            except CheckFailed as failure:
                self._fail((work, proxy), str(failure))
            else:
                if work.entry == "gzip":
                    self._sizes[proxy] = size

    def run(self, rounds: int, seconds: int) -> None:
        """Warm up, then the rounds in turn; the medians are the results."""
        done: dict[Cell, list[Figures]] = {cell: [] for cell in self._in_order()}
        for number in range(rounds + 1):
            for cell in self._in_order():
                figures = self._one(cell, seconds if number else _WARM_UP_S)
                self.bench.empty_logs()
                if figures is not None and number:
                    done[cell].append(figures)
        for cell in self._running:
            self._results[cell[0].name, cell[1]] = medians(done[cell])

    def report(self, works: Sequence[Work], rounds: int, seconds: int) -> str:
        """The table, with what it was measured on."""
        kernel = os.uname()
        machine = f"{_processor_name()} ({os.cpu_count()} processors), {kernel.sysname} {kernel.release}"
        own = ", ".join(f"{name} {version(name)}" for name in ("uvloop", "aiohttp", "httptools"))
        lines = [
            f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {machine}.",
            f"{GATEWAY}: Python {platform.python_version()}, {own}. {', '.join(self._versions)}.",
            f"Medians of {rounds} rounds of {seconds} s over {CONNECTIONS} connections, one worker each.",
            "Request ids, metrics and a JSON access log everywhere.",
        ]
        if self._absent:
            lines.append(f"Not installed: {', '.join(self._absent)}.")
        if self._sizes:
            sizes = ", ".join(f"{proxy} {size:,}" for proxy, size in self._sizes.items())
            lines.append(f"Bytes of the gzip body: {sizes}.")
        lines += [
            "CPU is user and system time of the proxy's whole process tree.",
            "Where a proxy leaves much of its processor unused, the load was the limit: requests/s is a lower bound.",
        ]
        noise = max((each.others for each in self._results.values() if isinstance(each, Figures)), default=0.0)
        if noise > _NOISE_MAX:
            lines.append(f"The machine was busy: others used up to {noise:.0%} of the proxy's processor. Run it alone.")
        return "\n".join(f"- {line}" for line in lines) + "\n\n" + render(works, self._results)

    def _place(self, cells: Sequence[Cell], start: Callable[[], Running]) -> None:
        if not cells:
            return
        try:
            running = start()
        except StartFailed as failure:
            for cell in cells:
                self._fail(cell, f"did not start: {failure}")
        else:
            self._running |= dict.fromkeys(cells, running)

    def _start_with_redis(self) -> Running:
        program = find_program("redis-server")
        if program is None:
            raise StartFailed("redis-server is not installed")
        return self.bench.start_gateway("redis", store=self.bench.start_redis(program))

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
                f"http://127.0.0.1:{running.ports[work.entry]}{work.path}",
                proxy_processor=self.bench.proxy_processor,
                load_processor=self.bench.load_processor,
                seconds=seconds,
                headers=[f"{name}: {value}" for name, value in headers.items()],
                credentials=self._credentials_file if work.callers > 1 else None,
            )
        except RoundFailed as failure:
            self._fail(cell, str(failure))
            return None
        sys.stderr.write(f"{work.name} {proxy}: {figures.cpu_us:.1f} us, {figures.requests_per_s:,.0f}/s\n")
        return figures

    def _fail(self, cell: Cell, reason: str) -> None:
        self._running.pop(cell, None)
        self._results[cell[0].name, cell[1]] = reason


def _processor_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


if __name__ == "__main__":
    raise SystemExit(main())
