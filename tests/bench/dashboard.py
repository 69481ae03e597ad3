"""`python -m tests.bench.dashboard`: how much of a dashboard's traffic the cache answers, and whether it is ever wrong.

The four services of the demo on their PostgreSQL, a redis-server, and a gateway of two workers with the project's
routes.yaml; only the plans are larger, so that no limit ends the run. Users of some tenants read and write through it
(`dashboard_model.py` says what): each over a connection of its own, a write in ten requests, tenants and records by
Zipf's law, from a fixed seed. What a user has changed, its next read has to show, and within 100 ms everybody's.
"""

import argparse
import asyncio
import os
import random
import re
import secrets
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

import aiohttp

from gateway.config.load import load_table
from gateway.development_token import Caller, make_token
from tests.bench.dashboard_model import (
    FILTERS,
    SERVICE_OF,
    Draws,
    Expectation,
    Read,
    Seen,
    Tenant,
    Violation,
    Write,
    Zipf,
    moment,
    new_record,
)
from tests.bench.processes import StartFailed, free_ports
from tests.bench.proxies import REPOSITORY, Bench, find_program
from tests.bench.table import markdown

HIT_RATIO_TARGET = 0.8
OTHERS_S = 0.1
"""How long another worker's memory may know nothing of a write."""
_SERVICES = ("crm", "finance", "hr", "marketing")
_SCOPES = [f"{name}.{right}" for name in _SERVICES for right in ("read", "write")]
_HITS = ("hit-l1", "hit-l2", "coalesced", "stale")
_PLANS = re.compile(r"^  enterprise: \{limits: .*\}$", re.MULTILINE)
_LARGE_PLAN = "  enterprise: {limits: [1000000/min]}"
_SERIES = re.compile(r"gateway_cache_(requests|bytes|evictions|invalidations_owed)_total\{(.*)\} (\S+)")


def main() -> int:
    """Returns 0 where all holds, 1 where something does not, 2 where it could not be run."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.dashboard", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--requests", type=int, default=20_000, help="at most (default: 20000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="at most (default: 60)")
    parser.add_argument("--warm-up", type=int, default=8_000, help="requests before those that count (default: 8000)")
    parser.add_argument("--tenants", type=int, default=20, help="(default: 20)")
    parser.add_argument("--users", type=int, default=5, help="of each tenant (default: 5)")
    parser.add_argument("--records", type=int, default=25, help="of each collection (default: 25)")
    parser.add_argument("--at-once", type=int, default=16, help="requests under way (default: 16)")
    parser.add_argument("--writes", type=float, default=0.1, help="share of all requests (default: 0.1)")
    parser.add_argument("--burst", type=int, default=3, help="changes that a user makes in a row (default: 3)")
    parser.add_argument("--zipf", type=float, default=1.1, help="the exponent (default: 1.1)")
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    parser.add_argument("--table", type=Path, default=REPOSITORY / "routes.yaml", help="another one to compare with")
    parser.add_argument("--compiled", type=Path, metavar="DIR", help="packages that deploy/compile.py compiled before")
    settings = parser.parse_args()
    redis = find_program("redis-server")
    if redis is None or sys.platform != "linux":
        print("Nothing can be measured: redis-server is not installed, or this is not Linux.")
        return 2
    with tempfile.TemporaryDirectory(prefix="dashboard-") as name:
        processors = sorted(os.sched_getaffinity(0))
        bench = Bench(Path(name), processors=(processors[0], processors[-1]), secret=secrets.token_urlsafe(32))
        bench.compiled = settings.compiled and settings.compiled.resolve()
        try:
            dashboard = Dashboard(bench, settings, redis)
            asyncio.run(dashboard.run())
            return 0 if dashboard.report() else 1
        except StartFailed as failure:
            print(f"Nothing can be measured: {failure}")
            return 2
        except KeyboardInterrupt:
            return 130
        finally:
            bench.stop_all()


class Dashboard:
    """One run. settings: the command line. Raises StartFailed."""

    def __init__(self, bench: Bench, settings: argparse.Namespace, redis: str) -> None:
        self._settings = settings
        ports = free_ports(len(_SERVICES) + 1)
        self._urls = {name: f"http://127.0.0.1:{port}" for name, port in zip(_SERVICES, ports, strict=False)}
        os.environ |= {f"{name.upper()}_URL": url for name, url in self._urls.items()}
        os.environ |= {"JWT_SECRET": bench.secret, "REDIS_URL": f"redis://127.0.0.1:{ports[-1]}/0"}
        services = ("--exit-with-parent", "--ports", ",".join(map(str, ports[:-1])))
        started = bench.start_module("services", "upstream_services.demo", services, bench.both_processors)
        bench.start_redis(redis, ports[-1])
        table = bench.folder / "routes.yaml"
        text, count = _PLANS.subn(_LARGE_PLAN, settings.table.read_text())
        assert count == 1, "routes.yaml has no plan called enterprise"
        table.write_text(text)
        running, self._admin = bench.serve(
            "dashboard", table, compiled=bench.compiled is not None, workers=2, processors=bench.both_processors
        )
        started.wait_for_line('{"ready": true', 90.0)
        self._url = f"http://127.0.0.1:{running.ports['plain']}/api/v1"
        self._loaded = load_table(str(table))
        self._rng = random.Random(settings.seed)
        self._tenants = [Tenant(f"tenant-{number:02}") for number in range(settings.tenants)]
        self._draws = Draws(
            self._rng,
            records=settings.records,
            exponent=settings.zipf,
            write_share=settings.writes,
            burst=settings.burst,
        )
        self._left = settings.requests + settings.warm_up
        self._is_counting = False
        self._asked: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._violations: list[Violation] = []
        self._took_ms: dict[str, list[float]] = {}

    async def run(self) -> None:
        """Fill the services, then let the users work."""
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(self._fill(session, tenant) for tenant in self._tenants))
        users = [(tenant, f"user-{number}") for tenant in self._tenants for number in range(self._settings.users)]
        sessions = {(tenant.name, user): self._session(tenant, user) for tenant, user in users}
        locks = {key: asyncio.Lock() for key in sessions}
        zipf = Zipf(len(self._tenants), self._settings.zipf)

        async def work() -> None:
            while self._left > 0 and time.monotonic() < self._until_s:
                tenant = self._tenants[zipf.draw(self._rng)]
                user = f"user-{self._rng.randrange(self._settings.users)}"
                async with locks[tenant.name, user]:
                    for step in self._draws.steps(tenant):
                        await self._step(sessions[tenant.name, user], tenant, user, step)

        self._until_s = time.monotonic() + 2 * self._settings.seconds
        self._before: Counter[tuple[str, str]] = Counter()
        await asyncio.gather(*(work() for _ in range(self._settings.at_once)))
        self._seconds = time.monotonic() - self._began_s
        self._metrics = await asyncio.to_thread(self._read_metrics)
        for session in sessions.values():
            await session.close()

    def _session(self, tenant: Tenant, user: str) -> aiohttp.ClientSession:
        caller = Caller(tenant.name, user, "enterprise", _SCOPES, _SERVICES)
        headers = {"Authorization": f"Bearer {make_token(self._loaded, caller, lifetime_s=3600)}"}
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=300), headers=headers)

    async def _fill(self, session: aiohttp.ClientSession, tenant: Tenant) -> None:
        headers = {"X-Tenant-Id": tenant.name}

        async def make(method: str, service: str, name: str, body: dict[str, Any]) -> Any:
            url = f"{self._urls[service]}/{service}/{name}"
            async with session.request(method, url, json=body, headers=headers) as reply:
                made = await reply.json()
                if reply.status >= 300:
                    raise StartFailed(f"{service} answered {reply.status} to a new {name}: {made}")
                return made

        await make("PUT", "finance", "profile", {"legal_name": tenant.name, "home_state": "29"})
        tenant.ids["departments"] = [(await make("POST", "hr", "departments", {"name": "Sales", "code": "SAL"}))["id"]]
        for collection, service in SERVICE_OF.items():
            for number in range(self._settings.records):
                tenant.add(collection, await make("POST", service, collection, new_record(tenant, collection, number)))

    async def _step(self, session: aiohttp.ClientSession, tenant: Tenant, user: str, step: Read | Write) -> None:
        self._left -= 1
        if not self._is_counting and self._left <= self._settings.requests:
            self._is_counting = True
            self._began_s = time.monotonic()
            self._until_s = self._began_s + self._settings.seconds
            self._before = await asyncio.to_thread(self._read_metrics)
        if self._is_counting:
            self._asked["write" if isinstance(step, Write) else "read"] += 1
        try:
            await (self._write if isinstance(step, Write) else self._read)(session, tenant, user, step)  # type: ignore[arg-type]
        except (aiohttp.ClientError, TimeoutError) as error:
            self._failures[type(error).__name__] += 1

    async def _read(self, session: aiohttp.ClientSession, tenant: Tenant, user: str, read: Read) -> None:
        began_s = time.monotonic()
        is_judged = read.kind in ("statistics", "list", "record")
        expected = Expectation(tenant, user, began_s, read.collection, read.record, read.state) if is_judged else None
        async with session.get(self._url + read.path) as reply:
            body = await reply.json()
            status = reply.headers.get("Cache-Status", "none")
        took_ms = (time.monotonic() - began_s) * 1000
        if reply.status != 200:
            self._failures[f"{reply.status} to a {read.kind}"] += 1
            return
        if self._is_counting:
            kind = "hit" if "; hit" in status else "waited for another's miss" if "collapsed" in status else "miss"
            self._took_ms.setdefault(kind, []).append(took_ms)
        if expected is not None:
            self._violations += expected.judge(body)

    async def _write(self, session: aiohttp.ClientSession, tenant: Tenant, user: str, write: Write) -> None:
        mark = tenant.marks[write.record] if write.record else None
        seen: Seen | None = None
        if mark is not None:
            mark.begin()
        try:
            began_s = time.monotonic()
            async with session.request(write.method, self._url + write.path, json=write.body) as reply:
                made = await reply.json()
            now_s = time.monotonic()
            if reply.status not in (200, 201):
                self._failures[f"{reply.status} to a {write.kind} of {write.collection}"] += 1
                return
            if self._is_counting:
                self._took_ms.setdefault("write", []).append((now_s - began_s) * 1000)
            if mark is not None:
                seen = Seen(made["version"], now_s, user, made[FILTERS[write.collection][0]])
        finally:
            if mark is not None:
                mark.end(seen)
        if SERVICE_OF[write.collection] == "crm":
            tenant.statistics.confirm(Seen(moment(made["updated_at"]), now_s, user))
        if write.kind == "create":
            tenant.created(write.collection, made["id"], user, now_s)
        elif write.kind == "convert" and all(
            seen.value != made["invoice_id"] for seen in tenant.newest.get("converted", ())
        ):
            tenant.created("converted", made["invoice_id"], user, now_s)
            tenant.created("invoices", made["invoice_id"], user, now_s)

    def _read_metrics(self) -> Counter[tuple[str, str]]:
        """Of the cache: (route, result or layer) -> count or bytes."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._admin}/metrics", timeout=10) as reply:
            lines = reply.read().decode().splitlines()
        found: Counter[tuple[str, str]] = Counter()
        for line in lines:
            if (match := _SERIES.fullmatch(line)) is not None:
                labels = dict(re.findall(r'(\w+)="([^"]*)"', match[2]))
                what = labels.get("result") or f"{match[1]} {labels.get('layer', '')}"
                found[labels.get("route", "-"), what] += float(match[3])  # type: ignore[assignment]
        return found

    def report(self) -> bool:
        """Print the figures; whether all of it holds."""
        counts = self._metrics - self._before
        routes = sorted({route for route, what in counts if not what.startswith(("evictions", "invalidations"))})
        rows = [["route", "reads", "hit ratio", "l1", "l2", "waited", "stale", "miss", "KiB from l1", "KiB from l2"]]
        hits = reads = 0.0
        for route in [*routes, "all"]:
            own = Counter[str]()
            for (name, what), value in counts.items():
                if route in (name, "all"):
                    own[what] += value  # type: ignore[assignment]
            hits = sum(own[each] for each in _HITS)
            reads = hits + sum(own[each] for each in ("miss", "revalidated", "bypass"))
            if reads:
                shown = [own[each] for each in ("hit-l1", "hit-l2", "coalesced", "stale", "miss")]
                kib = [own["bytes l1"] / 1024, own["bytes l2"] / 1024]
                rows.append(
                    [route, f"{reads:,.0f}", f"{hits / reads:.1%}", *(f"{value:,.0f}" for value in (*shown, *kib))]
                )
        print(markdown(rows, left=(0,)))
        times = [["", "requests", "p50 ms", "p95 ms"]]
        for kind, took_ms in sorted(self._took_ms.items()):
            cuts = quantiles(took_ms, n=100) if len(took_ms) > 1 else took_ms * 99
            times.append([kind, f"{len(took_ms):,}", f"{cuts[49]:.2f}", f"{cuts[94]:.2f}"])
        print("\n" + markdown(times, left=(0,)))
        own_ = [each for each in self._violations if each.is_own]
        late = [each for each in self._violations if not each.is_own and each.age_s > OTHERS_S]
        soon = len(self._violations) - len(own_) - len(late)
        asked, failed = sum(self._asked.values()), sum(self._failures.values())
        owed = sum(value for (_, what), value in counts.items() if what.startswith("invalidations_owed"))
        ratio = hits / max(reads, 1.0)
        verdicts = [
            f"hit ratio {ratio:.1%} (>= {HIT_RATIO_TARGET:.0%}) {_yes(ratio >= HIT_RATIO_TARGET)}",
            f"reads that lack a write of the same user: {len(own_)} (0) {_yes(not own_)} {_kinds(own_)}",
            f"reads that lack another's write after 100 ms and more: {len(late)} (0) {_yes(not late)} {_kinds(late)}",
            f"requests that failed: {failed} (0) {_yes(not failed)} {dict(self._failures) or ''}",
        ]
        shares = f"{self._asked['write'] / max(asked, 1):.1%} of them writes"
        lines = [
            f"{asked:,} requests in {self._seconds:.0f} s, {shares}, in bursts of {self._settings.burst}",
            f"{self._settings.tenants} tenants, {self._settings.users} users each, Zipf exponent {self._settings.zipf}",
            f"reads within 100 ms of another's write that lack it: {soon}",
            f"writes that Redis was told of late, being late itself: {owed:.0f}",
            *(verdict.rstrip() for verdict in verdicts),
        ]
        print("\n" + "\n".join(f"- {line}" for line in lines))
        return ratio >= HIT_RATIO_TARGET and not own_ and not late and not failed


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "NO"


def _kinds(found: Sequence[Violation]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in Counter(each.what for each in found).items())


if __name__ == "__main__":
    raise SystemExit(main())
