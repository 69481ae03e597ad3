"""`make reloads`: 200 reloads, a third of them broken, under load from 64 clients with open WebSockets and streams.

`python -m tests.faults.reload_load [RELOADS]`. Prints the latencies with and without reloads, and the memory every 50
reloads; the exit code is 1 where a request failed, a connection broke, `/config` was wrong, or the 99th percentile with
reloads is over 1.2 times the one without.

Windows of 5 s with reloads and without take turns (without, with, with, without, and so on), so that what else the
machine does meets both alike; in a window without reloads all else is done that is done for one. The clients are a
process of their own, and what is done for a reload does not get between a reply and their clock.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.client import connected
from tests.support.gateway import Process, gateway_process, token

CLIENTS = 64
SOCKETS = 8
STREAMS = 8
RATE = 640.0
BLOCK = 5
SPACING_S = 1.0
RATIO_MAX = 1.2

TABLE = """
version: 1
gateway: {{limits: {{max_requests: 100000000}}}}
auth: {{test: {{jwt: {{algorithms: [HS256], secret: "${{env:SECRET}}"}}}}}}
plans: {{free: {{limits: [1000000/min]}}}}
defaults:
  auth: test
  limit: {{plan: true}}
  compress: [gzip]
  cors: ["https://app.example"]
  retry: {{attempts: 2, on: [503]}}
upstreams:
  origin: {{endpoints: ["${{env:ORIGIN}}"], pool: {{max: 256, idle: {idle}s}}}}
routes:
- {{id: plain, match: /plain/*, to: origin, timeout: {{total: {total}s}}}}
- {{id: kept, match: {{path: /kept/*, methods: [GET]}}, to: origin, cache: {{ttl: 1h, scope: tenant}}}}
- {{id: socket, match: /socket, to: origin, auth: none, limit: none, timeout: {{total: none}}}}
- {{id: stream, match: /stream, to: origin, auth: none, limit: none, timeout: {{total: none}}}}
- {{id: marker, match: /marker, respond: {{text: "{number}"}}, auth: none, limit: none}}
{more}
"""

# How an operator breaks a table, and the code that says so.
BROKEN = (
    ("- {id: x, match: /x, to: nowhere}", "unknown_upstream"),
    ("- {id: x, match: /x, too: origin}", "unknown_key"),
    ("- {id: plain, match: /y, to: origin}", "duplicate_id"),
    ("- {id: x, match: /plain/*, to: origin}", "route_tie"),
    ("- {id: x, match: /x, to: origin, cache: {ttl: 3m}}", "scope_needed"),
    ("  - [", "not_yaml"),
)


def table_text(number: int, more: str = "") -> str:
    """A good table, another one for each number: routes come and go, and now and then the upstream is another one."""
    routes = "\n".join(f"- {{id: extra-{index}, match: /extra/{index}, to: origin}}" for index in range(number % 7))
    return TABLE.format(number=number, total=20 + number % 5, idle=60 + number // 10, more=f"{routes}\n{more}")


@dataclass
class Seen:
    """What clients saw. latencies: of all requests by phase, in seconds."""

    latencies: dict[str, list[float]] = field(default_factory=lambda: {"without": [], "with": []})
    phase: str = ""
    failures: list[str] = field(default_factory=list)
    messages: int = 0
    ticks: int = 0
    memory: list[tuple[int, list[float]]] = field(default_factory=list)
    reloads: int = 0
    refused: int = 0


async def run(reloads: int, *, seed: int = 1, spacing_s: float = SPACING_S, block: int = BLOCK) -> Seen:
    """Windows without and with reloads take turns. Raises AssertionError where `/config` is wrong."""
    seen = Seen()
    rng = random.Random(seed)
    async with (
        origin() as url,
        gateway_process(table_text(0), {"ORIGIN": url}, workers=2) as process,
        clients(process.port, seen) as enter,
    ):
        await asyncio.sleep(1.0)
        version = (await process.status())["version"]
        for first in range(0, reloads, block):
            numbers = range(first + 1, min(first + block, reloads) + 1)
            # A drift of the machine's speed would else be to the disadvantage of the same ones each time.
            for phase in ("without", "with") if first // block % 2 == 0 else ("with", "without"):
                await enter(phase)
                for number in numbers:
                    started_s = time.perf_counter()
                    if phase == "with":
                        if number % 50 == 1:
                            seen.memory.append((number - 1, memory(process)))
                        version = await reload_once(process, number, version, rng, seen)
                    else:
                        await all_but_reload(process)
                    await asyncio.sleep(max(0.0, spacing_s - (time.perf_counter() - started_s)))
        seen.memory.append((reloads, memory(process)))
        await enter("")
        seen.failures += [line for line in process.errors if "Traceback" in line]
    return seen


async def all_but_reload(process: Process) -> None:
    """What else is done for a reload, so that the reload itself is the difference."""
    for _ in range(3):
        await process.admin("/config")
        await asyncio.sleep(0.05)
    await check_served(process, str(await marker_of(process)))


async def reload_once(process: Process, number: int, version: str, rng: random.Random, seen: Seen) -> str:
    """One change of the file, good or broken, told or noticed; `/config` and every worker then say what is served."""
    is_broken = number % 3 == 0
    text, code = table_text(number), ""
    if is_broken:
        more, code = rng.choice(BROKEN)
        text = table_text(number, more)
    put_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    put(process.table, text, number)
    if number % 4 == 0:
        await process.admin("/reload", "POST")
    elif number % 4 == 1:
        process.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(10):
        while True:
            config = json.loads((await process.admin("/config"))[1])
            status = config["status"]
            last = status["last_attempt"]
            if last and last["at"] >= put_at and (not is_broken or last["result"] == "invalid"):
                break
            await asyncio.sleep(0.05)
    marker = marker_in(config)
    # A second notice of the same change finds nothing new, so the last attempt may say "unchanged".
    if is_broken:
        seen.refused += 1
        assert last["result"] == "invalid" and code in {problem["code"] for problem in last["problems"]}, last
        assert status["version"] == version and marker != str(number), status
    else:
        assert last["result"] in ("swapped", "unchanged"), last
        assert status["version"] != version and marker == str(number), status
    await check_served(process, marker)
    seen.reloads += 1
    return str(status["version"])


def marker_in(config: dict[str, Any]) -> str:
    return next(str(route["respond"]["text"]) for route in config["routes"] if route["id"] == "marker")


async def marker_of(process: Process) -> str:
    return marker_in(json.loads((await process.admin("/config"))[1]))


async def check_served(process: Process, marker: str) -> None:
    """The gateway is ready, and every worker serves the table with this marker."""
    assert (await process.admin("/readyz"))[0] == 200
    for _ in range(4):
        async with connected(process.port) as one:
            assert (await one.request("GET", "/marker")).body.decode() == marker


def put(path: Path, text: str, number: int) -> None:
    """In place, or as editors do it: another file takes the name."""
    if number % 2:
        path.write_text(text)
    else:
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)


@asynccontextmanager
async def clients(port: int, seen: Seen) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    """All of them, as a process of their own. Yields what tells it of the next phase; what it saw is in seen then."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.reload_load", "clients", str(port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None

    async def enter(phase: str) -> None:
        assert process.stdin is not None
        process.stdin.write(f"{phase}\n".encode())
        await process.stdin.drain()

    try:
        yield enter
        process.stdin.close()
        output, _ = await process.communicate()
        found = json.loads(output)
        seen.latencies, seen.messages, seen.ticks = found["latencies"], found["messages"], found["ticks"]
        seen.failures += found["failures"]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


async def be_clients(port: int) -> Seen:
    """Until the standard input ends; a line of it is the next phase."""
    seen = Seen()
    stop = asyncio.Event()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(client(port, number, random.Random(number), seen, stop))
        for _ in range(SOCKETS):
            group.create_task(until_stopped(socket, port, seen, stop))
        for _ in range(STREAMS):
            group.create_task(until_stopped(stream, port, seen, stop))
        async for line in lines:
            seen.phase = line.decode().strip()
        stop.set()
    return seen


async def client(port: int, number: int, rng: random.Random, seen: Seen, stop: asyncio.Event) -> None:
    headers = {"Authorization": f"Bearer {token(f't{number}')}", "Accept-Encoding": "gzip"}
    async with connected(port) as one:
        while not stop.is_set():
            await asyncio.sleep(rng.uniform(0, 2 * CLIENTS / RATE))
            target = f"/kept/{number}" if rng.random() < 0.3 else f"/plain/{number}"
            phase, started_s = seen.phase, time.perf_counter()
            try:
                reply = await one.request("GET", target, headers)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                seen.failures.append(f"client {number}: {error!r}")
                return
            if phase:
                seen.latencies[phase].append(time.perf_counter() - started_s)
            if reply.status != 200 or reply.body != target.encode():
                seen.failures.append(f"client {number}: {reply.status} {reply.body!r}")


async def until_stopped(what: object, port: int, seen: Seen, stop: asyncio.Event) -> None:
    work = asyncio.create_task(what(port, seen))  # type: ignore[operator]
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            seen.failures.append(f"a connection ended: {work.exception()!r}")
    finally:
        work.cancel()
        stopped.cancel()
        await asyncio.gather(work, stopped, return_exceptions=True)


async def socket(port: int, seen: Seen) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}/socket") as one:
        while True:
            text = str(seen.messages)
            await one.send_str(text)
            async with asyncio.timeout(5):
                assert await one.receive_str() == text
            seen.messages += 1
            await asyncio.sleep(0.2)


async def stream(port: int, seen: Seen) -> None:
    async with connected(port) as one:
        one.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await one.read_head()).status == 200
        number = 0
        while True:
            async with asyncio.timeout(5):
                pieces = await one.read_chunk()
            for piece in pieces.split():
                assert int(piece) == number
                number += 1
                seen.ticks += 1


def memory(process: Process) -> list[float]:
    """Resident MiB: of the supervisor, then of each worker."""
    pages = [
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in (process.process.pid, *process.workers())
    ]
    return [round(count * os.sysconf("SC_PAGE_SIZE") / (1 << 20), 1) for count in pages]


@asynccontextmanager
async def origin() -> AsyncIterator[str]:
    """The upstream, as a process of its own. Yields its URL."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.reload_load", "origin"),
        stdout=asyncio.subprocess.PIPE,
        # It says that streams break off when the clients end them.
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


async def serve_origin() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        if request.path == "/socket":
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            async for message in ws:
                await ws.send_str(message.data)
            return ws
        if request.path == "/stream":
            reply = web.StreamResponse()
            await reply.prepare(request)
            number = 0
            while True:
                await reply.write(b"%d\n" % number)
                number += 1
                await asyncio.sleep(0.1)
        return web.Response(text=request.path, content_type="text/plain")

    runner = web.AppRunner(web_app(echo), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def web_app(handler: object) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    return app


def percentile(values: list[float], share: float) -> float:
    """In milliseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


def main() -> int:
    if sys.argv[1:] == ["origin"]:
        asyncio.run(serve_origin())
    if sys.argv[1:2] == ["clients"]:
        json.dump(asdict(asyncio.run(be_clients(int(sys.argv[2])))), sys.stdout)
        return 0
    seen = asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
    print(f"{seen.reloads} reloads, {seen.refused} of them broken; {CLIENTS} clients, {RATE:g} requests/s")
    for phase, values in seen.latencies.items():
        figures = "  ".join(f"p{share * 100:g} {percentile(values, share):.2f}" for share in (0.5, 0.9, 0.99, 0.999))
        print(f"{phase:>8} reloads: {len(values)} requests, ms: {figures}")
    ratio = percentile(seen.latencies["with"], 0.99) / percentile(seen.latencies["without"], 0.99)
    print(f"p99 with / without: {ratio:.2f} (at most {RATIO_MAX})")
    print(f"{SOCKETS} WebSockets: {seen.messages} messages; {STREAMS} streams: {seen.ticks} pieces")
    for number, sizes in seen.memory:
        print(f"after {number:3d} reloads, MiB: supervisor {sizes[0]}, workers {sizes[1:]}")
    print(f"failures: {len(seen.failures)}", *seen.failures[:10], sep="\n  ")
    return 1 if seen.failures or ratio > RATIO_MAX else 0


if __name__ == "__main__":
    sys.exit(main())
