"""`python -m upstream_services.demo`: the four services with data, on one embedded PostgreSQL, a database each.

Importing the services costs more than anything else here (1.5 s of CPU, and PostgreSQL takes 1 s), so they are imported
once, while PostgreSQL starts in a process of its own, and each service is then a fork of this process: four
interpreters that each import for themselves took twice as long.
When all is up, one line of JSON goes to standard output; then it stays until SIGTERM, SIGINT or, with
`--exit-with-parent`, the end of its standard input, and takes everything down with it. Each process that it started
also ends by itself when this one is gone, however it went.
"""

import argparse
import asyncio
import importlib
import json
import logging
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from upstream_services.demo_processes import DemoError, PostgresProcess, ServiceProcess
from upstream_services.kit.process import OneLineParser, port_number, stop_requested

SERVICES = ("crm", "finance", "hr", "marketing")
PLANS = {"acme": "free", "bharat": "pro", "zenith": "enterprise"}
READY_TIMEOUT_S = 30.0


async def _supervise(
    services: Sequence[ServiceProcess], seeding: Any, told: dict[str, Any], *, exit_with_parent: bool
) -> None:
    """Fills the databases, says so when all is up, and returns when it is told to stop. Raises DemoError."""
    stop = asyncio.create_task((await stop_requested(with_stdin=exit_with_parent)).wait())
    starting = asyncio.create_task(_all_up(services, seeding))
    await asyncio.wait((starting, stop), timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait((starting,))
        if not stop.done():
            raise DemoError(f"the services were not up after {READY_TIMEOUT_S:.0f} s")
        return
    sys.stdout.write(json.dumps(told | {"services": starting.result()}) + "\n")
    sys.stdout.flush()
    deaths = [asyncio.create_task(service.died()) for service in services]
    done, _ = await asyncio.wait((stop, *deaths), return_when=asyncio.FIRST_COMPLETED)
    if stop not in done:
        raise DemoError(done.pop().result())


async def _all_up(services: Sequence[ServiceProcess], seeding: Any) -> dict[str, str]:
    _, *addresses = await asyncio.gather(seeding, *(service.ready() for service in services))
    return {service.name: address for service, address in zip(services, addresses, strict=True)}


def _run(stack: ExitStack, data: Path, ports: Sequence[int], *, exit_with_parent: bool) -> None:
    postgres = stack.enter_context(PostgresProcess(data, SERVICES))
    # Only now, because this is what PostgreSQL's start is to overlap with.
    wanted = ("upstream_services.demo_data", "upstream_services.kit.serve", "upstream_services.kit.migrations")
    demo_data, serve, _ = map(importlib.import_module, wanted)
    modules = [importlib.import_module(f"upstream_services.{name}.api") for name in SERVICES]
    rows = demo_data.make_rows(tuple(PLANS))
    urls = postgres.urls()
    logs = data / "logs"
    logs.mkdir(exist_ok=True)
    extra = {"finance_url": f"http://127.0.0.1:{ports[SERVICES.index('finance')]}"}
    services = [
        stack.enter_context(
            ServiceProcess(module.SERVICE.name, logs, partial(serve.run_as_child, module.SERVICE, port, url, extra))
        )
        for module, port, url in zip(modules, ports, urls.values(), strict=True)
    ]
    told = {"ready": True, "services": {}, "data": str(data), "tenants": PLANS}
    seeding = demo_data.seed([module.SERVICE for module in modules], urls, rows)
    asyncio.run(_supervise(services, seeding, told, exit_with_parent=exit_with_parent))


def _ports(text: str) -> tuple[int, ...]:
    ports = tuple(port_number(part) for part in text.split(","))
    if len(ports) != len(SERVICES) or 0 in ports or len(set(ports)) != len(ports):
        raise argparse.ArgumentTypeError(f"needs {len(SERVICES)} different ports: {','.join(SERVICES)}")
    return ports


def _port_in_use(ports: Sequence[int]) -> int | None:
    """The first port that somebody listens on: better said now than by a service's log in some seconds."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return port
    return None


def _stop_early(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo. Returns 0, or 1 where a part of it does not start or dies; exits with 2 for bad flags."""
    parser = OneLineParser(prog="demo", description="The four services with data, on one embedded PostgreSQL.")
    parser.add_argument("--data", type=Path, help="folder that keeps the data; default: a temporary one")
    parser.add_argument("--ports", type=_ports, default="8101,8102,8103,8104", help=",".join(SERVICES))
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    found = parser.parse_args(arguments)
    if (taken := _port_in_use(found.ports)) is not None:
        parser.error(f"port {taken} of 127.0.0.1 is in use or not ours to use")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop_early)
    # What the services log is in their files; what this process would, to fill the databases, concerns nobody.
    logging.getLogger("upstream_services").addHandler(logging.NullHandler())
    code = 0
    data = found.data.absolute() if found.data else Path(tempfile.mkdtemp(prefix="suite-demo-"))
    try:
        data.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            _run(stack, data, found.ports, exit_with_parent=found.exit_with_parent)
    except (DemoError, OSError) as error:
        sys.stderr.write(f"demo: {error}\n")
        code = 1
    finally:
        if found.data is None:  # the logs stay where the line above sends people to read them
            shutil.rmtree(data / "postgres" if code else data, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
