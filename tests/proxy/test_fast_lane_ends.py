"""Hazard: an exchange of the fast lane that nobody ends, and that is counted as under way for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.proxy import slow_readers
from gateway.proxy.fast_lane import FastConnection
from tests.proxy.fakes import FakeTransport
from tests.support.client import connected
from tests.support.gateway import RunningGateway, rig, running_gateway, until
from tests.support.origin import Received, answer, deaf_endpoint

LOCAL = """
version: 1
routes: [{id: local, match: /*, auth: none, respond: {text: here}}]
"""
PLAIN = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def deaf_endpoint_gateway() -> AsyncIterator[RunningGateway]:
    """A gateway whose upstream never accepts."""
    with deaf_endpoint() as url:
        async with running_gateway(environ={"ORIGIN": url}) as gateway:
            yield gateway


async def test_a_client_that_leaves_in_the_turn_in_which_it_asked_ends_its_exchange() -> None:
    # The task that is to wait for a connection is cancelled before its first step.
    async with asyncio.timeout(10), deaf_endpoint_gateway() as gateway:
        connection = FastConnection(gateway.serving._fast_lane)
        connection.connection_made(FakeTransport())
        connection.data_received(PLAIN)
        assert gateway.metric("gateway_requests_in_flight") == 1
        connection.connection_lost(None)
        (line,) = await gateway.log_lines()
        assert line["outcome"] == "client_gone"
        assert gateway.metric("gateway_requests_in_flight") == 0
        assert gateway.metric("gateway_connections") == 0


async def test_many_connections_at_once_are_told_apart() -> None:
    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(received.request_line.split()[1])(received, reader, writer)

    async with rig(script=script) as r:

        async def ask(number: int) -> None:
            async with connected(r.gateway.port) as client:
                for turn in range(5):
                    path = f"/{number}/{turn}"
                    assert (await client.request("GET", path)).body == path.encode()

        await asyncio.gather(*(ask(number) for number in range(30)))
        assert r.gateway.metric("gateway_requests_in_flight") == 0


async def test_a_drain_in_the_turn_of_a_reply_loses_nothing_of_it() -> None:
    # The reply waits in the outbox when the connection, at rest already, is closed.
    async with deaf_endpoint_gateway() as gateway:
        connection = FastConnection(gateway.serving._fast_lane)
        transport = FakeTransport()
        connection.connection_made(transport)
        connection.data_received(b"GET /nowhere//at/all HTTP/1.1\r\nHost: a\r\n\r\n")
        assert transport.written == b""
        gateway.serving._fast_lane.close_idle()
        assert transport.closed_by == "close"
        assert transport.written.startswith(b"HTTP/1.1 ")
        assert transport.written.endswith(b"}")


@pytest.mark.parametrize("lane", ["fast", "aiohttp"])
@pytest.mark.parametrize("waiting", [0, 1])
async def test_what_a_closing_connection_has_left_to_send_is_watched(
    lane: str, waiting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_readers, "bytes_taken", lambda transport: 0)
    async with asyncio.timeout(10), running_gateway(LOCAL) as gateway:
        parts = gateway.serving._fast_lane.parts
        transport = FakeTransport()
        transport.waiting = waiting
        connection: asyncio.Protocol
        connection = FastConnection(gateway.serving._fast_lane) if lane == "fast" else gateway.serving._aiohttp_lane()
        connection.connection_made(transport)
        connection.data_received(PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await until(lambda: bool(transport.closed_by))
        assert repr(parts.slow_readers) == f"<SlowReaders {waiting}>"
        connection.connection_lost(None)
        assert repr(parts.slow_readers) == "<SlowReaders 0>"
