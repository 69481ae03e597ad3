"""The processes of the demo. Each ends when its standard input does, so none outlives the demo, however that ends."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Self

MAX_FILES = 65536


class DemoError(Exception):
    """The demo cannot go on; the message says why in one line."""


class PostgresProcess:
    """The embedded PostgreSQL with its databases, in a process of its own: this one must have no threads to fork."""

    def __init__(self, data: Path, databases: Sequence[str]) -> None:
        command = (sys.executable, "-m", "upstream_services.kit.embedded_postgres", str(data), *databases)
        self._process = subprocess.Popen(  # noqa: S603 - a module of this package
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.communicate()

    def urls(self) -> dict[str, str]:
        """Waits until it is up and returns the URL of each database. Raises DemoError."""
        line = self._process.stdout.readline() if self._process.stdout else b""
        told: dict[str, str] = json.loads(line or b'{"error": "the embedded PostgreSQL does not start"}')
        if "error" in told:
            raise DemoError(told["error"])
        return told


class ServiceProcess:
    """A service as a fork of this process: its log in a file, its standard input and output in one socket to us.

    What it says is its ready line; that the socket ends is its death, and to the service that it ends is ours.
    """

    def __init__(self, name: str, logs: Path, run: Callable[[], int]) -> None:
        self.name, self._log = name, logs / f"{name}.log"
        self._socket, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            _be_a_service(run, theirs, self._log)
        theirs.close()

    def __repr__(self) -> str:
        return f"<ServiceProcess {self.name} pid={self._pid}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Its standard input ends, so it drains; waits for that."""
        self._socket.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    async def ready(self) -> str:
        """Waits until it listens and returns its address. Raises DemoError if it dies instead."""
        line = await self._read()
        if not line:
            raise DemoError(self._epitaph())
        return str(json.loads(line)["url"])

    async def died(self) -> str:
        """Waits for its death after it was ready, and says which log tells why."""
        await self._read()
        return self._epitaph()

    async def _read(self) -> bytes:
        self._socket.setblocking(False)
        with suppress(ConnectionResetError):
            return await asyncio.get_running_loop().sock_recv(self._socket, 4096)
        return b""

    def _epitaph(self) -> str:
        return f"{self.name} has ended; its log is {self._log}"


def _be_a_service(run: Callable[[], int], parent: socket.socket, log: Path) -> NoReturn:
    """What the child does, and all that it does: nothing of the parent's open files or exit handlers is its own."""
    code = 1
    try:
        os.setsid()  # Ctrl-C is for the demo, which then stops its services in order
        os.dup2(parent.fileno(), 0)
        os.dup2(parent.fileno(), 1)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
        os.closerange(3, MAX_FILES)
        code = run()
    except Exception:
        traceback.print_exc()  # to the log
    finally:
        os._exit(code)
