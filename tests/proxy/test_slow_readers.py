"""Hazard: a client that reads at its own slow pace is cut off, or one that does not read at all never is."""

import asyncio
import socket
from typing import Any

import pytest

from gateway.core.throughput import Throughput
from gateway.proxy import slow_readers
from gateway.proxy.slow_readers import SlowReaders, bytes_taken
from tests.proxy.fakes import FakeTransport

LEAST = Throughput(size=1000, window_s=60.0)


class Backlog(FakeTransport):
    """Has `waiting` bytes that the kernel does not take, and a client that has taken `taken`."""

    taken: int | None = 0

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 1


class Reader:
    def __init__(self) -> None:
        self.transport: Backlog | None = Backlog()
        self.cut: list[asyncio.Transport] = []

    def cut_off(self, transport: asyncio.Transport) -> None:
        self.cut.append(transport)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which tests set, in its only item; and what a client has taken is what its transport says."""
    now_s = [0.0]
    monkeypatch.setattr(slow_readers, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(slow_readers, "bytes_taken", lambda transport: transport.taken)
    return now_s


def watching(reader: Reader, least: Throughput | None = LEAST) -> SlowReaders:
    watch = SlowReaders(asyncio.get_running_loop(), least)
    watch.add(reader)
    return watch


async def test_who_takes_too_little_in_a_window_is_cut_off(clock: list[float]) -> None:
    reader = Reader()
    watch = watching(reader)
    transport = reader.transport
    assert transport is not None
    transport.taken = 1000
    watch.look(60.0)
    assert reader.cut == []
    transport.taken = 1999
    watch.look(119.0)
    assert reader.cut == []
    watch.look(120.0)
    assert reader.cut == [transport]
    watch.look(200.0)
    assert len(reader.cut) == 1


async def test_who_has_caught_up_is_judged_anew_the_next_time(clock: list[float]) -> None:
    reader = Reader()
    watch = watching(reader)
    transport = reader.transport
    assert transport is not None
    transport.waiting = 0
    watch.look(59.0)
    assert repr(watch) == "<SlowReaders 0>"
    transport.waiting = 1
    clock[0] = 100.0
    watch.add(reader)
    watch.look(159.0)
    assert reader.cut == []
    watch.look(160.0)
    assert reader.cut == [transport]


async def test_to_be_reported_again_is_no_new_start(clock: list[float]) -> None:
    reader = Reader()
    watch = watching(reader)
    clock[0] = 59.0
    watch.add(reader)
    watch.look(60.0)
    assert len(reader.cut) == 1


async def test_a_connection_that_is_closing_is_cut_off_though_its_protocol_has_let_go_of_it(clock: list[float]) -> None:
    reader = Reader()
    watch = watching(reader)
    transport, reader.transport = reader.transport, None
    watch.look(60.0)
    assert reader.cut == [transport]


async def test_what_has_ended_is_not_looked_at(clock: list[float]) -> None:
    reader = Reader()
    watch = watching(reader)
    watch.discard(reader)
    watch.discard(reader)
    watch.look(60.0)
    assert reader.cut == []


@pytest.mark.parametrize("reason", ["no least is set", "the kernel does not tell", "the client has gone"])
async def test_otherwise_nobody_is_watched(clock: list[float], reason: str) -> None:
    reader = Reader()
    assert reader.transport is not None
    if reason == "the kernel does not tell":
        reader.transport.taken = None
    elif reason == "the client has gone":
        reader.transport = None
    assert repr(watching(reader, None if reason == "no least is set" else LEAST)) == "<SlowReaders 0>"


async def test_it_looks_by_itself_as_long_as_there_is_somebody(clock: list[float]) -> None:
    reader = Reader()
    looked = asyncio.Event()
    cut: list[Any] = []

    def cut_off(transport: asyncio.Transport) -> None:
        cut.append(transport)
        looked.set()

    reader.cut_off = cut_off  # type: ignore[method-assign]
    watch = watching(reader, Throughput(1000, 0.02))
    clock[0] = 60.0
    await looked.wait()
    assert cut == [reader.transport]
    assert watch._timer is None


async def test_what_a_client_has_taken_is_what_its_kernel_has_acknowledged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        before = bytes_taken(transport)
        if before is None:
            pytest.skip("the kernel here does not tell")
        transport.write(b"x" * 50_000)
        assert len(await asyncio.to_thread(theirs.recv, 50_000, socket.MSG_WAITALL)) == 50_000
        # The last acknowledgement may still be on its way.
        while (taken := bytes_taken(transport)) is not None and taken < before + 50_000:
            await asyncio.sleep(0)
        assert taken == before + 50_000
        transport.abort()


async def test_a_socket_that_is_no_tcp_has_nothing_to_tell() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, sock=ours)
        assert bytes_taken(transport) is None
        transport.abort()
