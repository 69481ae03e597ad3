"""Hazard: certificates run out while their successors lie on the disk, or a bad new file takes the service down."""

import asyncio
import os
import signal
import ssl
import struct
from pathlib import Path

import pytest

from tests.support.certificates import DAY, Authority, Certified
from tests.support.client import connected
from tests.support.gateway import gateway_process, until
from tests.support.origin import running_origin

# The processes are what this is about, whichever lane they have.
pytestmark = pytest.mark.parametrize("each_lane", ["fast"], indirect=True)
AUTHORITY, SUCCESSOR = Authority("Old"), Authority("New")


def write(folder: Path, certified: Certified) -> list[str]:
    """The files in `folder`, each replaced at once, and the flags that name them."""
    for name, text in (("cert.pem", certified.certificate), ("key.pem", certified.key)):
        (folder / "next").write_text(text)
        (folder / "next").rename(folder / name)
    return ["--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")]


async def accepts(port: int, authority: Authority) -> bool:
    try:
        async with connected(port, authority.client_context()) as client:
            return (await client.request("GET", "/")).status == 200
    except ssl.SSLCertVerificationError:
        return False


async def test_files_that_change_are_served_by_every_worker_and_a_bad_one_is_not(tmp_path: Path) -> None:
    flags = write(tmp_path, AUTHORITY.local)
    async with (
        asyncio.timeout(40),
        running_origin() as origin,
        gateway_process(environ={"ORIGIN": origin.url}, workers=2, flags=flags) as process,
        connected(process.port, AUTHORITY.client_context()) as old,
    ):
        assert (await old.request("GET", "/")).status == 200
        (tmp_path / "cert.pem").write_text("oh dear")
        await until(lambda: any("certificates are not renewed" in line for line in process.errors))
        assert "there is no certificate in PEM form here" in process.errors[-1]
        assert await process.metric("gateway_tls_renewals_total", outcome="failed") == 1
        assert await accepts(process.port, AUTHORITY)
        # A worker that is started now has no good file to read.
        victim = process.workers()[0]
        os.kill(victim, signal.SIGKILL)
        while victim in process.workers() or len(process.workers()) < 2 or await process.metric("gateway_workers") < 2:
            await asyncio.sleep(0.02)
        for _ in range(8):
            assert await accepts(process.port, AUTHORITY)
        ends = await process.metric("gateway_tls_certificate_not_after_seconds")
        write(tmp_path, SUCCESSOR.issue("gateway.test", ends_in=7 * DAY))
        await until(lambda: any("certificates are renewed" in line for line in process.errors))
        assert await process.metric("gateway_tls_renewals_total", outcome="done") == 1
        assert await process.metric("gateway_tls_certificate_not_after_seconds") > ends
        while not all([await accepts(process.port, SUCCESSOR) for _ in range(8)]):
            await asyncio.sleep(0.02)
        assert not any("Traceback" in line for line in process.errors)


def hello_for(name: bytes) -> bytes:
    """A ClientHello that asks for this name, whatever bytes it is made of."""
    outgoing = ssl.MemoryBIO()
    session = AUTHORITY.client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="x" * len(name))
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    hello = outgoing.read()
    entry = struct.pack("!BH", 0, len(name))
    assert hello.count(entry + b"x" * len(name)) == 1
    return hello.replace(entry + b"x" * len(name), entry + name)


async def test_a_server_name_of_any_bytes_leaves_no_traceback(tmp_path: Path) -> None:
    flags = write(tmp_path, AUTHORITY.local)
    other = tmp_path / "other"
    other.mkdir()
    flags += write(other, AUTHORITY.issue("other.test"))
    async with (
        asyncio.timeout(20),
        running_origin() as origin,
        gateway_process(environ={"ORIGIN": origin.url}, flags=flags) as process,
    ):
        for name in (b"\xff\xfe\xfd", b"xn--\xc3", b"\xc3\xa4" * 20):
            async with connected(process.port) as client:
                client.send(hello_for(name))
                client.writer.write_eof()
                await client.is_closed()
        assert await accepts(process.port, AUTHORITY)
        assert await process.metric("gateway_tls_handshakes_total", outcome="failed") == 3
        process.terminate()
        await process.process.wait()
        assert process.errors == []
