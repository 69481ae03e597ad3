"""The row of the idle clients: what each costs in memory, and whether live traffic feels them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.load import RoundFailed, run_round
from tests.bench.open_loop import Group, Outcome, Plan, plan_line
from tests.bench.processes import Process, StartFailed
from tests.bench.proxies import Bench, Running
from tests.bench.table import Line, amount_text, ratio_text
from tests.bench.work import GATEWAY, INTERPRETED

NAME = "idle"
PROXIES = (GATEWAY, INTERPRETED, "nginx", "HAProxy", "Envoy")
CLIENTS = 8_000
TITLE = f"{CLIENTS:,} idle keep-alive clients"
MEMORY_TARGET_KIB = 6.0
P99_TARGET = 2.0
_PATH = "/plain/1k.json"
_SOURCES = tuple(f"127.0.0.{number}" for number in range(2, 6))
_LIVE_CLIENTS = 64
_LIVE_PER_S = 1_000
_ASK_ONCE_S = 4.0
_RAMP_PER_S = 4_000
_MARGIN_S = 40.0


@dataclass(frozen=True, slots=True)
class _Found:
    kib: float
    p99_ms: float
    p99_with_ms: float


def measure(bench: Bench, start: Mapping[str, Callable[[], Running]], rounds: int, seconds: int) -> list[Line]:
    """start: starts each proxy anew, since memory that a load has left behind would take the clients in unseen.

    rounds, seconds: of live traffic, with and without the idle ones each; the medians count.
    """
    found: dict[str, _Found] = {}
    failures: dict[str, str] = {}
    for name, start_one in start.items():
        try:
            running = start_one()
            try:
                found[name] = _measure(bench, name, running, rounds, seconds)
            finally:
                running.process.stop()
        except (StartFailed, RoundFailed) as failure:
            failures[name] = str(failure)
    own = found.get(GATEWAY)
    return [
        Line(
            TITLE,
            "memory KiB each",
            {name: f"{each.kib:.1f}" for name, each in found.items()},
            [amount_text(own and own.kib, "KiB", MEMORY_TARGET_KIB)],
            failures,
        ),
        Line(
            "",
            f"p99 ms of {_LIVE_PER_S:,} requests/s without / with",
            {name: f"{each.p99_ms:.2f} / {each.p99_with_ms:.2f}" for name, each in found.items()},
            [ratio_text(own and own.p99_with_ms, own and own.p99_ms, "without them", P99_TARGET)],
        ),
    ]


def _measure(bench: Bench, name: str, running: Running, rounds: int, seconds: int) -> _Found:
    run_round(running.process, running.url(_PATH), load_processors=bench.load_processor, seconds=1)
    without_ms = _live_p99_ms(bench, f"{name}-without", running, rounds, seconds)
    before_mib = running.process.rss_mib()
    # Each asks once, as a client does before it rests.
    group = Group("idle", running.ports["plain"], CLIENTS, _ASK_ONCE_S, path=_PATH, sources=_SOURCES)
    crowd = start_clients(bench, f"{name}-idle", Plan([group], _ASK_ONCE_S, _RAMP_PER_S))
    try:
        crowd.wait_for_line("connected", CLIENTS / _RAMP_PER_S + _MARGIN_S)
        crowd.tell("go")
        crowd.wait_for_line("done", _MARGIN_S)
        outcome = Outcome.read(clients_folder(bench, f"{name}-idle"), "idle")
        if len(outcome.records) != CLIENTS:
            raise RoundFailed(f"only {len(outcome.records):,} of {CLIENTS:,} clients were answered")
        kib = (running.process.rss_mib() - before_mib) * 1024 / CLIENTS
        with_ms = _live_p99_ms(bench, f"{name}-with", running, rounds, seconds)
    finally:
        crowd.stop()
    return _Found(kib, without_ms, with_ms)


def _live_p99_ms(bench: Bench, name: str, running: Running, rounds: int, seconds: int) -> float:
    return median(_one_p99_ms(bench, f"{name}-{number}", running, seconds) for number in range(rounds))


def _one_p99_ms(bench: Bench, name: str, running: Running, seconds: int) -> float:
    group = Group("live", running.ports["plain"], _LIVE_CLIENTS, _LIVE_CLIENTS / _LIVE_PER_S, path=_PATH)
    clients = start_clients(bench, name, Plan([group], seconds))
    try:
        clients.wait_for_line("connected", _MARGIN_S)
        clients.tell("go")
        clients.wait_for_line("done", seconds + _MARGIN_S)
    finally:
        clients.stop()
    outcome = Outcome.read(clients_folder(bench, name), "live")
    p99_ms = outcome.records.percentile_ms(99)
    if outcome.failures or p99_ms is None:
        raise RoundFailed(f"of {outcome.asked:,} requests {len(outcome.failures):,} failed")
    return p99_ms


def clients_folder(bench: Bench, name: str) -> Path:
    """Where clients of that name leave what they saw."""
    return bench.folder / f"clients-{name}"


def start_clients(bench: Bench, name: str, plan: Plan, processors: str = "") -> Process:
    """`open_loop` with that plan, connecting; on the load's processor unless said otherwise."""
    folder = clients_folder(bench, name)
    folder.mkdir()
    process = bench.start_module(f"clients-{name}", "tests.bench.open_loop", (), processors, folder)
    process.tell(plan_line(plan))
    return process
