"""`gateway demo`: four services with data on one embedded PostgreSQL, and the gateway before them on the real table.

Both are processes of their own, as they would be anywhere else; this one starts them, says how to reach them, and takes
them down together.
"""

import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gateway
from gateway.config.load import load_table
from gateway.development_token import Caller, make_token

Address = tuple[str, int]

_SERVICES = ("crm", "finance", "hr", "marketing")
_PORTS = (8101, 8102, 8103, 8104)
_START_TIMEOUT_S = 60.0
# On a busy disk PostgreSQL's last checkpoint and the removal of its folder take this long.
_STOP_TIMEOUT_S = 30.0
_TOKEN_LIFETIME_S = 12 * 3600.0
_SCOPES = [f"{name}.{right}" for name in _SERVICES for right in ("read", "write")]


class _DemoFailedError(Exception):
    """One line for the user."""


def table_path() -> Path:
    """The project's routes.yaml: of the checkout, or as installed with the package."""
    places = (
        Path(gateway.__file__).parent.parent / "routes.yaml",
        Path(sysconfig.get_path("data")) / "share" / "suite-gateway" / "routes.yaml",
    )
    for place in places:
        if place.is_file():
            return place
    raise _DemoFailedError(f"routes.yaml is not in {' nor in '.join(str(place.parent) for place in places)}")


def run_demo(data: str | None, listen: Address, admin: Address) -> int:
    """Serve until SIGTERM or Ctrl-C. data: the folder that keeps the data, None for a temporary one."""
    stop_read, stop_write = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(stop_write, b"x"))
    demo = _Demo(data, listen, admin, stop_read)
    try:
        demo.run()
    except _DemoFailedError as error:
        sys.stderr.write(f"gateway demo: {error}\n")
        return 1
    finally:
        demo.stop()
    return 0


class _Demo:
    def __init__(self, data: str | None, listen: Address, admin: Address, stop: int) -> None:
        self._data = data
        self._listen = listen
        self._admin = admin
        self._stop = stop
        self._children: list[subprocess.Popen[bytes]] = []

    def run(self) -> None:
        started_s = time.monotonic()
        table = str(table_path())
        ports = _free_ports(_PORTS)
        environment = {
            **os.environ,
            "JWT_SECRET": os.environ.get("JWT_SECRET") or secrets.token_urlsafe(48),
            **{f"{name.upper()}_URL": f"http://127.0.0.1:{port}" for name, port in zip(_SERVICES, ports, strict=True)},
        }
        command = ["upstream_services.demo", "--exit-with-parent", "--ports", ",".join(map(str, ports))]
        services = self._start([*command, *(["--data", self._data] if self._data else [])], environment, out=True)
        serve = ["gateway", "serve", "--config", table, "--listen", _text(self._listen), "--admin", _text(self._admin)]
        edge = self._start([*serve, "--workers", "1", "--access-log", "none", "--drain", "5s"], environment, err=True)
        told = self._first_line(services, services.stdout, "the services")
        if told is None or (listening := self._first_line(edge, edge.stderr, "the gateway", "listening on ")) is None:
            return
        loaded = load_table(table, environ=environment)
        tokens = {
            f"{tenant} ({plan})": make_token(
                loaded, Caller(tenant, "demo-user", plan, _SCOPES, _SERVICES), lifetime_s=_TOKEN_LIFETIME_S
            )
            for tenant, plan in json.loads(told)["tenants"].items()
        }
        banner = _banner(listening.decode().strip(), tokens, time.monotonic() - started_s)
        sys.stdout.write(banner + "\n")
        sys.stdout.flush()
        self._wait({services: "the services", edge: "the gateway"})

    def stop(self) -> None:
        """The gateway first, so that it never stands before services that are gone."""
        for child in reversed(self._children):
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(_STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()

    def _start(
        self, arguments: Sequence[str], environment: dict[str, str], *, out: bool = False, err: bool = False
    ) -> "subprocess.Popen[bytes]":
        # A session of their own: Ctrl-C reaches this process alone, which ends the others in order.
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            [sys.executable, "-m", *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if out else None,
            stderr=subprocess.PIPE if err else None,
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def _first_line(self, child: "subprocess.Popen[bytes]", pipe: Any, name: str, prefix: str = "") -> bytes | None:
        """The child's word that it is up; None where the user stops the demo first. Other lines are shown."""
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while True:
            ready, _, _ = select.select([pipe, self._stop], [], [], max(0.0, deadline_s - time.monotonic()))
            if self._stop in ready:
                return None
            if not ready:
                raise _DemoFailedError(f"{name} did not start in {_START_TIMEOUT_S:.0f} s")
            line: bytes = pipe.readline()
            if not line:
                raise _DemoFailedError(f"{name} ended with code {child.wait()}")
            if line.startswith(prefix.encode()):
                return line
            sys.stderr.write(line.decode(errors="replace"))

    def _wait(self, children: dict["subprocess.Popen[bytes]", str]) -> None:
        # Poll each half second for a death; a signal ends the wait at once.
        while not select.select([self._stop], [], [], 0.5)[0]:
            for child, name in children.items():
                if child.poll() is not None:
                    raise _DemoFailedError(f"{name} ended with code {child.returncode}")


def _free_ports(wanted: Sequence[int]) -> list[int]:
    """The wanted ports where they are free, others where they are not."""
    ports = []
    for port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    return ports


def _text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _banner(listening: str, tokens: dict[str, str], seconds: float) -> str:
    url = listening.partition("listening on ")[2].partition(",")[0]
    first, second, third = tokens.values()
    batch = json.dumps(
        {
            "requests": [
                {"id": "deals", "method": "GET", "path": "/api/v1/crm/deals?limit=1"},
                {"id": "staff", "method": "GET", "path": "/api/v1/hr/employees?limit=1"},
            ]
        }
    )
    contact = json.dumps({"name": "Asha Rao", "email": "asha.rao@example.com", "status": "lead"})

    def curl(token: str, rest: str) -> str:
        return f"curl -s -H 'Authorization: Bearer {token}' {rest}"

    lines = [
        f"Up in {seconds:.1f} s: {listening}",
        "",
        *(f"token of {tenant}: {token}" for tenant, token in tokens.items()),
        "",
        "# a page of contacts",
        curl(first, f"'{url}/api/v1/crm/contacts?limit=2'"),
        "# a hundred invoices, compressed; how many bytes came",
        curl(
            second,
            f"-H 'Accept-Encoding: br' -o /dev/null -w '%{{size_download}} bytes\\n' "
            f"'{url}/api/v1/finance/invoices?limit=100'",
        ),
        "# a new contact",
        curl(second, f"-H 'Content-Type: application/json' -d '{contact}' {url}/api/v1/crm/contacts"),
        "# two requests in one",
        curl(third, f"-H 'Content-Type: application/json' -d '{batch}' {url}/api/v1/batch"),
        "# without a token: an error that says what is missing",
        f"curl -s -i {url}/api/v1/crm/contacts",
        "",
        "Ctrl-C stops everything.",
    ]
    return "\n".join(lines)
