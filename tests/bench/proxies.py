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
from tests.bench.work import GATEWAY, INTERPRETED

TEMPLATES = Path(__file__).parent / "templates"
REPOSITORY = Path(__file__).parents[2]
RATE_PER_MINUTE = 100_000_000
ENTRIES = ("plain", "secured", "gzip", "kept", "metrics")

# Beside this Python are the wheels' programs; servers often stand where only root's PATH leads.
_PATH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"))
_SERVE_S = 30.0
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")


class _ConfigTemplate(string.Template):
    """`@@{name}`: the one mark that none of the configuration languages uses."""

    delimiter = "@@"


@dataclass(frozen=True, slots=True)
class Peer:
    """arguments: with {config}, {folder} and the port of each entry. entry: one that it has. version: the argument that
    makes it say its version. log: the file of its access log.
    """

    name: str
    program: str
    template: str
    arguments: tuple[str, ...]
    version: str
    log: str
    entry: str = "plain"


PEERS = (
    Peer(
        "nginx",
        "nginx",
        "nginx.conf",
        ("-p", "{folder}", "-c", "{config}", "-e", "nginx.error.log"),
        "-v",
        "nginx.access.log",
    ),
    Peer("HAProxy", "haproxy", "haproxy.cfg", ("-db", "-f", "{config}"), "-v", "HAProxy.out"),
    Peer(
        "Envoy",
        "envoy",
        "envoy.yaml",
        ("-c", "{config}", "--concurrency", "1", "--disable-hot-restart", "-l", "error"),
        "--version",
        "envoy.access.log",
    ),
    Peer(
        "Caddy",
        "caddy",
        "Caddyfile",
        ("run", "--config", "{config}", "--adapter", "caddyfile"),
        "version",
        "caddy.access.log",
    ),
    # A cache only. It writes no access log of its own: `varnishncsa` would, at a price of its own.
    Peer(
        "Varnish",
        "varnishd",
        "varnish.vcl",
        (
            *("-F", "-n", "{folder}/varnish", "-a", "127.0.0.1:{kept}", "-f", "{config}"),
            *("-s", "malloc,64m", "-p", "thread_pools=1"),
        ),
        "-V",
        "Varnish.out",
        entry="kept",
    ),
)


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that listens. ports: by entry. log: its access log."""

    process: Process
    ports: Mapping[str, int]
    log: Path

    def url(self, path: str) -> str:
        """Of a path that begins with its entry."""
        return f"http://127.0.0.1:{self.ports[path.split('/')[1]]}{path}"


def find_program(name: str) -> str | None:
    """Its path, or None where it is not installed."""
    return shutil.which(name, path=_PATH)


def version_of(program: str, argument: str) -> str:
    """The first thing like a version number that it prints."""
    done = subprocess.run([program, argument], capture_output=True, text=True, timeout=10, check=False)
    found = _VERSION.search(done.stdout + done.stderr)
    return found[0] if found else "of unknown version"


def compile_copy(copy: Path) -> Path:
    """The gateway's packages there, the hot modules compiled. Raises StartFailed."""
    for package in ("gateway", "plugins"):
        shutil.copytree(REPOSITORY / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, str(REPOSITORY / "deploy" / "compile.py"), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise StartFailed(f"it was not compiled: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")
    return copy


class Bench:
    """Starts processes with a folder for their configurations and logs. processors: the proxies' and the load's.
    secret: signs the tokens, base64url text. compiled: where the gateway's compiled code is, once there is some.
    """

    def __init__(self, folder: Path, *, processors: Sequence[int], secret: str) -> None:
        self.folder = folder
        self.proxy_processor, self.load_processor = map(str, processors)
        self.both_processors = f"{self.proxy_processor},{self.load_processor}"
        self.secret = secret
        self.compiled: Path | None = None
        self.started: list[Process] = []
        self._upstream_port = 0

    def start_upstream(self) -> None:
        """One nginx with static files, on the processor of the load. Raises StartFailed."""
        (self._upstream_port,) = free_ports(1)
        config = self.render("upstream.conf", {})
        self.render("body_paths.conf", {})
        arguments = ("-p", str(self.folder), "-c", str(config), "-e", "upstream.error.log")
        process = self.start("upstream", [find_program("nginx") or "nginx", *arguments], self.load_processor)
        process.wait_until_listening(self._upstream_port)

    def start_redis(self, program: str, port: int = 0) -> tuple[Process, int]:
        """A redis-server without persistence, on the processor of the load, and its port. Raises StartFailed."""
        port = port or free_ports(1)[0]
        arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        process = self.start("redis", [program, *arguments, "--dir", str(self.folder)], self.load_processor)
        process.wait_until_listening(port)
        return process, port

    def start_peer(self, peer: Peer, program: str) -> Running:
        """On the proxies' processor. Raises StartFailed."""
        ports = dict(zip(ENTRIES, free_ports(len(ENTRIES)), strict=True))
        key = {"kty": "oct", "alg": "HS256", "k": urlsafe_b64encode(self.secret.encode()).decode().rstrip("=")}
        config = self.render(peer.template, {**ports, "jwks": json.dumps({"keys": [key]})})
        arguments = [each.format(config=config, folder=self.folder, **ports) for each in peer.arguments]
        process = self.start(peer.name, [program, *arguments], self.proxy_processor)
        process.wait_until_listening(ports[peer.entry])
        return Running(process, ports, self.folder / peer.log)

    def compile_gateway(self) -> Path:
        """A copy of the gateway with its hot modules compiled, which takes a minute or two; the same one each time.

        Raises StartFailed.
        """
        if self.compiled is None:
            self.compiled = compile_copy(self.folder / "compiled")
        return self.compiled

    def start_gateway(
        self,
        table: str,
        *,
        compiled: bool = True,
        store: str = "memory://",
        more_routes: int = 0,
        workers: int = 1,
        processors: str = "",
    ) -> Running:
        """With a table of its own. processors: the proxies' unless said otherwise. Raises StartFailed."""
        routes = "\n".join(
            f'- {{id: more-{number}, match: "/suite-{number % 40}/resource-{number}/{{id}}/*", to: origin, auth: none}}'
            for number in range(more_routes)
        )
        config = self.render("routes.yaml", {"store": store, "more_routes": routes}, f"{table}.routes.yaml")
        running, _ = self.serve(table, config, compiled=compiled, workers=workers, processors=processors)
        return running

    def serve(
        self, table: str, config: Path, *, compiled: bool, workers: int, processors: str = ""
    ) -> tuple[Running, int]:
        """The gateway with that route table, and the port of its admin listener. Raises StartFailed."""
        code = self.compile_gateway() if compiled else REPOSITORY
        port, admin_port = free_ports(2)
        name = f"{GATEWAY if compiled else INTERPRETED}-{table}"
        log = self.folder / f"{name}.access.log"
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), "--workers", str(workers)]
        command += ["--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin_port}", "--drain", "1s"]
        command += ["--access-log", str(log)]
        process = self.start(name, command, processors or self.proxy_processor, code)
        process.wait_for_line("listening on ", _SERVE_S)
        return Running(process, dict.fromkeys(ENTRIES, port), log), admin_port

    def start_module(
        self, name: str, module: str, arguments: Sequence[str], processors: str, folder: Path | None = None
    ) -> Process:
        """A Python module of the bench as a process that listens to `Process.tell`; on the load's processor unless said
        otherwise. folder: where it runs and writes.
        """
        command = [sys.executable, "-m", module, *arguments]
        return self.start(name, command, processors or self.load_processor, is_talking=True, folder=folder)

    def empty_logs(self) -> None:
        """A round may leave a hundred megabytes; all log files are open for appending."""
        for pattern in ("*.access.log", "*.out"):
            for path in self.folder.glob(pattern):
                os.truncate(path, 0)

    def stop_all(self) -> None:
        """End every process that was started, the last one first."""
        for process in reversed(self.started):
            process.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        processors: str,
        code: Path = REPOSITORY,
        *,
        is_talking: bool = False,
        folder: Path | None = None,
    ) -> Process:
        """A process of this bench, which ends with it."""
        environment = {
            "PYTHONPATH": str(code),
            "BENCH_JWT_SECRET": self.secret,
            # Caddy keeps its state there.
            "XDG_CONFIG_HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder),
        }
        process = Process(name, command, folder or self.folder, processors, environment, is_talking=is_talking)
        self.started.append(process)
        return process

    def render(self, template: str, values: Mapping[str, object], name: str = "") -> Path:
        text = _ConfigTemplate((TEMPLATES / template).read_text()).substitute(
            {
                "folder": self.folder,
                "upstream": self._upstream_port,
                "secret": self.secret,
                "rate_per_minute": RATE_PER_MINUTE,
                **values,
            }
        )
        config = self.folder / (name or template)
        config.write_text(text)
        return config
