"""The row of the 1 GiB body: what it costs to move one, and what memory grows by meanwhile."""

import socket
import threading
import time
from collections.abc import Mapping
from statistics import median

from tests.bench.load import RoundFailed
from tests.bench.processes import rss_of_mib
from tests.bench.proxies import Bench, Running
from tests.bench.table import Line, amount_text, ratio_text
from tests.bench.work import GATEWAY, INTERPRETED

NAME = "big-body"
PROXIES = (GATEWAY, INTERPRETED, "nginx", "Envoy")
PATH = "/plain/big.bin"
BYTES = 1 << 30
TITLE = "1 GiB body"
CPU_TARGET = 1.5
MEMORY_TARGET_MIB = 32.0
_TIMEOUT_S = 30.0
_LOOK_S = 0.02


def measure(bench: Bench, proxies: Mapping[str, Running], rounds: int) -> list[Line]:
    """proxies: that have served something before, by name; they are asked in turn."""
    file = bench.folder / "files" / PATH.lstrip("/")
    with file.open("wb") as output:
        # All of it a hole: nothing is read from a disk.
        output.truncate(BYTES)
    cpu_ms: dict[str, list[float]] = {name: [] for name in proxies}
    growth_mib: dict[str, float] = {}
    failures: dict[str, str] = {}
    for number in range(rounds + 1):
        for name, running in proxies.items():
            if name in failures:
                continue
            try:
                ms, mib = _transfer(running)
            except RoundFailed as failure:
                failures[name] = str(failure)
                continue
            # The first one warms up for time; memory counts from there: that is when buffers come to be.
            growth_mib[name] = max(growth_mib.get(name, 0.0), mib)
            if number:
                cpu_ms[name].append(ms)
    file.unlink()
    cpu = {name: median(each) for name, each in cpu_ms.items() if each and name not in failures}
    growth = {name: each for name, each in growth_mib.items() if name not in failures}
    return [
        Line(
            TITLE,
            "CPU ms",
            {name: f"{each:.0f}" for name, each in cpu.items()},
            [ratio_text(cpu.get(GATEWAY), cpu.get("nginx"), "nginx", CPU_TARGET)],
            failures,
        ),
        Line(
            "",
            "more memory meanwhile, MiB",
            {name: f"{each:.1f}" for name, each in growth.items()},
            [amount_text(growth.get(GATEWAY), "MiB", MEMORY_TARGET_MIB)],
        ),
    ]


def _transfer(running: Running) -> tuple[float, float]:
    """CPU milliseconds, and how far resident memory went above where it was. Raises RoundFailed."""
    pids = running.process.pids()
    before_mib, before_s = rss_of_mib(pids), running.process.cpu_s()
    highest_mib = before_mib
    is_over = threading.Event()

    def look() -> None:
        nonlocal highest_mib
        while not is_over.wait(_LOOK_S):
            highest_mib = max(highest_mib, rss_of_mib(pids))

    watch = threading.Thread(target=look)
    watch.start()
    try:
        received = _receive(running.ports["plain"])
    except OSError as error:
        raise RoundFailed(f"the body broke off: {error}") from None
    finally:
        is_over.set()
        watch.join()
    if received != BYTES:
        raise RoundFailed(f"{received:,} bytes came")
    return (running.process.cpu_s() - before_s) * 1000, highest_mib - before_mib


def _receive(port: int) -> int:
    """The bytes of the body."""
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as client:
        client.sendall(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % PATH.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(65536)
            if not piece:
                raise OSError("no reply")
            head += piece
        if not head.startswith(b"HTTP/1.1 200 "):
            raise OSError(head.partition(b"\r\n")[0].decode("latin-1"))
        received = len(head.partition(b"\r\n\r\n")[2])
        give_up_s = time.monotonic() + _TIMEOUT_S
        while received < BYTES and (count := client.recv_into(buffer)):
            received += count
            if time.monotonic() > give_up_s:
                raise OSError(f"only {received:,} bytes after {_TIMEOUT_S:g} s")
    return received
