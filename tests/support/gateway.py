"""A gateway over a real socket: in the test's own event loop, or as its own process."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt

from gateway.app import ServingGateway
from gateway.config.load import read_table
from gateway.config.settings import ServeSettings
from gateway.observe.metrics import WorkerMetrics
from gateway.observe.metrics_buffer import map_buffer
from gateway.observe.metrics_reader import MetricsReader
from tests.support.client import ClientReply, RawClient, connected
from tests.support.origin import Origin, Script, running_origin

SECRET = "0123456789abcdef0123456789abcdef"

default_lane = os.environ.get("GATEWAY_LANE", "fast")
"""The lane of gateways whose test does not say."""

TABLE = """
version: 1
defaults: {auth: none}
upstreams:
  origin: {endpoints: ["${env:ORIGIN}"]}
routes:
- {id: all, match: /*, to: origin}
"""
"""Everything to one upstream, and no policies."""


def token(tenant: str = "t1", plan: str = "free", **claims: Any) -> str:
    """A token for `auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}` that does not expire soon."""
    payload = {"tenant_id": tenant, "sub": "u1", "plan": plan, "exp": 4102444800, **claims}
    return jwt.encode(payload, SECRET, algorithm="HS256")


def metric(text: bytes | str, name: str, **labels: str) -> float:
    """The sum of all samples of that name which have these labels."""
    total = 0.0
    for line in (text.decode() if isinstance(text, bytes) else text).splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name and all(f'{key}="{wanted}"' in series for key, wanted in labels.items()):
            total += float(value)
    return total


class RunningGateway:
    """What a test holds of a gateway in its own loop."""

    def __init__(self, serving: ServingGateway, port: int, metrics: MetricsReader, log_path: Path) -> None:
        self.serving = serving
        self.port = port
        self.metrics = metrics
        self._log_path = log_path
        self._is_drained = False

    def metric(self, name: str, **labels: str) -> float:
        """As `metric`, of the metrics as they are now."""
        return metric(self.metrics.text(), name, **labels)

    async def log_lines(self, count: int = 1) -> list[dict[str, Any]]:
        """The access log so far, once it has that many lines: a line is written after its reply has left."""
        await until(lambda: len(self.log()) >= count)
        return self.log()

    def log(self) -> list[dict[str, Any]]:
        """The access log as far as it is written."""
        return [json.loads(line) for line in self._log_path.read_text().splitlines()]

    async def drain(self, timeout_s: float = 2.0) -> None:
        """Once; the end of the test asks again in vain."""
        if not self._is_drained:
            self._is_drained = True
            await self.serving.drain(timeout_s)


@asynccontextmanager
async def running_gateway(
    table_text: str = TABLE, environ: Mapping[str, str] | None = None, *, drain_s: float = 2.0, **settings: Any
) -> AsyncIterator[RunningGateway]:
    """A gateway of this table. environ: what `${env:NAME}` stands for. settings: of `ServeSettings`."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "routes.yaml"
        table.write_text(table_text)
        log_path = Path(folder) / "access.log"
        log_path.touch()
        memory = map_buffer()
        loaded = read_table(str(table), environ={"SECRET": SECRET, **(environ or {})})
        serving = ServingGateway(
            ServeSettings(config=str(table), access_log=str(log_path), **{"lane": default_lane, **settings}),
            loaded,
            WorkerMetrics(memory),
        )
        sock = socket.create_server(("127.0.0.1", 0))
        running = RunningGateway(serving, sock.getsockname()[1], MetricsReader([memory]), log_path)
        await serving.start(sock)
        try:
            yield running
        finally:
            await running.drain(drain_s)


class Process:
    """A `gateway serve` of its own. port, admin_port: where it listens. table: its file. errors: its standard error."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, admin_port: int, table: Path) -> None:
        self.process = process
        self.errors: list[str] = []
        self.port = port
        self.admin_port = admin_port
        self.table = table

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def admin(self, path: str, method: str = "GET", more: str = "") -> tuple[int, str]:
        """Status and body of the operators' listener. more: header lines."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.admin_port)
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n{more}\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return int(head.split(b" ")[1]), body.decode()

    async def reload(self, text: str | None = None, query: str = "") -> tuple[int, dict[str, Any]]:
        """POST /reload, after the table has been written anew where text says so."""
        if text is not None:
            self.table.write_text(text)
        status, body = await self.admin(f"/reload{query}", "POST")
        return status, json.loads(body)

    async def status(self) -> dict[str, Any]:
        """What `/config` says of the table in force."""
        found: dict[str, Any] = json.loads((await self.admin("/config"))[1])["status"]
        return found

    async def metric(self, name: str, **labels: str) -> float:
        return metric((await self.admin("/metrics"))[1], name, **labels)

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(text) for text in path.read_text().split()]


@asynccontextmanager
async def gateway_process(
    table_text: str = TABLE,
    environ: Mapping[str, str] | None = None,
    *,
    workers: int = 1,
    drain: str = "5s",
    flags: Sequence[str] = (),
    is_patient: bool = False,
) -> AsyncIterator[Process]:
    """`python -m gateway serve` on free ports of 127.0.0.1, ready; ended by SIGTERM where the test has not done so.

    is_patient: it waits for its store, as `tests/support/patient.py` says.
    """
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "routes.yaml"
        table.write_text(table_text)
        module = "tests.support.patient" if is_patient else "gateway"
        command = [sys.executable, "-m", module, "serve", "--config", str(table), "--workers", str(workers)]
        command += ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--access-log", "none", "--drain", drain]
        command += ["--lane", default_lane, *flags]
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, "SECRET": SECRET, **(environ or {})}, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        said = b""
        while not (line := await process.stderr.readline()).startswith(b"listening on"):
            said += line
            assert line, said.decode()
        listen, admin, _ = line.decode().split(", ")
        running = Process(process, int(listen.rpartition(":")[2]), int(admin.rpartition(":")[2]), table)
        rest = asyncio.create_task(_listen_to(process.stderr, running.errors))
        try:
            yield running
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()
            rest.cancel()
            # Its pipe has to be closed within this loop.
            process._transport.close()  # type: ignore[attr-defined]


async def _listen_to(stream: asyncio.StreamReader, lines: list[str]) -> None:
    while line := await stream.readline():
        lines.append(line.decode())


Predicate = Callable[[], bool]


async def until(predicate: Predicate) -> None:
    """Wait for a state that nothing announces; the test's time limit ends it."""
    while not predicate():
        await asyncio.sleep(0.005)


class Rig:
    """An origin, a gateway before it, and a client of the gateway."""

    def __init__(self, origin: Origin, gateway: RunningGateway, client: RawClient) -> None:
        self.origin = origin
        self.gateway = gateway
        self.client = client

    async def exchange(self, *args: Any, **kwargs: Any) -> ClientReply:
        """One plain request and its reply, as `RawClient.request`."""
        return await self.client.request(*args, **kwargs)

    async def send(self, data: bytes, method: str = "GET") -> ClientReply:
        """These bytes, and the reply to them."""
        self.client.send(data)
        return await self.client.read_reply(method)


@asynccontextmanager
async def rig(
    table_text: str = TABLE, script: Script | None = None, environ: Mapping[str, str] | None = None, **settings: Any
) -> AsyncIterator[Rig]:
    """All three, with `${env:ORIGIN}` in the table for the origin; a test that hangs ends after 10 seconds."""
    async with (
        asyncio.timeout(10),
        running_origin(script) as origin,
        running_gateway(table_text, {"ORIGIN": origin.url, **(environ or {})}, **settings) as gateway,
        connected(gateway.port) as client,
    ):
        yield Rig(origin, gateway, client)
