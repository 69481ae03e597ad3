"""The gateway and its peers: where they are, what they are configured with, how they are started."""

import json
import os
import re
import shutil
import string
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Process, StartFailed, free_ports
from tests.bench.work import GATEWAY

TEMPLATES = Path(__file__).parent / "templates"
REPOSITORY = Path(__file__).parents[2]
RATE_PER_MINUTE = 100_000_000
ENTRIES = ("plain", "secured", "gzip", "metrics")

# Beside this Python are the wheels' programs; servers often stand where only root's PATH leads.
_PATH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"))
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")


class _ConfigTemplate(string.Template):
    """`@@{name}`: the one mark that none of the configuration languages uses."""

    delimiter = "@@"


@dataclass(frozen=True, slots=True)
class Peer:
    """arguments: with {config} and {folder}. version: the arguments that make it say its version."""

    name: str
    program: str
    template: str
    arguments: tuple[str, ...]
    version: str


PEERS = (
    Peer("nginx", "nginx", "nginx.conf", ("-p", "{folder}", "-c", "{config}", "-e", "nginx.error.log"), "-v"),
    Peer("HAProxy", "haproxy", "haproxy.cfg", ("-db", "-f", "{config}"), "-v"),
    Peer(
        "Envoy",
        "envoy",
        "envoy.yaml",
        ("-c", "{config}", "--concurrency", "1", "--disable-hot-restart", "-l", "error"),
        "--version",
    ),
    Peer("Caddy", "caddy", "Caddyfile", ("run", "--config", "{config}", "--adapter", "caddyfile"), "version"),
)


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that listens. ports: by entry."""

    process: Process
    ports: Mapping[str, int]


def find_program(name: str) -> str | None:
    """Its path, or None where it is not installed."""
    return shutil.which(name, path=_PATH)


def version_of(program: str, argument: str) -> str:
    """The first thing like a version number that it prints."""
    done = subprocess.run([program, argument], capture_output=True, text=True, timeout=10, check=False)
    found = _VERSION.search(done.stdout + done.stderr)
    return found[0] if found else "of unknown version"


class Bench:
    """Starts processes with a folder for their configurations and logs. secret: signs the tokens, base64url text."""

    def __init__(self, folder: Path, *, proxy_processor: int, load_processor: int, secret: str) -> None:
        self.folder = folder
        self.proxy_processor = proxy_processor
        self.load_processor = load_processor
        self.started: list[Process] = []
        self._secret = secret
        self._upstream_port = 0

    def start_upstream(self) -> None:
        """One nginx with static files, on the processor of the load. Raises StartFailed."""
        (self._upstream_port,) = free_ports(1)
        config = self.render("upstream.conf", {})
        self.render("body_paths.conf", {})
        arguments = ("-p", str(self.folder), "-c", str(config), "-e", "upstream.error.log")
        process = self._start("upstream", [find_program("nginx") or "nginx", *arguments], self.load_processor)
        process.wait_until_listening(self._upstream_port)

    def start_redis(self, program: str) -> str:
        """A redis-server without persistence, on the processor of the load. Returns its URL. Raises StartFailed."""
        (port,) = free_ports(1)
        arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        process = self._start("redis", [program, *arguments, "--dir", str(self.folder)], self.load_processor)
        process.wait_until_listening(port)
        return f"redis://127.0.0.1:{port}/0"

    def start_peer(self, peer: Peer, program: str) -> Running:
        """Raises StartFailed."""
        ports = dict(zip(ENTRIES, free_ports(len(ENTRIES)), strict=True))
        key = {"kty": "oct", "alg": "HS256", "k": urlsafe_b64encode(self._secret.encode()).decode().rstrip("=")}
        config = self.render(peer.template, {**ports, "jwks": json.dumps({"keys": [key]})})
        arguments = [each.format(config=config, folder=self.folder) for each in peer.arguments]
        process = self._start(peer.name, [program, *arguments], self.proxy_processor)
        process.wait_until_listening(ports["plain"])
        return Running(process, ports)

    def compile_gateway(self) -> Path:
        """A copy of the gateway with its hot modules compiled, which takes a minute or two. Raises StartFailed."""
        copy = self.folder / "compiled"
        for package in ("gateway", "plugins"):
            shutil.copytree(REPOSITORY / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
        command = [sys.executable, str(REPOSITORY / "deploy" / "compile.py"), str(copy)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise StartFailed(f"it was not compiled: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")
        return copy

    def start_gateway(
        self, table: str, *, store: str = "memory://", more_routes: int = 0, code: Path = REPOSITORY
    ) -> Running:
        """One worker with a table of its own. code: the folder of its packages. Raises StartFailed."""
        port, admin_port = free_ports(2)
        routes = "\n".join(
            f'- {{id: more-{number}, match: "/suite-{number % 40}/resource-{number}/{{id}}/*", to: origin, auth: none}}'
            for number in range(more_routes)
        )
        config = self.render("routes.yaml", {"store": store, "more_routes": routes}, f"{table}.routes.yaml")
        name = f"{GATEWAY}-{table}"
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), "--workers", "1"]
        command += ["--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin_port}", "--drain", "1s"]
        command += ["--access-log", str(self.folder / f"{name}.access.log")]
        process = self._start(name, command, self.proxy_processor, code)
        process.wait_until_listening(port)
        return Running(process, dict.fromkeys(ENTRIES, port))

    def empty_logs(self) -> None:
        """A round may leave a hundred megabytes; all log files are open for appending."""
        for pattern in ("*.access.log", "*.out"):
            for path in self.folder.glob(pattern):
                os.truncate(path, 0)

    def stop_all(self) -> None:
        """End every process that was started, the last one first."""
        for process in reversed(self.started):
            process.stop()

    def _start(self, name: str, command: Sequence[str], processor: int, code: Path = REPOSITORY) -> Process:
        environment = {
            "PYTHONPATH": str(code),
            "BENCH_JWT_SECRET": self._secret,
            # Caddy keeps its state there.
            "XDG_CONFIG_HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder),
        }
        process = Process(name, command, self.folder, processor, environment)
        self.started.append(process)
        return process

    def render(self, template: str, values: Mapping[str, object], name: str = "") -> Path:
        text = _ConfigTemplate((TEMPLATES / template).read_text()).substitute(
            {
                "folder": self.folder,
                "upstream": self._upstream_port,
                "secret": self._secret,
                "rate_per_minute": RATE_PER_MINUTE,
                **values,
            }
        )
        config = self.folder / (name or template)
        config.write_text(text)
        return config
