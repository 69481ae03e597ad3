"""Hazard: a connection in a state that its owner does not know of, a reply for the wrong request, one call too many."""

import asyncio

import pytest

from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.outbox import Outbox
from gateway.proxy.reply_body import ReplyBody
from gateway.proxy.upstream_error import UpstreamError
from tests.proxy.fakes import FakeTransport, Rack

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"


async def test_its_repr_tells_its_state() -> None:
    new = UpstreamConnection(
        asyncio.get_running_loop(), Outbox(asyncio.get_running_loop()), lambda _: None, lambda _: None
    )
    assert repr(new) == "<UpstreamConnection CONNECTING served=0>"
    rack = Rack()
    assert repr(rack.connection) == "<UpstreamConnection IDLE served=0>"
    rack.start()
    assert repr(rack.connection) == "<UpstreamConnection WAITING served=1>"
    rack.connection.data_received(CHUNKED + b"5\r\nhe")
    assert repr(rack.connection) == "<UpstreamConnection BODY served=1>"
    assert repr(rack.reply.body) == "<ReplyBody moving buffered=2>"
    rack.connection.close()
    assert repr(rack.connection) == "<UpstreamConnection CLOSED served=1>"


@pytest.mark.parametrize("cuts", [[], [1], [20], [len(WHOLE) - 5], [5, 30, len(WHOLE) - 1]])
async def test_a_reply_comes_whole_however_it_is_cut(cuts: list[int]) -> None:
    rack = Rack()
    for _ in range(2):
        rack.start()
        ends = [*cuts, len(WHOLE)]
        for begin, end in zip([0, *cuts], ends, strict=True):
            rack.connection.data_received(WHOLE[begin:end])
        body = rack.reply.body
        if isinstance(body, ReplyBody):
            pieces = []
            while piece := await body.read():
                pieces.append(piece)
            body = b"".join(pieces)
        assert body == b"hello"
        rack.outcomes.clear()
    assert rack.idle == [rack.connection] * 2
    assert rack.closed == []


async def test_it_is_back_in_its_pool_before_the_reply_is_delivered() -> None:
    rack = Rack()
    states = []
    rack.start(sink=lambda _: states.append(list(rack.idle)))
    rack.connection.data_received(WHOLE)
    assert states == [[rack.connection]]


@pytest.mark.parametrize("state", ["CONNECTING", "WAITING", "BODY", "CLOSED"])
async def test_a_start_in_any_state_but_idle_is_a_fault_and_changes_nothing(state: str) -> None:
    rack = Rack()
    connection = rack.connection
    if state == "CONNECTING":
        connection = UpstreamConnection(asyncio.get_running_loop(), rack.outbox, rack.idle.append, rack.closed.append)
    elif state == "CLOSED":
        connection.close()
    else:
        rack.start()
        if state == "BODY":
            connection.data_received(CHUNKED)
    before = repr(connection), rack.transport.written
    with pytest.raises(AssertionError):
        connection.start("GET", b"x", deadline_s=None, idle_timeout_s=None, interim=None, sink=rack.outcomes.append)
    assert (repr(connection), rack.transport.written) == before


async def test_what_nobody_asked_for_ends_the_connection() -> None:
    rack = Rack()
    rack.connection.data_received(WHOLE)
    assert rack.connection.is_closed
    assert rack.closed == [rack.connection]
    assert rack.transport.closed_by == "abort"


async def test_closing_twice_tells_once_and_calls_nobody_back() -> None:
    rack = Rack()
    rack.start()
    rack.connection.close()
    rack.connection.close()
    rack.connection.connection_lost(None)
    assert rack.closed == [rack.connection]
    assert rack.outcomes == []


async def test_what_was_given_up_while_it_was_made_stays_closed() -> None:
    rack = Rack()
    connection = UpstreamConnection(asyncio.get_running_loop(), rack.outbox, rack.idle.append, rack.closed.append)
    connection.close()
    transport = FakeTransport()
    connection.connection_made(transport)
    assert transport.closed_by == "abort"
    connection.connection_lost(None)
    assert repr(connection) == "<UpstreamConnection CLOSED served=0>"
    assert rack.closed == [connection]


async def test_an_end_without_a_reply_is_stale_only_for_a_connection_that_has_served() -> None:
    fresh = Rack()
    fresh.start()
    fresh.connection.connection_lost(None)
    assert isinstance(fresh.error, UpstreamError)
    assert (fresh.error.cause, fresh.error.is_sent, fresh.error.is_stale) == ("reset", True, False)
    used = Rack()
    used.start()
    used.connection.data_received(WHOLE)
    used.outcomes.clear()
    used.start()
    used.connection.connection_lost(ConnectionResetError())
    assert isinstance(used.error, UpstreamError) and used.error.is_stale


async def test_an_end_after_a_byte_of_reply_is_not_stale() -> None:
    rack = Rack()
    rack.start()
    rack.connection.data_received(WHOLE)
    rack.outcomes.clear()
    rack.start()
    rack.connection.data_received(b"HTTP/1.1 103 Early\r\n\r\n")
    rack.connection.connection_lost(None)
    assert isinstance(rack.error, UpstreamError) and not rack.error.is_stale
    assert [status for status, _ in rack.interim] == [103]


async def test_a_head_keeps_its_end_to_end_fields_only() -> None:
    rack = Rack()
    rack.start()
    rack.connection.data_received(
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: x-hop, keep-alive\r\nX-Hop: 2\r\nKeep-Alive: timeout=7\r\n"
        b"X-Request-Id: theirs\r\nContent-Length: 0\r\nX-A: 3\r\n\r\n"
    )
    assert rack.reply.headers.lines == [(b"x-a", b"1"), (b"x-a", b"3")]
    assert rack.connection.keep_alive_hint_s == 7.0


async def test_a_101_is_taken_over_with_what_follows_it() -> None:
    rack = Rack()
    rack.start(may_switch=True)
    rack.connection.data_received(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfirst")
    rack.connection.data_received(b" second")
    assert rack.reply.status == 101
    assert repr(rack.connection) == "<UpstreamConnection SWITCHED served=1>"
    assert rack.connection.upgrade == b"x"
    transport, tail = rack.connection.take_over()
    assert (transport, tail) == (rack.transport, b"first second")
    # The socket is the tunnel's now; the pool gets its place back.
    assert rack.transport.closed_by == ""
    assert rack.closed == [rack.connection]


async def test_a_101_that_nobody_asked_for_is_no_reply() -> None:
    rack = Rack()
    rack.start()
    rack.connection.data_received(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
    assert rack.error.kind.code == "upstream_bad_reply"


async def test_a_writer_waits_while_the_upstream_takes_no_more() -> None:
    rack = Rack()
    rack.start("POST")
    await rack.connection.drain()
    rack.connection.pause_writing()
    waiting = asyncio.create_task(rack.connection.drain())
    await asyncio.sleep(0)
    assert not waiting.done()
    rack.connection.resume_writing()
    await waiting
    rack.connection.pause_writing()
    waiting = asyncio.create_task(rack.connection.drain())
    await asyncio.sleep(0)
    rack.connection.close()
    await waiting


async def test_an_upload_under_way_is_not_reused() -> None:
    rack = Rack()
    rack.start("POST")
    rack.connection.pump = asyncio.create_task(asyncio.sleep(60))
    rack.connection.data_received(WHOLE)
    assert rack.reply.body == b"hello"
    assert (rack.idle, rack.closed) == ([], [rack.connection])
    await asyncio.sleep(0)
    assert rack.transport.closed_by == "abort"
