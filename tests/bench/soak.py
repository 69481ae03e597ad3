"""`python -m tests.bench.soak`: ten thousand users for ten minutes, as one gateway has them on one machine.

Every client is connected all the time and asks once in ten seconds, at its own moment, with its own token; limits by
the plan of its tenant in Redis, and the access log on. The same process also asks the upstreams directly, now and then:
the difference of the percentiles is the latency that the gateway adds. `--faults` kills an upstream, a worker and Redis
under that load, and accounts for every request.
"""

import argparse
import math
import os
import secrets
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.bench.idle import clients_folder, start_clients
from tests.bench.machine import describe_interpreter, describe_machine, raise_file_limit
from tests.bench.material import make_credentials
from tests.bench.open_loop import PATIENCE_S, Caller, Group, Outcome, Plan
from tests.bench.processes import Process, StartFailed, cpu_of_s, free_ports
from tests.bench.proxies import Bench, find_program
from tests.bench.soak_faults import (
    REDIS,
    UPSTREAM,
    WORKER,
    Fault,
    Step,
    Timeline,
    count_kinds,
    fault_rows,
    settle,
    verdict_lines,
)
from tests.bench.table import amount_text, markdown

P99_TARGET_MS = 20.0
GROWTH_TARGET_MIB = 16.0
OUTAGE_S = 10.0
_PLAN_PER_MINUTE = 600
_SOURCES = tuple(f"127.0.0.{number}" for number in range(2, 10))
_DIRECT_CLIENTS = 50
_FILES = 20_000
_LOOK_S = 0.2
_MARGIN_S = 60.0


def main() -> int:
    """Returns 0 where all holds, 1 where something does not, 2 where it could not be run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=10_000, help="connected at once (default: 10000)")
    parser.add_argument("--minutes", type=float, default=10.0, help="(default: 10)")
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between requests of one (default: 10)")
    parser.add_argument("--workers", type=int, default=2, help="of the gateway (default: 2)")
    parser.add_argument("--faults", action="store_true", help="kill an upstream, a worker and Redis meanwhile")
    parser.add_argument("--interpreted", action="store_true", help="the gateway uncompiled")
    parser.add_argument("--compiled", type=Path, metavar="DIR", help="packages that deploy/compile.py compiled before")
    found = parser.parse_args()
    redis = find_program("redis-server")
    if redis is None or sys.platform != "linux":
        print("Nothing can be measured: redis-server is not installed, or this is not Linux.")
        return 2
    if found.faults and found.minutes < 2:
        parser.error("--faults needs two minutes at least: each fault has its time, and the gateway time between them")
    if raise_file_limit(_FILES) < found.clients + 1_000:
        print(f"Nothing can be measured: {found.clients:,} clients need as many open files (ulimit -n).")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        processors = sorted(os.sched_getaffinity(0))
        bench = Bench(Path(name), processors=(processors[0], processors[-1]), secret=secrets.token_urlsafe(32))
        bench.compiled = found.compiled and found.compiled.resolve()
        soak = Soak(bench, found, redis)
        try:
            soak.start()
            soak.run()
            return 0 if soak.report() else 1
        except StartFailed as failure:
            print(f"Nothing can be measured: {failure}")
            return 2
        except KeyboardInterrupt:
            return 130
        finally:
            bench.stop_all()


class Soak:
    """One run. settings: the command line."""

    def __init__(self, bench: Bench, settings: argparse.Namespace, redis: str) -> None:
        self._bench = bench
        self._settings = settings
        self._redis_program = redis
        self._seconds = settings.minutes * 60
        self._ports = free_ports(3)
        self._restarts = 0
        self._faults: list[Fault] = []
        self._minutes: list[tuple[float, float]] = []
        self._lost_cpu_s = 0.0
        self._upstreams: list[Process] = []

    def start(self) -> None:
        """Everything, and the clients connected. Raises StartFailed."""
        bench, settings = self._bench, self._settings
        self._upstreams = [self._start_upstream(number) for number in range(2)]
        self._redis, _ = bench.start_redis(self._redis_program, self._ports[2])
        values = {"store": f"redis://127.0.0.1:{self._ports[2]}/0", "first": self._ports[0], "second": self._ports[1]}
        config = bench.render("soak.routes.yaml", values)
        self._running, self._admin_port = bench.serve(
            "soak",
            config,
            compiled=not settings.interpreted,
            workers=settings.workers,
            processors=bench.both_processors,
        )
        self._gateway = self._running.process
        _say(f"{describe_machine()}; {describe_interpreter()}")
        kind = "interpreted" if settings.interpreted else "compiled"
        _say(
            f"gateway {kind}, {settings.workers} workers, limits in Redis; memory at start {self._memory_mib():.1f} MiB"
        )
        self._clients = start_clients(bench, "soak", self._plan(), bench.both_processors)
        self._clients.wait_for_line("connected", settings.clients / 1000 + _MARGIN_S)
        self._connected_mib = self._memory_mib()
        _say(f"{settings.clients:,} clients connected; memory {self._connected_mib:.1f} MiB")

    def run(self) -> None:
        """From the first request to the last reply."""
        timeline = Timeline(self._steps() if self._settings.faults else ())
        cpu_s, clients_cpu_s = self._cpu_s(), self._clients.cpu_s()
        self._clients.tell("go")
        self._began_s = began_s = time.monotonic()
        minute = 1
        while (elapsed_s := time.monotonic() - began_s) < self._seconds:
            timeline.run_due(elapsed_s)
            if elapsed_s >= minute * 60:
                self._minutes.append((self._memory_mib(), self._cpu_s() - cpu_s))
                _say(f"minute {minute}: memory {self._minutes[-1][0]:.1f} MiB")
                minute += 1
            time.sleep(_LOOK_S)
        self._clients.wait_for_line("done", PATIENCE_S + _MARGIN_S)
        self._minutes.append((self._memory_mib(), self._cpu_s() - cpu_s))
        self._clients_cpu_s = self._clients.cpu_s() - clients_cpu_s
        self._metrics = _metrics(self._admin_port)
        self._clients.stop()
        self._gateway.stop()

    def report(self) -> bool:
        """Print the figures; whether all of it holds."""
        folder = clients_folder(self._bench, "soak")
        through, direct = Outcome.read(folder, "gateway"), Outcome.read(folder, "direct")
        account = settle(self._faults, through, self._journal())
        print()
        print(markdown(self._minute_rows(through, direct), left=()))
        added = {percent: _difference(through, direct, percent) for percent in (50.0, 99.0)}
        answered, failed = len(through.records), len(through.failures)
        cpu_s = self._minutes[-1][1]
        logged = sum(1 for _ in self._running.log.open("rb"))
        growth_mib = self._minutes[-1][0] - self._minutes[0][0]
        dropped, restarted = (
            self._metrics.get(f"gateway_{name}_total", 0.0) for name in ("access_log_dropped", "worker_restarts")
        )
        clients_share = self._clients_cpu_s / self._seconds
        lines = [
            f"{through.asked:,} requests, {answered:,} good replies, {failed:,} failed",
            f"failed: {count_kinds(through.failures)}; direct: {count_kinds(direct.failures)}",
            f"{through.reconnects:,} reconnects, {through.failed_connects:,} failed connects",
            f"added latency: p50 {_ms(added[50.0])}, p99 {_ms(added[99.0])}",
            f"gateway {cpu_s / max(answered, 1) * 1e6:.0f} µs of CPU a request, {cpu_s / self._seconds:.0%} of one",
            f"clients {clients_share:.0%} of one",
            f"access log: {logged:,} lines, {dropped:.0f} dropped; workers restarted: {restarted:.0f}",
        ]
        print("\n" + "\n".join(f"- {line}" for line in lines))
        if self._faults:
            print("\n" + markdown(fault_rows(self._faults, account, through, self._began_s), left=(0, 4)))
            print("\n" + "\n".join(f"- {line}" for line in verdict_lines(account, through.asked, answered)))
            return account.is_good and answered + failed == through.asked
        verdicts = [
            f"error rate {failed / max(through.asked, 1):.6f} (0) {'yes' if not failed else 'NO'}",
            f"p99 added {amount_text(added[99.0], 'ms', P99_TARGET_MS)}",
            f"memory from minute 1 to the end +{amount_text(growth_mib, 'MiB', GROWTH_TARGET_MIB)}",
        ]
        print("\n" + "\n".join(f"- {verdict}" for verdict in verdicts))
        return account.is_good and answered == through.asked and all(each.endswith("yes") for each in verdicts)

    def _plan(self) -> Plan:
        settings = self._settings
        per_minute = settings.clients * 60 / settings.interval
        tenants = max(1, math.ceil(per_minute / _PLAN_PER_MINUTE))
        credentials = make_credentials(self._bench.secret, settings.clients, tenants)
        callers = [
            Caller(credential, f"tenant-{number % tenants}", f"user-{number}")
            for number, credential in enumerate(credentials)
        ]
        mix = {"post_every": 10, "wait_every": 20, "wait_ms": 300} if settings.faults else {"post_every": 10}
        gateway = Group(
            "gateway",
            self._running.ports["plain"],
            settings.clients,
            settings.interval,
            callers=callers,
            sources=_SOURCES,
            **mix,
        )
        direct = Group(
            "direct",
            self._ports[1],
            _DIRECT_CLIENTS,
            1.0,
            names_itself=True,
            callers=[Caller("", "tenant-direct", f"user-{number}") for number in range(_DIRECT_CLIENTS)],
            post_every=10,
        )
        return Plan([gateway, direct], self._seconds)

    def _minute_rows(self, through: Outcome, direct: Outcome) -> list[list[str]]:
        rows = [["minute", "good", "failed", "gateway p50 / p99 ms", "direct p50 / p99 ms", "memory MiB", "CPU s"]]
        for number, (memory_mib, cpu_s) in enumerate(self._minutes):
            from_s = self._began_s + number * 60
            own, others = through.records.between(from_s, from_s + 60), direct.records.between(from_s, from_s + 60)
            if not own:
                continue
            failed = sum(from_s <= each.due_s < from_s + 60 for each in through.failures)
            before_s = self._minutes[number - 1][1] if number else 0.0
            rows.append(
                [
                    f"{number + 1}",
                    f"{len(own):,}",
                    f"{failed:,}",
                    *(" / ".join(_ms(each.percentile_ms(p))[:-3] for p in (50.0, 99.0)) for each in (own, others)),
                    f"{memory_mib:.1f}",
                    f"{cpu_s - before_s:.1f}",
                ]
            )
        return rows

    def _steps(self) -> Iterator[Step]:
        for share, kill, restart in (
            (0.2, self._kill_upstream, self._restart_upstream),
            (0.5, self._kill_worker, None),
            (0.7, self._kill_redis, self._restart_redis),
        ):
            yield Step(self._seconds * share, kill)
            if restart is not None:
                yield Step(self._seconds * share + OUTAGE_S, restart)

    def _kill_upstream(self) -> None:
        self._down_s = time.monotonic()
        self._upstreams[0].kill()
        _say("upstream killed")

    def _restart_upstream(self) -> None:
        self._upstreams[0] = self._start_upstream(0)
        self._faults.append(Fault(UPSTREAM, self._down_s, time.monotonic()))
        _say("upstream is there again")

    def _kill_worker(self) -> None:
        workers = self._gateway.pids()[1:]
        victim = psutil.Process(workers[0])
        self._lost_cpu_s += cpu_of_s([victim.pid])
        port = self._running.ports["plain"]
        began_s = time.monotonic()
        sources = frozenset(
            tuple(each.raddr) for each in victim.net_connections("tcp4") if each.raddr and each.laddr.port == port
        )
        victim.kill()
        while _metrics(self._admin_port).get("gateway_workers", 0) < self._settings.workers or victim.is_running():
            if time.monotonic() - began_s > _MARGIN_S:
                raise StartFailed("the killed worker has no successor")
            time.sleep(_LOOK_S)
        self._faults.append(Fault(WORKER, began_s, time.monotonic(), sources))
        _say(
            f"worker killed, which had {len(sources):,} connections; the next one was there in "
            f"{self._faults[-1].ended_s - began_s:.1f} s"
        )

    def _kill_redis(self) -> None:
        self._down_s = time.monotonic()
        self._redis.kill()
        _say("Redis killed")

    def _restart_redis(self) -> None:
        self._redis, _ = self._bench.start_redis(self._redis_program, self._ports[2])
        self._faults.append(Fault(REDIS, self._down_s, time.monotonic()))
        _say("Redis is there again")

    def _start_upstream(self, number: int) -> Process:
        self._restarts += 1
        arguments = (str(self._ports[number]), str(self._bench.folder / f"journal-{number}"))
        process = self._bench.start_module(
            f"upstream-{self._restarts}", "tests.bench.echo_upstream", arguments, self._bench.both_processors
        )
        process.wait_until_listening(self._ports[number])
        return process

    def _journal(self) -> Iterator[str]:
        """`METHOD id` of every request of the gateway at an upstream."""
        for path in self._bench.folder.glob("journal-*"):
            for line in path.open():
                if " gateway-" in line:
                    yield line.rstrip()

    def _memory_mib(self) -> float:
        return self._gateway.rss_mib()

    def _cpu_s(self) -> float:
        return self._gateway.cpu_s() + self._lost_cpu_s


def _metrics(port: int) -> dict[str, float]:
    """The series without labels on the gateway's admin listener."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    pairs = (line.split(" ") for line in lines if not line.startswith("#") and "{" not in line)
    return {pair[0]: float(pair[1]) for pair in pairs}


def _difference(through: Outcome, direct: Outcome, percent: float) -> float | None:
    own, others = through.records.percentile_ms(percent), direct.records.percentile_ms(percent)
    return None if own is None or others is None else own - others


def _ms(value: float | None) -> str:
    return "- ms" if value is None else f"{value:.2f} ms"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
