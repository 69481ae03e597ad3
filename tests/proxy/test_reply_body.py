"""Hazard: a body that looks whole where it broke off, or that grows in memory. It is fed as its connection does."""

import pytest

from gateway.core.errors import GatewayError
from gateway.proxy.reply_body import ReplyBody
from tests.proxy.fakes import Rack

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"


async def test_what_came_before_a_fault_is_read_first() -> None:
    rack = Rack()
    rack.start()
    rack.connection.data_received(CHUNKED + b"5\r\nhello\r\n")
    rack.connection.connection_lost(None)
    body = rack.reply.body
    assert isinstance(body, ReplyBody)
    assert repr(body) == "<ReplyBody failed buffered=5>"
    assert await body.read() == b"hello"
    with pytest.raises(GatewayError, match="upstream_reset"):
        await body.read()


async def test_a_body_that_is_given_up_closes_the_connection() -> None:
    rack = Rack()
    rack.start()
    rack.connection.data_received(CHUNKED)
    body = rack.reply.body
    assert isinstance(body, ReplyBody)
    body.close()
    body.close()
    assert rack.closed == [rack.connection]


async def test_a_body_that_is_read_to_its_end_leaves_the_connection_alone_when_closed() -> None:
    rack = Rack()
    rack.start()
    rack.connection.data_received(CHUNKED)
    body = rack.reply.body
    assert isinstance(body, ReplyBody)
    rack.connection.data_received(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n")
    assert repr(body) == "<ReplyBody complete buffered=5>"
    assert await body.read() == b"hello"
    assert await body.read() == b""
    assert body.trailers is not None and body.trailers.get(b"x-sum") == b"1"
    body.close()
    assert rack.closed == []
    assert rack.idle == [rack.connection]


async def test_much_that_nobody_reads_pauses_the_socket_and_reading_resumes_it() -> None:
    rack = Rack()
    rack.start()
    rack.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    rack.connection.data_received(bytes(200_000))
    assert not rack.transport.is_paused
    rack.connection.data_received(bytes(200_000))
    assert rack.transport.is_paused
    body = rack.reply.body
    assert isinstance(body, ReplyBody)
    assert len(await body.read()) == 400_000
    assert not rack.transport.is_paused
