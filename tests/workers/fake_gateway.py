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
from collections.abc import Mapping
from typing import Any

from gateway.config.settings import LISTEN_BACKLOG, ServeSettings, TableSources
from gateway.observe.metrics import WorkerMetrics
from gateway.workers import Listening, TableDescription, run_supervisor, run_worker
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
        self.version = "v1"
        self._sources = sources
        self._requests = metrics.counter("gateway_requests", "Requests.", route="fake")
        self._connections = metrics.gauge("gateway_connections", "Client connections.")
        self._open: set[asyncio.StreamWriter] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self, sock: socket.socket) -> None:
        self._server = await asyncio.start_server(self._serve, sock=sock, backlog=LISTEN_BACKLOG)
        say("serving")

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
            writer.write(f"{os.getpid()}\n".encode())
        self._connections.dec()
        writer.close()
        self._open.discard(writer)
        if not self._open:
            self._idle.set()


async def build(settings: ServeSettings, sources: TableSources, metrics: WorkerMetrics, tell: Tell) -> FakeGateway:
    if "fail" in sources.files:
        raise ValueError("the table says fail")
    if "die" in sources.files:
        os._exit(7)
    if "hang" in sources.files:
        say("hanging")
        await asyncio.Event().wait()
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
    files = options.pop("files", {})
    description = TableDescription(routes=[{"id": "fake", "path": "/*"}], config={"version": 1})
    settings = ServeSettings(config="routes.yaml", **options)
    return run_supervisor(settings, TableSources("routes.yaml", files), description, announce=announce, command=COMMAND)


if __name__ == "__main__":
    sys.exit(main())
