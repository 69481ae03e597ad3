"""Hazard: a connection goes to a dead address while another of the same name is alive."""

import asyncio
from typing import Any

import pytest

from gateway.upstreams.endpoint import Endpoint
from tests.upstreams.fake_connection import FakeConnection
from tests.upstreams.rack import Rack


class Dialing:
    """Connects to these addresses, and to no other."""

    def __init__(self, endpoint: Endpoint, alive: str) -> None:
        self.alive = alive
        self.dialed: list[str] = []
        self.made = 0
        self._endpoint = endpoint
        endpoint._loop = self  # type: ignore[assignment]

    async def create_connection(self, make: Any, host: str, port: int) -> tuple[str, Any]:
        self.dialed.append(host)
        if host not in self.alive.split():
            raise ConnectionRefusedError(111, "refused")
        return f"to {host}:{port}", make()

    def make(self) -> FakeConnection:
        self.made += 1
        assert self._endpoint.pool.reserve()
        return FakeConnection(self._endpoint.pool)


def make(alive: str, *addresses: str) -> tuple[Endpoint, Dialing]:
    endpoint = Rack("a").endpoints[0]
    if addresses:
        endpoint.resolved(addresses)
    return endpoint, Dialing(endpoint, alive)


async def test_where_nothing_is_resolved_the_host_is_dialed() -> None:
    endpoint, dialing = make("a")
    assert await endpoint.connect(dialing.make) == "to a:80"
    assert (dialing.dialed, dialing.made) == (["a"], 1)


async def test_a_dead_address_is_passed_over() -> None:
    endpoint, dialing = make("192.0.2.2", "192.0.2.1", "192.0.2.2", "192.0.2.3")
    for _ in range(3):
        assert await endpoint.connect(dialing.make) == "to 192.0.2.2:80"
    assert dialing.made == 3 and set(dialing.dialed) == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}


async def test_where_none_takes_a_connection_the_last_fault_is_raised() -> None:
    endpoint, dialing = make("", "192.0.2.1", "192.0.2.2")
    with pytest.raises(ConnectionRefusedError):
        await endpoint.connect(dialing.make)
    assert (len(dialing.dialed), dialing.made) == (2, 1)


async def test_a_connection_is_known_by_its_address() -> None:
    endpoint, dialing = make("192.0.2.1", "192.0.2.1")
    await endpoint.connect(dialing.make)
    endpoint.resolved(("192.0.2.2",))
    assert list(endpoint.pool._addresses.values()) == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("url", "expected"), [("http://crm", True), ("http://127.0.0.1:1", False), ("http://[::1]", False)]
)
async def test_only_a_name_is_worth_resolving(url: str, expected: bool) -> None:
    one = Rack("a").endpoints[0]
    loop = asyncio.get_running_loop()
    assert Endpoint("crm", url, 1, one.pool, loop, one.series).has_name is expected


def test_the_report_says_all_that_is_known_of_it() -> None:
    rack = Rack("ab")
    rack.fail("a", 3)
    endpoint = rack.endpoints[0]
    endpoint.resolved(("192.0.2.1",))
    assert endpoint.pool.reserve()
    report = endpoint.report()
    assert isinstance(report.pop("since"), float)
    assert report == {
        "upstream": "crm",
        "endpoint": "a",
        "state": "ejected",
        "why": "3 requests in a row failed, the last with: 503; ejected for 30 s",
        "weight": 1,
        "in_flight": 1,
        "open": 1,
        "idle": 0,
        "waiting": 0,
        "failures": 0,
        "ejections": 1,
        "addresses": ["192.0.2.1"],
    }


def test_a_success_is_passed_on_only_after_a_failure() -> None:
    rack = Rack("ab")
    endpoint = rack.endpoints[0]
    endpoint.succeeded()
    endpoint.failed("reset")
    assert endpoint.report()["failures"] == 1
    endpoint.succeeded()
    assert endpoint.report()["failures"] == 0
