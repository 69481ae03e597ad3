"""How cost grows: with workers, with connections and with the size of bodies."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from tests.bench.load import Figures, RoundFailed, medians, run_round
from tests.bench.processes import StartFailed
from tests.bench.proxies import Bench, Running
from tests.bench.table import Line, markdown, ratio_text
from tests.bench.work import GATEWAY, GROWTH_CONNECTIONS, GROWTH_PATHS, SIZES

WORKERS_NAME = "workers"
WORKERS_TITLE = "2 workers against 1, both processors"
WORKERS_TARGET = 1.1
GROWTH_NAME = "growth"
GROWTH_PROXIES = (GATEWAY, "nginx")
_WORKERS = (1, 2)
_MANY = 512
_MANY_S = 3
_PATH = "/plain/1k.json"

Grid = dict[tuple[str, int, str], Figures | str]
"""(proxy, connections, path) -> the figures, or why there are none."""


def measure_workers(bench: Bench, rounds: int, seconds: int) -> list[Line]:
    """Everything may run on both processors, the load as well, and only the gateway's own time counts."""
    found: dict[int, list[Figures]] = {count: [] for count in _WORKERS}
    try:
        running = {
            count: bench.start_gateway(f"{count}-workers", workers=count, processors=bench.both_processors)
            for count in _WORKERS
        }
        for number in range(rounds + 1):
            for count, each in running.items():
                figures = run_round(
                    each.process,
                    each.url(_PATH),
                    load_processors=bench.both_processors,
                    seconds=seconds if number else 1,
                )
                bench.empty_logs()
                if number:
                    found[count].append(figures)
    except (StartFailed, RoundFailed) as failure:
        return [Line(WORKERS_TITLE, "CPU µs/request", {}, [_workers_target({})], {GATEWAY: str(failure)})]
    for each in running.values():
        each.process.stop()
    counted = {count: medians(each) for count, each in found.items()}
    cpu = {count: each.cpu_us for count, each in counted.items()}
    return [
        Line(
            WORKERS_TITLE,
            "CPU µs/request, 1 / 2 workers",
            {GATEWAY: " / ".join(f"{cpu[count]:.1f}" for count in _WORKERS)},
            [_workers_target(cpu)],
        ),
        Line(
            "",
            "requests/s, 1 / 2 workers",
            {GATEWAY: " / ".join(f"{counted[count].requests_per_s:,.0f}" for count in _WORKERS)},
        ),
    ]


def _workers_target(cpu: Mapping[int, float]) -> str:
    return ratio_text(cpu.get(2), cpu.get(1), "1 worker", WORKERS_TARGET)


def measure_growth(bench: Bench, proxies: Mapping[str, Running], rounds: int) -> Grid:
    """proxies: that are warm, by name. What connecting costs is in it, so that many connections get longer rounds."""
    grid: Grid = {}
    for connections in GROWTH_CONNECTIONS:
        seconds = 1 if connections < _MANY else _MANY_S
        for running in proxies.values():
            # Connections to the upstream come to be, as many as there are clients.
            with suppress(RoundFailed):
                run_round(
                    running.process,
                    running.url(_PATH),
                    load_processors=bench.load_processor,
                    seconds=1,
                    connections=connections,
                )
        for path in GROWTH_PATHS:
            found: dict[str, list[Figures]] = {name: [] for name in proxies}
            for _ in range(rounds):
                for name, running in proxies.items():
                    if (name, connections, path) in grid:
                        continue
                    try:
                        figures = run_round(
                            running.process,
                            running.url(path),
                            load_processors=bench.load_processor,
                            seconds=seconds,
                            connections=connections,
                        )
                    except RoundFailed as failure:
                        grid[name, connections, path] = str(failure)
                        continue
                    found[name].append(figures)
                    bench.empty_logs()
            grid |= {(name, connections, path): medians(each) for name, each in found.items() if len(each) == rounds}
    return grid


def render_growth(grid: Grid) -> str:
    """CPU microseconds a request by connections and size, then what failed."""
    header = ["connections"]
    for name in GROWTH_PROXIES:
        header += [f"{name} {_size(path)}" for path in GROWTH_PATHS]
    rows: list[Sequence[str]] = [header]
    for connections in GROWTH_CONNECTIONS:
        row = [f"{connections:,}"]
        for name in GROWTH_PROXIES:
            row += [_cell(grid.get((name, connections, path))) for path in GROWTH_PATHS]
        rows.append(row)
    notes = [
        f"- {name}, {connections:,} connections, {_size(path)}: {each}"
        for (name, connections, path), each in grid.items()
        if isinstance(each, str)
    ]
    return "\n".join([markdown(rows, left=()), *(["", "Not measured:", *notes] if notes else [])])


def _cell(figures: Figures | str | None) -> str:
    return f"{figures.cpu_us:.1f}" if isinstance(figures, Figures) else "-"


def _size(path: str) -> str:
    return f"{SIZES[path.rpartition('/')[2]] / 1000:.0f} KB"
