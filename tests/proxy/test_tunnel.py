"""Hazard: a tunnel that loses bytes, runs full, or outlives its sides. Over sockets: `faults/test_websocket.py`."""

import asyncio

from gateway.core.headers import Headers
from gateway.proxy.tunnel import SwitchingReply, Tunnel
from tests.proxy.fakes import FakeTransport


class Dug:
    """A tunnel between two fake transports. lost: what the client's former protocol was told."""

    def __init__(self, idle_timeout_s: float | None = None) -> None:
        self.client, self.upstream = FakeTransport(), FakeTransport()
        self.lost: list[Exception | None] = []
        reply = SwitchingReply(Headers(), self.upstream, b"tail", idle_timeout_s)
        self.tunnel = Tunnel(asyncio.get_running_loop(), self.client, self.lost.append, reply)
        sides = self.client.protocol, self.upstream.protocol
        assert isinstance(sides[0], asyncio.Protocol) and isinstance(sides[1], asyncio.Protocol)
        self.client_side, self.upstream_side = sides[0], sides[1]


async def test_bytes_pass_both_ways_and_are_counted() -> None:
    dug = Dug()
    dug.tunnel.feed(b"early", b"tail")
    dug.client_side.data_received(b" and late")
    dug.upstream_side.data_received(b"!")
    assert dug.upstream.written == b"early and late"
    assert dug.client.written == b"tail!"
    assert (dug.tunnel.bytes_in, dug.tunnel.bytes_out) == (14, 5)


async def test_the_faster_side_is_held_up() -> None:
    dug = Dug()
    dug.client_side.pause_writing()
    assert dug.upstream.is_paused and not dug.client.is_paused
    dug.client_side.resume_writing()
    assert not dug.upstream.is_paused


async def test_an_end_of_one_direction_is_passed_on_and_both_ends_end_it() -> None:
    dug = Dug()
    assert dug.client_side.eof_received() is True
    assert dug.upstream.has_eof and not dug.tunnel.done.done()
    dug.upstream_side.data_received(b"still here")
    assert dug.client.written == b"still here"
    assert not dug.upstream_side.eof_received()
    assert dug.tunnel.done.done()
    assert (dug.client.closed_by, dug.upstream.closed_by) == ("close", "close")


async def test_the_loss_of_one_side_ends_the_other() -> None:
    for side in ("client_side", "upstream_side"):
        dug = Dug()
        error = ConnectionResetError()
        getattr(dug, side).connection_lost(error)
        assert dug.tunnel.done.done()
        assert (dug.client.closed_by, dug.upstream.closed_by) == ("close", "close")
        assert dug.lost == ([error] if side == "client_side" else [])
        # What the other side still says goes nowhere, and is no fault.
        dug.client_side.data_received(b"x")
        dug.upstream_side.data_received(b"x")


async def test_silence_ends_it_and_any_word_begins_the_time_anew() -> None:
    dug = Dug(idle_timeout_s=0.1)
    for _ in range(3):
        await asyncio.sleep(0.06)  # the passing of time is what this is about
        dug.client_side.data_received(b"x")
    assert not dug.tunnel.done.done()
    await asyncio.wait_for(dug.tunnel.done, 1)
    assert dug.client.closed_by == "close"


async def test_a_tunnel_that_never_stood_leaves_no_upstream_behind() -> None:
    upstream = FakeTransport()
    SwitchingReply(Headers(), upstream, b"", None).abandon()
    assert upstream.closed_by == "abort"
