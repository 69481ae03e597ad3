"""Hazard: what a newcomer sees first does not work: the demo as a process, and what its banner invites to do."""

import asyncio
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import brotli
import psutil
import pytest
import zstandard
from aiohttp import ClientSession, TCPConnector, WSCloseCode

from gateway.config.load import load_table
from gateway.development_token import Caller, make_token
from tests.support.gateway import default_lane

TOP = Path(__file__).parents[1]
MODULES = ("crm", "finance", "hr", "marketing")
DECODERS = {
    "br": brotli.decompress,
    "gzip": gzip.decompress,
    # The frame of a stream does not say its size.
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


def make_caller(tenant: str, plan: str, environment: dict[str, str]) -> dict[str, str]:
    """The headers of a caller who may everything."""
    scopes = [f"{module}.{right}" for module in MODULES for right in ("read", "write")]
    loaded = load_table(str(TOP / "routes.yaml"), environ=environment)
    token = make_token(loaded, Caller(tenant, "tester", plan, scopes, MODULES), lifetime_s=600)
    return {"Authorization": f"Bearer {token}"}


@dataclass
class Demo:
    """A demo that is up. banner: all that it said."""

    process: "subprocess.Popen[str]"
    banner: str
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return re.findall(r"listening on (http://\S+),", self.banner)[0]

    @property
    def admin_url(self) -> str:
        return re.findall(r"admin (http://\S+),", self.banner)[0]

    def caller(self, tenant: str = "zenith", plan: str = "enterprise") -> dict[str, str]:
        return make_caller(tenant, plan, self.environment)

    def family(self) -> tuple[list[psutil.Process], Path]:
        """All processes that belong to it, and its folder. PostgreSQL is a daemon, so it is nobody's child."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        command = next(
            found for child in family if "upstream_services.kit.embedded_postgres" in (found := child.cmdline())
        )
        folder = Path(command[command.index("upstream_services.kit.embedded_postgres") + 1])
        postmaster = psutil.Process(int((folder / "postgres" / "postmaster.pid").read_text().split()[0]))
        return [*family, postmaster, *postmaster.children(recursive=True)], folder


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """One demo for all tests; the last of them stops it."""
    environment = {"JWT_SECRET": "the-demo-is-told-this-secret-by-its-test", "GATEWAY_LANE": default_lane}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
        cwd=TOP,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # A demo that hangs fails the first read by its end.
    watchdog = threading.Timer(45, process.kill)
    watchdog.start()
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    watchdog.cancel()
    banner = "".join(lines)
    try:
        assert "Ctrl-C stops everything." in banner, banner
        yield Demo(process, banner, environment)
    finally:
        process.terminate()
        process.communicate()


def test_up_in_time_with_a_token_for_each_tenant(demo: Demo) -> None:
    assert float(re.findall(r"^Up in ([0-9.]+) s", demo.banner, re.MULTILINE)[0]) < 15
    assert re.findall(r"^token of (\S+) \((\S+)\): \S+$", demo.banner, re.MULTILINE) == [
        ("acme", "free"),
        ("bharat", "pro"),
        ("zenith", "enterprise"),
    ]


def _pasted(line: str) -> str:
    """What the line prints in a shell; where there is no curl, `curl_stand_in.py` goes by that name."""
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("curl") is None:
            stand_in = Path(folder) / "curl"
            stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} {TOP / "tests/support/curl_stand_in.py"} "$@"\n')
            stand_in.chmod(0o755)
            environment["PATH"] = f"{folder}{os.pathsep}{environment.get('PATH', os.defpath)}"
        return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, env=environment).stdout


def test_the_five_curl_lines_work_when_pasted(demo: Demo) -> None:
    lines = [line for line in demo.banner.splitlines() if line.startswith("curl ")]
    page, size, contact, batch, refused = (_pasted(line) for line in lines)
    assert len(json.loads(page)["items"]) == 2
    assert 1000 < int(size.removesuffix(" bytes\n")) < 40_000
    assert json.loads(contact)["name"] == "Asha Rao"
    assert [part["status"] for part in json.loads(batch)["responses"]] == [200, 200]
    head, _, problem = refused.partition("\n\n")
    assert head.startswith("HTTP/1.1 401 ")
    assert json.loads(problem)["code"] == "token_missing"


async def test_the_readme_shows_the_error_as_it_is(demo: Demo) -> None:
    shown = json.loads((TOP / "README.md").read_text().split("```json\n")[1].split("```")[0])
    async with ClientSession() as session, session.get(f"{demo.url}/api/v1/crm/contacts") as reply:
        assert {**await reply.json(content_type=None), "request_id": "…"} == shown


@pytest.mark.parametrize("coding", DECODERS)
async def test_a_list_is_the_same_through_each_coding(demo: Demo, coding: str) -> None:
    bodies = {}
    async with ClientSession(auto_decompress=False, headers=demo.caller()) as session:
        for accepted in (coding, "identity"):
            address = f"{demo.url}/api/v1/finance/invoices?limit=100"
            async with session.get(address, headers={"Accept-Encoding": accepted}) as reply:
                assert reply.status == 200
                assert reply.headers.get("Content-Encoding", "identity") == accepted
                bodies[accepted] = await reply.read()
    assert len(bodies[coding]) < len(bodies["identity"]) / 3
    decoded = DECODERS[coding](bodies[coding])
    assert decoded == bodies["identity"]
    assert len(json.loads(decoded)["items"]) == 100


async def test_a_batch_of_twenty_over_all_services(demo: Demo) -> None:
    paths = ["crm/contacts", "crm/deals", "finance/invoices", "hr/employees", "marketing/campaigns"]
    parts = [
        {"id": number, "method": "GET", "path": f"/api/v1/{paths[number % 5]}?limit={number // 5 + 1}"}
        for number in range(20)
    ]
    async with (
        ClientSession(headers=demo.caller()) as session,
        session.post(f"{demo.url}/api/v1/batch", json={"requests": parts}) as reply,
    ):
        answers = (await reply.json())["responses"]
    assert [(answer["id"], answer["status"]) for answer in answers] == [(number, 200) for number in range(20)]
    assert [len(answer["body"]["items"]) for answer in answers] == [number // 5 + 1 for number in range(20)]


async def test_a_websocket_echoes_through_the_gateway(demo: Demo) -> None:
    async with (
        ClientSession(headers=demo.caller()) as session,
        session.ws_connect(f"{demo.url}/api/v1/crm/echo", max_msg_size=0) as socket,
    ):
        await socket.send_str("नमस्ते")
        assert await socket.receive_str() == "नमस्ते"
        await socket.send_bytes(bytes(1 << 20))
        assert await socket.receive_bytes() == bytes(1 << 20)
        await socket.close(code=WSCloseCode.GOING_AWAY)
        assert socket.close_code == WSCloseCode.GOING_AWAY


async def test_an_event_stream_says_hello_and_what_changes(demo: Demo) -> None:
    async with (
        ClientSession(headers=demo.caller()) as session,
        session.get(f"{demo.url}/api/v1/crm/events") as stream,
    ):
        assert stream.content_type == "text/event-stream"
        assert await stream.content.readline() == b"event: hello\n"
        assert json.loads((await stream.content.readline()).removeprefix(b"data: "))["tenant"] == "zenith"
        person = {"name": "Ravi Iyer", "email": "ravi.iyer@zenith.example", "status": "lead"}
        async with session.post(f"{demo.url}/api/v1/crm/contacts", json=person) as reply:
            assert reply.status == 201
        assert await stream.content.readline() == b"\n"
        assert await stream.content.readline() == b"event: contact.created\n"


async def test_sixty_one_quick_requests_of_a_free_tenant(demo: Demo) -> None:
    """A token comes back each second, so only a burst of less than that is exact; a slow machine may try again."""
    for attempt in range(5):
        started_s = time.monotonic()
        few = TCPConnector(limit=8)
        async with ClientSession(connector=few, headers=demo.caller(f"small-{attempt}", "free")) as session:

            async def ask(session: ClientSession = session) -> tuple[int, str | None]:
                async with session.get(f"{demo.url}/api/v1/hr/departments?limit=1") as reply:
                    return reply.status, reply.headers.get("Retry-After")

            replies = await asyncio.gather(*(ask() for _ in range(61)))
        if time.monotonic() - started_s < 1:
            break
    assert sorted(replies, key=str) == [(200, None)] * 60 + [(429, "1")]


async def test_operators_see_it_ready_and_counting(demo: Demo) -> None:
    async with ClientSession() as session:
        async with session.get(f"{demo.admin_url}/readyz") as reply:
            assert reply.status == 200
        async with session.get(f"{demo.admin_url}/metrics") as reply:
            text = await reply.text()
    limited = re.findall(r'^gateway_requests_total\{.*route="hr-lists",status="429"\} (\S+)', text, re.MULTILINE)
    assert float(limited[0]) >= 1


def test_ctrl_c_stops_everything(demo: Demo) -> None:
    processes, folder = demo.family()
    ports = [int(url.rpartition(":")[2]) for url in (demo.url, demo.admin_url)]
    assert len(processes) >= 10
    assert folder.is_dir()
    demo.process.send_signal(signal.SIGINT)
    output, _ = demo.process.communicate(timeout=50)
    assert (demo.process.returncode, output) == (0, "")
    left = [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert left == []
    assert not folder.exists()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
