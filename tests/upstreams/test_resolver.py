"""Hazard: a service has moved and the gateway still goes to the old address; or the name server fails, and so do we."""

import logging
import socket

import pytest

from gateway.upstreams.endpoint import Endpoint
from gateway.upstreams.resolver import resolve
from tests.upstreams.fake_connection import FakeConnection
from tests.upstreams.rack import Rack


def make(*addresses: str) -> tuple[Rack, Endpoint]:
    rack = Rack("a")
    rack.loop.names["a"] = list(addresses)
    return rack, rack.endpoints[0]


async def look_up(rack: Rack, *addresses: str) -> None:
    if addresses:
        rack.loop.names["a"] = list(addresses)
    await resolve(rack.endpoints[0], rack.loop)  # type: ignore[arg-type]


async def test_addresses_are_used_in_turn() -> None:
    rack, endpoint = make("192.0.2.1", "192.0.2.2")
    assert [endpoint.next_address() for _ in range(2)] == ["a", "a"]
    await look_up(rack)
    assert endpoint.addresses == ("192.0.2.1", "192.0.2.2")
    assert [endpoint.next_address() for _ in range(4)] == ["192.0.2.2", "192.0.2.1"] * 2


async def test_another_order_is_no_change() -> None:
    rack, endpoint = make("192.0.2.1", "192.0.2.2")
    await look_up(rack)
    await look_up(rack, "192.0.2.2", "192.0.2.1")
    assert endpoint.addresses == ("192.0.2.1", "192.0.2.2")


async def test_connections_to_an_address_that_is_gone_end_when_they_are_idle() -> None:
    rack, endpoint = make("192.0.2.1", "192.0.2.2")
    await look_up(rack)
    pool = endpoint.pool
    idle, busy, kept = (FakeConnection(pool) for _ in range(3))
    for connection, address in ((idle, "192.0.2.1"), (busy, "192.0.2.1"), (kept, "192.0.2.2")):
        assert pool.reserve()
        pool.note_address(connection, address)
    pool.put(idle)
    pool.put(kept)
    await look_up(rack, "192.0.2.2", "192.0.2.3")
    assert (idle.is_closed, busy.is_closed, kept.is_closed) == (True, False, False)
    pool.put(busy)
    assert busy.is_closed and pool.open == 1
    assert pool.take_idle() is kept


async def test_without_an_answer_the_last_good_one_stays_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    rack, endpoint = make("192.0.2.1")
    await look_up(rack)
    rack.loop.names["a"] = socket.gaierror(-3, "Temporary failure in name resolution")
    await look_up(rack)
    await look_up(rack)
    assert endpoint.addresses == ("192.0.2.1",)
    await look_up(rack, "192.0.2.9")
    assert endpoint.addresses == ("192.0.2.9",)
    failure = "upstream crm: a cannot be resolved: Temporary failure in name resolution; kept: 192.0.2.1"
    assert [record.getMessage() for record in caplog.records] == [
        failure,
        "upstream crm: a is resolved again",
        "upstream crm: a is now 192.0.2.9",
    ]
