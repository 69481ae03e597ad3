"""Hazard: the demo comes up with something missing, or leaves a process or a folder behind when it goes."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import unused_port

from upstream_services.demo import SERVICES, main

Process = asyncio.subprocess.Process
StartDemo = Callable[..., Awaitable[Process]]

LISTS = {"crm": "contacts", "finance": "invoices", "hr": "employees", "marketing": "campaigns"}


@pytest.fixture
async def start_demo(project: Path) -> AsyncIterator[StartDemo]:
    """Starts `python -m upstream_services.demo` with free ports, and makes sure that it does not outlive the test."""
    started: list[Process] = []

    async def start(*arguments: str, ports: str | None = None) -> Process:
        ports = ports or ",".join(str(unused_port()) for _ in SERVICES)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "upstream_services.demo", "--ports", ports, *arguments,
            cwd=project, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def told(process: Process) -> dict[str, Any]:
    """Its line of JSON."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = await process.stdout.readline()
    assert line, (await process.stderr.read()).decode()
    answer: dict[str, Any] = json.loads(line)
    return answer


async def postmaster(data: str) -> psutil.Process:
    """The PostgreSQL of a folder."""
    text = await asyncio.to_thread(Path(data, "postgres", "postmaster.pid").read_text)
    return psutil.Process(int(text.split()[0]))


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run; one that has ended and waits for its parent to look does not."""
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


async def everything_of(process: Process, data: str) -> list[psutil.Process]:
    """Every process that the demo started."""
    server = await postmaster(data)
    return [*psutil.Process(process.pid).children(recursive=True), server, *server.children(recursive=True)]


async def test_up_with_data_and_down_without_a_trace(start_demo: StartDemo) -> None:
    process = await start_demo("--exit-with-parent")
    answer = await told(process)
    assert answer["ready"] is True
    assert list(answer["services"]) == list(SERVICES)
    assert answer["tenants"] == {"acme": "free", "bharat": "pro", "zenith": "enterprise"}
    counts = {}
    async with ClientSession() as session:
        for name, url in answer["services"].items():
            async with session.get(f"{url}/health/ready") as reply:
                assert reply.status == 200
            for tenant in answer["tenants"]:
                query = f"{url}/{name}/{LISTS[name]}?limit=200"
                async with session.get(query, headers={"X-Tenant-Id": tenant}) as reply:
                    counts[name, tenant] = len((await reply.json())["items"])
        async with session.get(
            f"{answer['services']['crm']}/crm/deals?stage=new&limit=1", headers={"X-Tenant-Id": "acme"}
        ) as reply:
            deal = (await reply.json())["items"][0]["id"]
        convert = f"{answer['services']['crm']}/crm/deals/{deal}/convert"
        async with session.post(convert, headers={"X-Tenant-Id": "acme"}) as reply:
            assert (reply.status, (await reply.json())["stage"]) == (200, "won")
    assert counts["crm", "acme"] == 200
    assert all(count >= 15 for count in counts.values())

    processes = await everything_of(process, answer["data"])
    assert len(alive(processes)) >= 6
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0
    assert alive(processes) == []
    assert not Path(answer["data"]).exists()
    assert (await process.communicate())[1] == b""


async def test_a_kept_folder_keeps_the_data_and_a_dead_service_is_named(start_demo: StartDemo, folder: Path) -> None:
    ids = []
    for attempt in ("told to stop", "a service dies"):
        process = await start_demo("--data", str(folder / "kept"))
        answer = await told(process)
        url = answer["services"]["hr"]
        async with (
            ClientSession(headers={"X-Tenant-Id": "bharat"}) as session,
            session.get(f"{url}/hr/departments") as reply,
        ):
            ids.append([item["id"] for item in (await reply.json())["items"]])
        processes = await everything_of(process, answer["data"])
        if attempt == "told to stop":
            process.send_signal(signal.SIGTERM)
            assert (await process.communicate(), process.returncode) == ((b"", b""), 0)
        else:
            listener_of(processes, url).kill()
            _, errors = await process.communicate()
            log = folder / "kept" / "logs" / "hr.log"
            assert (process.returncode, errors.decode()) == (1, f"demo: hr has ended; its log is {log}\n")
        assert alive(processes) == []
    assert ids[0] == ids[1]
    assert len(ids[0]) == 5
    assert '"path": "/hr/departments"' in log.read_text()


def listener_of(processes: list[psutil.Process], url: str) -> psutil.Process:
    """The process that answers at a URL."""
    port = int(url.rpartition(":")[2])
    return next(p for p in processes if any(c.laddr and c.laddr.port == port for c in p.net_connections()))


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(SystemExit) as ended:
            main(["--ports", f"{unused_port()},{taken},{unused_port()},{unused_port()}"])
    complaint = f"demo: port {taken} of 127.0.0.1 is in use or not ours to use\n"
    assert (ended.value.code, capsys.readouterr().err) == (2, complaint)


async def test_a_service_that_dies_before_it_is_ready_is_named(project: Path, folder: Path) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from upstream_services.demo_processes import DemoError, ServiceProcess\n"
        "with ServiceProcess('hr', pathlib.Path(sys.argv[1]), lambda: 1 // 0) as service:\n"
        "    try: asyncio.run(service.ready())\n"
        "    except DemoError as error: print(error)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(folder), cwd=project, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.decode() == f"hr has ended; its log is {folder / 'hr.log'}\n"
    assert "ZeroDivisionError" in (folder / "hr.log").read_text()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
async def test_ended_while_it_starts(start_demo: StartDemo, folder: Path, sign: signal.Signals) -> None:
    process = await start_demo("--data", str(folder))
    while not await asyncio.to_thread((folder / "postgres" / "postmaster.pid").exists):
        pass
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(sign)
    output, errors = await process.communicate()
    assert (process.returncode, output, errors) == (0 if sign == signal.SIGTERM else -sign, b"", b"")
    await asyncio.to_thread(psutil.wait_procs, started, 20)
    assert alive(started) == []
    assert not (folder / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize("flags", [("--port", "1"), ("--ports", "1,2"), ("--ports", "1,1,2,3"), ("--ports", "a,b,c,d")])
def test_bad_flags_are_one_line(flags: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(flags)
    errors = capsys.readouterr().err
    assert (ended.value.code, errors.count("\n"), errors[:6]) == (2, 1, "demo: ")
