"""`python -m tests.bench.services`: CRM with a million contacts, asked 200 times a second and nothing of it cached.

The embedded PostgreSQL is migrated and filled, CRM is started as it is deployed, one process, and asked directly, at
times that do not depend on its answers; a latency counts from when the request was due. First each kind of request has
a run of its own, then all are mixed. Says whether p95 stays below 50 ms, and what a page deep in the list costs beside
the first one. Nothing is pinned: load, service and PostgreSQL share the machine.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import urlencode

import aiohttp
import asyncpg
import psutil
import uvloop

from tests.bench.records import Records
from tests.bench.services_data import TENANTS, Known, Person, fill, know
from upstream_services.crm.api import SERVICE as CRM
from upstream_services.kit.database import database_url
from upstream_services.kit.embedded_postgres import EmbeddedPostgres
from upstream_services.kit.migrations import migrate

P95_MS = 50.0
DEEP_RATIO = 1.25
RATE_PER_S = 200
# A server's usual share of the memory (a quarter of it is the rule), so that the tables are in it: with the default,
# which fits any machine, each search copies its rows from the system's cache.
SHARED_BUFFERS = "1GB"
WARM_UP_S = 2.0
_PATIENCE_S = 30.0
_PROJECT = Path(__file__).parents[2]

Ask = Callable[[Person, Known, Random], str]


def _list(**query: str) -> Ask:
    return lambda _person, _known, _rng: f"/crm/contacts?{urlencode(query)}"


def _deep(person: Person, known: Known, _rng: Random) -> str:
    return f"/crm/contacts?after={known.deep[person.tenant]}"


def _search(person: Person, _known: Known, rng: Random) -> str:
    """What people type: a name, two, the beginning of one, an address."""
    first, last = person.name.split()
    text = rng.choice((first, last, person.name, f"{first} {last[:3]}", last[:3], person.email))
    return f"/crm/contacts?{urlencode({'q': text})}"


RUNS: Mapping[str, Mapping[str, Ask]] = {
    "lists": {
        "list, status=": _list(status="active"),
        "list, status= and sort=name": _list(status="lead", sort="name"),
        "list, sort=-updated_at": _list(sort="-updated_at"),
        "list, owner_id=": lambda person, _known, _rng: f"/crm/contacts?owner_id={person.owner}",
        "list, email=": lambda person, _known, _rng: f"/crm/contacts?{urlencode({'email': person.email})}",
        "list, name email phone of 20": _list(fields="name,email,phone", limit="20"),
    },
    "pages": {"first page": _list(), "page at 90 %": _deep},
    "details": {"details": lambda person, _known, _rng: f"/crm/contacts/{person.id}"},
    "search": {"search": _search},
}
MIXED = {kind: ask for kinds in RUNS.values() for kind, ask in kinds.items()}


@dataclass(slots=True)
class Seen:
    """What came of one kind of request. failures: what was no 200, by what it was instead."""

    records: Records = field(default_factory=Records)
    failures: dict[str, int] = field(default_factory=dict)

    def failed(self, reason: str) -> None:
        self.failures[reason] = self.failures.get(reason, 0) + 1

    @property
    def is_fast(self) -> bool:
        """Whether all were answered, 95 of 100 soon enough."""
        p95_ms = self.records.percentile_ms(95)
        return not self.failures and p95_ms is not None and p95_ms < P95_MS


async def drive(url: str, known: Known, kinds: Mapping[str, Ask], seconds: float, seed: int) -> dict[str, Seen]:
    """Asks RATE_PER_S times a second, the kinds in turn, however long the answers take."""
    warm_up_s = min(WARM_UP_S, seconds)
    rng, found = Random(seed), {kind: Seen() for kind in kinds}
    turns = tuple(kinds.items())
    loop = asyncio.get_running_loop()
    limits = aiohttp.ClientTimeout(total=_PATIENCE_S)
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0), timeout=limits) as session:

        async def ask(kind: str, path: str, tenant: str, due_s: float) -> None:
            try:
                async with session.get(path, headers={"X-Tenant-Id": tenant}) as reply:
                    await reply.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                found[kind].failed(type(error).__name__)
                return
            if reply.status != 200:
                found[kind].failed(str(reply.status))
            elif due_s >= start_s + warm_up_s:
                found[kind].records.add(due_s, time.monotonic() - due_s)

        # Not the loop's clock, which uvloop keeps in whole milliseconds: a page of 3 ms and one of 4 would be the same.
        start_s, asking = time.monotonic() + 0.1, []
        for number in range(round((warm_up_s + seconds) * RATE_PER_S)):
            due_s = start_s + number / RATE_PER_S
            kind, make = turns[number % len(turns)]
            person = known.pick(rng)
            path = make(person, known, rng)
            await asyncio.sleep(due_s - time.monotonic())
            asking.append(loop.create_task(ask(kind, path, person.tenant, due_s)))
        await asyncio.gather(*asking)
    return found


def table(runs: Mapping[str, Mapping[str, Seen]]) -> str:
    """The figures of every run, as Markdown."""
    lines = [
        "| run | request | asked | p50 ms | p95 ms | p99 ms | p95 < 50 ms |",
        "| --- | --- | --: | --: | --: | --: | --- |",
    ]
    for run, kinds in runs.items():
        for kind, seen in kinds.items():
            cells = [_ms(seen.records.percentile_ms(percent)) for percent in (50, 95, 99)]
            failed = ", ".join(f"{count} × {reason}" for reason, count in seen.failures.items())
            verdict = ("yes" if seen.is_fast else "NO") + (f" ({failed})" if failed else "")
            asked = len(seen.records) + sum(seen.failures.values())
            lines.append(f"| {run} | {kind} | {asked:,} | {' | '.join(cells)} | {verdict} |")
    return "\n".join(lines)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def deep_ratio(kinds: Mapping[str, Seen]) -> float | None:
    """The median of a page at 90 % over that of the first one; None where either is missing."""
    first, deep = (kinds[kind].records.percentile_ms(50) for kind in RUNS["pages"])
    return deep / first if first and deep else None


def verdicts(runs: Mapping[str, Mapping[str, Seen]]) -> tuple[str, bool]:
    """What is said below the table, and whether all of it is a yes."""
    ratio = deep_ratio(runs["pages"])
    is_flat = ratio is not None and ratio <= DEEP_RATIO
    slow = [f"{run}: {kind}" for run, kinds in runs.items() for kind, seen in kinds.items() if not seen.is_fast]
    told = "not measured" if ratio is None else f"{ratio:.2f} × the first page's median (≤ {DEEP_RATIO:g}) "
    told += "" if ratio is None else "yes" if is_flat else "NO"
    fast = "yes" if not slow else "NO: " + "; ".join(slow)
    return f"p95 < {P95_MS:g} ms everywhere: {fast}\npage at 90 %: {told}", is_flat and not slow


@asynccontextmanager
async def served(url: str, log: Path) -> AsyncIterator[tuple[str, int]]:
    """CRM as a process of its own; its address and its id."""
    command = (sys.executable, "-m", "upstream_services.crm", "--database", url, "--port", "0", "--exit-with-parent")
    with log.open("wb") as errors:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, cwd=_PROJECT, stdin=pipe, stdout=pipe, stderr=errors)
    assert process.stdin is not None and process.stdout is not None
    try:
        line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"CRM does not start: {log.read_text().strip()}")
        yield str(json.loads(line)["url"]), process.pid
    finally:
        process.stdin.close()
        await process.wait()


def slow_statements(log: Path) -> list[str]:
    """What CRM's log says of slow statements, each once."""
    found = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return list(dict.fromkeys(line["statement"] for line in found if line.get("message") == "slow query"))


async def prepare(postgres: EmbeddedPostgres, rows: int) -> None:
    """Fills a database, if it is not yet. What is set of the server holds from its next start."""
    url = await postgres.create_database("bench_crm")
    started = time.monotonic()
    await migrate(database_url(url), CRM.migrations, CRM.metadata)
    count = await fill(url, rows)
    print(f"{count:,} contacts of {TENANTS} tenants in {time.monotonic() - started:.0f} s", file=sys.stderr)
    connection = await asyncpg.connect(url)
    await connection.execute(f"alter system set shared_buffers = '{SHARED_BUFFERS}'")
    await connection.close()


async def measure(postgres: EmbeddedPostgres, seconds: float, log: Path) -> dict[str, dict[str, Seen]]:
    """Drives each run. Says what it does on standard error."""
    url = postgres.url("bench_crm")
    known = await know(url)
    runs = {}
    async with served(url, log) as (address, pid):
        programs = {"CRM": pid, "PostgreSQL": postmaster_of(url)}
        for seed, (run, kinds) in enumerate([*RUNS.items(), ("mixed", MIXED)]):
            before = {name: cpu_s(of) for name, of in programs.items()}
            runs[run] = await drive(address, known, kinds, seconds, seed)
            asked = (min(WARM_UP_S, seconds) + seconds) * RATE_PER_S
            used = ", ".join(f"{name} {(cpu_s(of) - before[name]) / asked * 1e3:.2f}" for name, of in programs.items())
            print(f"{run}: CPU ms a request: {used}; load of the machine {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return runs


def postmaster_of(url: str) -> int:
    """The process of the embedded server, whose children serve its connections."""
    return int((Path(url.partition("host=")[2]) / "postmaster.pid").read_text().split()[0])


def cpu_s(pid: int) -> float:
    """What a process and its children have used, those that have ended as well."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for each in process.children():
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system
    return total


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; the exit code is 0 where every target is reached."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.services", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="contacts (default: 1,000,000)")
    parser.add_argument("--seconds", type=float, default=30, help="of each run (default: 30)")
    parser.add_argument("--data", type=Path, help="folder of the database, kept, and filled the first time only")
    parser.add_argument("--log", type=Path, help="where CRM's log is kept")
    found = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-services-") as folder:
        log = found.log or Path(folder) / "crm.log"
        data = found.data or Path(folder) / "data"
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            with EmbeddedPostgres(data) as postgres:
                runner.run(prepare(postgres, found.rows))
            with EmbeddedPostgres(data) as postgres:
                runs = runner.run(measure(postgres, found.seconds, log))
        slow = slow_statements(log)
    print(table(runs))
    text, is_reached = verdicts(runs)
    print(f"\n{text}")
    for statement in slow:
        print(f"slow: {statement}")
    return 0 if is_reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
