"""A small gateway for the tests of the processes: `serve JSON` runs the supervisor, `worker FD` one worker.

Its replies say which process made them. Settings come as JSON: those of ServeSettings, and `files` for the table. A
file "fail" makes the build fail, "hang" makes it wait for ever, "die" makes the worker end at once, "deaf" makes the
drain take for ever.
"""

import asyncio
import json
import os
import socket
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from gateway.config.model import GatewaySection
from gateway.config.problems import Problem, TableInvalid
from gateway.config.reload import CheckedTable
from gateway.config.settings import LISTEN_BACKLOG, ServeSettings, TableSources
from gateway.observe.metrics import WorkerMetrics
from gateway.workers import History, Listening, run_supervisor, run_worker
from gateway.workers.table_files import Footprint
from gateway.workers.worker import Tell

COMMAND = (sys.executable, "-m", "tests.workers.fake_gateway", "worker")


_ROW: dict[str, object] = {
    **dict.fromkeys(("in_rotation", "in_flight", "open", "idle", "waiting", "ejections", "failures", "weight"), 1),
    "why": "",
    "since": 0.0,
    "addresses": [],
}


class FakeGateway:
    def __init__(self, sources: TableSources, metrics: WorkerMetrics, tell: Tell) -> None:
        self._tell = tell
        self.version = version_of(sources)
        self._sources = sources
        self._requests = metrics.counter("gateway_requests", "Requests.", route="fake")
        self._connections = metrics.gauge("gateway_connections", "Client connections.")
        self._open: set[asyncio.StreamWriter] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self, sock: socket.socket) -> None:
        self._server = await asyncio.start_server(self._serve, sock=sock, backlog=LISTEN_BACKLOG)
        say("serving")

    async def prepare(self, sources: TableSources) -> str:
        say(f"preparing {version_of(sources)}")
        if "stuck" in sources.files:
            # The first that comes is all right.
            try:
                open(sources.files["stuck"], "x").close()
            except FileExistsError:
                return "the table is too hot"
        if "hold" in sources.files:
            # All but the first that comes wait until they may go on.
            try:
                open(sources.files["hold"], "x").close()
            except FileExistsError:
                say("held")
                while not os.path.exists(sources.files["hold"] + ".go"):
                    await asyncio.sleep(0.01)
        if "killer" in sources.files:
            os._exit(9)
        self._prepared = sources
        return ""

    def swap(self) -> None:
        self._sources = self._prepared
        self.version = version_of(self._sources)
        say(f"swapped {self.version}")

    async def abandon(self) -> None:
        say("abandoned")

    async def drain(self, timeout_s: float) -> None:
        self._server.close()
        say("draining")
        if "deaf" in self._sources.files:
            await asyncio.Event().wait()
        await asyncio.wait_for(self._idle.wait(), timeout_s)

    def hear(self, purge: Mapping[str, Any]) -> None:
        say(f"heard {purge['tags']}")

    def upstreams(self) -> list[dict[str, object]]:
        return [{"upstream": "fake", "endpoint": "a:1", "state": "up", **_ROW}]

    async def purge(self, purge: Mapping[str, Any]) -> str:
        # In this order, so that nobody says "heard" before.
        say(f"purged {purge['tags']}")
        self._tell(purge)
        return "the store is down" if "down" in purge["tags"] else ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self._idle.clear()
        self._connections.inc()
        while await reader.readline():
            self._requests.inc()
            writer.write(f"{os.getpid()} {self.version}\n".encode())
        self._connections.dec()
        writer.close()
        self._open.discard(writer)
        if not self._open:
            self._idle.set()


def version_of(sources: TableSources) -> str:
    return sources.files.get("version", "v1")


class FakeFiles:
    """The next table is in the file `next`: its `files` as JSON."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._footprint = Footprint([path] if path else [])

    def footprint(self) -> Footprint:
        return self._footprint

    def current(self, running: GatewaySection | None = None) -> CheckedTable:
        self._footprint = Footprint([self._path])
        with open(self._path) as file:
            files = json.load(file)
        if "invalid" in files:
            raise TableInvalid([Problem("routes.yaml", 1, 1, "oh_dear", "it says so")])
        return table_of(files)

    def former(self, running: GatewaySection, path: str, parts: Mapping[str, str]) -> CheckedTable:
        return table_of(dict(parts))


def table_of(files: Mapping[str, str]) -> CheckedTable:
    sources = TableSources("routes.yaml", files)
    routes = [{"id": "fake", "path": "/*"}]
    return CheckedTable(version_of(sources), sources, files, routes, {"version": 1}, GatewaySection())


async def build(settings: ServeSettings, sources: TableSources, metrics: WorkerMetrics, tell: Tell) -> FakeGateway:
    if "fail" in sources.files:
        raise ValueError("the table says fail")
    if "die" in sources.files:
        os._exit(7)
    if "hang" in sources.files:
        say("hanging")
        await asyncio.Event().wait()
    say(f"built {version_of(sources)}")
    return FakeGateway(sources, metrics, tell)


def say(what: str) -> None:
    # One write, for several processes share the pipe.
    os.write(1, f"{what} {os.getpid()}\n".encode())


def announce(listening: Listening) -> None:
    print(listening, flush=True)


def main() -> int:
    if sys.argv[1] == "worker":
        return run_worker(int(sys.argv[2]), build)
    options = json.loads(sys.argv[2])
    table = table_of(options.pop("files", {}))
    files = FakeFiles(options.pop("next", ""))
    settings = ServeSettings(config="routes.yaml", **options)
    with tempfile.TemporaryDirectory() as folder:
        return run_supervisor(settings, table, files, History(folder), announce=announce, command=COMMAND)


if __name__ == "__main__":
    sys.exit(main())
