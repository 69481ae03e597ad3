"""Hazard: a service that cannot start says so in a traceback, or one that is told to stop drops what it is doing."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientError, ClientSession
from aiohttp.test_utils import unused_port

from upstream_services.hr.api import SERVICE as HR
from upstream_services.kit.embedded_postgres import EmbeddedPostgres
from upstream_services.kit.settings import Flag, parse

from .conftest import MakeDatabase

Process = asyncio.subprocess.Process
Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(project: Path) -> AsyncIterator[Start]:
    """Starts `python -m upstream_services.<name> ...`."""
    started: list[Process] = []

    async def run(name: str, *arguments: str, **environment: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"upstream_services.{name}", *arguments,
            cwd=project, env=os.environ | environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def url_of(process: Process) -> str:
    """The address in its ready line."""
    assert process.stdout is not None
    return str(json.loads(await process.stdout.readline())["url"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--port", "x"), "'x' is no port"),
        (("--port", "70000"), "is no port"),
        (("--colour", "red"), "unrecognized arguments"),
        (("--database", "mysql://root:hunter2@h/d"), "not a PostgreSQL URL but mysql://"),
        (("--database", "nonsense"), "not a database URL"),
        (("--drain", "soon"), "--drain"),
    ],
)
def test_bad_flags_are_one_line(arguments: tuple[str, str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("marketing", 8104, (), arguments, {})
    errors = capsys.readouterr().err
    assert (ended.value.code, errors.count("\n")) == (2, 1)
    assert errors.startswith("marketing: ")
    assert complaint in errors
    assert "hunter2" not in errors


def test_flags_come_before_the_environment_and_that_before_defaults() -> None:
    flags = (Flag("--finance-url", "http://a", "where finance answers"),)
    environment = {"PORT": "1", "HOST": "::1", "FINANCE_URL": "http://b", "DATABASE_URL": "postgresql://u:p@h/d"}
    settings = parse("crm", 8101, flags, ["--port", "2"], environment)
    assert (settings.port, settings.host, settings.extra, settings.drain_s) == (
        2,
        "::1",
        {"finance_url": "http://b"},
        10,
    )
    assert settings.database is not None
    assert settings.database.drivername == "postgresql+asyncpg"
    assert parse("crm", 8101, flags, [], {}).port == 8101


@pytest.mark.parametrize(
    "url", ["postgresql://u:hunter2@127.0.0.1:{free}/d", "postgresql+asyncpg:///crm?host=/nowhere"]
)
async def test_a_database_out_of_reach_is_one_line(start: Start, url: str) -> None:
    process = await start("marketing", "--database", url.format(free=unused_port()))
    output, errors = await process.communicate()
    assert (process.returncode, output, errors.count(b"\n")) == (2, b"", 1), errors.decode()
    assert errors.startswith(b"marketing: cannot use the database postgresql+asyncpg://")
    assert b"hunter2" not in errors


async def test_a_port_in_use_is_one_line(start: Start, migrated: MakeDatabase) -> None:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        process = await start("hr", DATABASE_URL=await migrated(HR), PORT=str(port))
        _, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (2, f"hr: cannot listen on 127.0.0.1:{port}: the port is in use\n")


async def test_it_logs_each_request_and_ends_what_it_does(start: Start, migrated: MakeDatabase) -> None:
    process = await start("hr", "--port", "0", "--database", await migrated(HR))
    url = await url_of(process)
    body = b'{"name": "Engineering", "code": "ENG"}'

    async def slow_body() -> AsyncIterator[bytes]:
        # Asked for by "100 Continue": the request is running.
        yield body[:10]
        process.send_signal(signal.SIGTERM)
        async with ClientSession() as second:  # refused connections show that the signal has arrived
            with suppress(ClientError):
                while True:
                    await second.get(f"{url}/health/live", headers={"Connection": "close"})
        yield body[10:]

    headers = {
        "X-Tenant-Id": f"p-{os.urandom(6).hex()}",
        "X-Request-Id": "r-7",
        "traceparent": f"00-{'1' * 32}-{'2' * 16}-01",
        "Content-Type": "application/json",
    }
    async with (
        ClientSession() as session,
        session.post(f"{url}/hr/departments", data=slow_body(), headers=headers, expect100=True) as r,
    ):
        assert r.status == 201
    _, errors = await process.communicate()
    assert process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "r-7"]
    assert line.items() >= {
        "tenant": headers["X-Tenant-Id"], "method": "POST", "path": "/hr/departments", "status": 201, "level": "info",
    }.items()  # fmt: skip
    assert line["ms"] > 0
    assert line["trace_id"] == "1" * 32


async def test_without_a_database_it_brings_its_own(start: Start, folder: Path) -> None:
    process = await start("marketing", "--port", "0", "--data", str(folder), "--exit-with-parent")
    url = await url_of(process)
    server = psutil.Process(int((folder / "postgres" / "postmaster.pid").read_text().split()[0]))
    async with ClientSession() as session, session.get(f"{url}/health/ready") as reply:
        assert (reply.status, await reply.json()) == (200, {"status": "ok"})

    second = await start("marketing", "--port", "0", "--data", str(folder))
    _, errors = await second.communicate()
    assert (second.returncode, errors.count(b"\n")) == (2, 1)
    assert b"is in use by another process" in errors

    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


async def test_a_database_that_was_not_migrated_is_one_line_and_how_to(
    start: Start, postgres: EmbeddedPostgres
) -> None:
    url = await postgres.create_database("hr_not_migrated")
    process = await start("hr", "--port", "0", "--database", url)
    _, errors = await process.communicate()
    told = "hr: the database lacks tables: run `python -m upstream_services.hr migrate`, or serve --migrate\n"
    assert (process.returncode, errors.decode()) == (2, told)
    served = await start("hr", "--port", "0", "--database", url, MIGRATE="1")
    async with ClientSession() as session, session.get(f"{await url_of(served)}/health/ready") as reply:
        assert reply.status == 200
