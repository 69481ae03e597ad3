"""Hazard: a write that comes too late, twice, in the wrong order, or not at all."""

import asyncio
import logging

import pytest

from gateway.proxy.outbox import Outbox
from tests.proxy.fakes import FakeTransport


async def test_the_writes_of_a_turn_leave_in_order_before_what_is_scheduled_later() -> None:
    loop = asyncio.get_running_loop()
    outbox = Outbox(loop)
    one, other = FakeTransport(), FakeTransport()
    seen = asyncio.Event()
    outbox.put(one, b"a")
    outbox.put(other, b"b")
    outbox.put(one, b"c")
    assert repr(outbox) == "<Outbox 3 writes waiting>"
    assert (one.written, other.written) == (b"", b"")
    loop.call_soon(seen.set)
    await seen.wait()
    assert (one.written, other.written) == (b"ac", b"b")


async def test_each_turn_is_flushed() -> None:
    outbox = Outbox(asyncio.get_running_loop())
    transport = FakeTransport()
    for number in range(3):
        outbox.put(transport, b"%d" % number)
        await asyncio.sleep(0)
        assert transport.written[-1:] == b"%d" % number
    assert transport.written == b"012"


async def test_who_closes_flushes_first_and_nothing_is_written_twice() -> None:
    outbox = Outbox(asyncio.get_running_loop())
    transport = FakeTransport()
    outbox.put(transport, b"a")
    outbox.flush()
    transport.close()
    await asyncio.sleep(0)
    assert transport.written == b"a"


async def test_what_is_for_a_closed_transport_is_dropped() -> None:
    outbox = Outbox(asyncio.get_running_loop())
    closed, other = FakeTransport(), FakeTransport()
    outbox.put(closed, b"a")
    outbox.put(other, b"b")
    closed.abort()
    await asyncio.sleep(0)
    assert (closed.written, other.written) == (b"", b"b")


async def test_a_write_that_fails_takes_no_other_along(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(FakeTransport):
        def write(self, data: bytes) -> None:  # type: ignore[override]
            raise RuntimeError("broken")

    outbox = Outbox(asyncio.get_running_loop())
    other = FakeTransport()
    outbox.put(Failing(), b"a")
    outbox.put(other, b"b")
    with caplog.at_level(logging.ERROR):
        outbox.flush()
    assert other.written == b"b"
    assert "a write failed" in caplog.text
