"""A gibibyte through a gateway of its own process, in each direction: its memory stays where it was."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.client import connected
from tests.support.gateway import Process, gateway_process

GIB = 1 << 30
MIB = 1 << 20
TABLE = """
version: 1
defaults: {auth: none, timeout: {total: none, idle: 10s}, body_max: 2GiB}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes: [{id: all, match: /*, to: origin}]
"""


@asynccontextmanager
async def bulk() -> AsyncIterator[tuple[Process, int]]:
    """The gateway before an upstream process, and the process id of its worker."""
    origin = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.bulk", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert origin.stdout is not None
        url = f"http://127.0.0.1:{int(await origin.stdout.readline())}"
        async with asyncio.timeout(50), gateway_process(TABLE, {"ORIGIN": url}) as process:
            (worker,) = process.workers()
            # Once small, so that everything is there that has to be.
            async with connected(process.port) as client:
                assert len((await client.request("GET", f"/{4 * MIB}")).body) == 4 * MIB
                assert (await client.request("POST", "/", body=bytes(4 * MIB))).body == b"%d" % (4 * MIB)
            yield process, worker
    finally:
        origin.kill()
        await origin.wait()
        origin._transport.close()  # type: ignore[attr-defined]


def resident_bytes(process_id: int, which: str) -> int:
    """which: VmRSS now, VmHWM the most since `forget_peak`."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith(which + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(which)


def forget_peak(process_id: int) -> None:
    Path(f"/proc/{process_id}/clear_refs").write_text("5")


def download(port: int) -> None:
    buffer = bytearray(MIB)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % GIB)
        data = sock.recv(65536)
        assert data.startswith(b"HTTP/1.1 200 ")
        count = len(data) - data.index(b"\r\n\r\n") - 4
        while count < GIB:
            size = sock.recv_into(buffer)
            assert size, f"broken off after {count}"
            count += size
        assert count == GIB


def upload(port: int) -> None:
    block = bytes(MIB)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % GIB)
        for _ in range(GIB // MIB):
            sock.sendall(block)
        assert sock.recv(65536).endswith(b"\r\n\r\n%d" % GIB)


@pytest.mark.parametrize("transfer", [download, upload])
async def test_a_gibibyte_leaves_the_memory_where_it_was(transfer: Callable[[int], None]) -> None:
    async with bulk() as (process, worker):
        idle = resident_bytes(worker, "VmRSS")
        forget_peak(worker)
        started_s = asyncio.get_running_loop().time()
        await asyncio.to_thread(transfer, process.port)
        assert asyncio.get_running_loop().time() - started_s < 30
        grown = resident_bytes(worker, "VmHWM") - idle
        assert grown < 32 * MIB, f"{grown / MIB:.1f} MiB"
