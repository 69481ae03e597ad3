"""Hazard: a choice among endpoints that are down while others are well, or no choice at all."""

import logging
import random
from collections import Counter

import pytest

from gateway.core.headers import Headers
from gateway.plugin_api import Exchange
from gateway.upstreams.shape import Care
from gateway.upstreams.upstream import Upstream
from tests.upstreams.rack import EJECT, HEALTH, Rack


def chosen(rack: Rack, count: int = 30, tried: str = "") -> str:
    """The names of all that are chosen."""
    already = [rack.upstream.endpoint(name) for name in tried]
    return "".join(sorted({rack.upstream.choose(already).name for _ in range(count)}))


@pytest.mark.parametrize("balance", ["round_robin", "least_requests", "random_two", "hash"])
def test_only_those_in_rotation_are_chosen(balance: str) -> None:
    rack = Rack(balance=balance)
    rack.probe("a", "-")
    assert chosen(rack) == "bc"
    rack.fail("b", 3)
    assert chosen(rack) == "c"


def test_another_attempt_goes_elsewhere_rather_out_of_rotation_than_to_the_same() -> None:
    rack = Rack()
    rack.probe("a", "-")
    assert chosen(rack, tried="b") == "c"
    assert chosen(rack, tried="bc") == "a"
    assert chosen(rack, tried="abc") == "bc"


def test_who_is_only_ejected_goes_before_who_is_unhealthy() -> None:
    rack = Rack("ab")
    rack.fail("a", 3)
    rack.probe("b", "-")
    assert rack.rotation == "a"
    assert not rack.upstream.is_panicking


def test_when_all_are_unhealthy_all_are_tried_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway")
    rack = Rack("ab")
    rack.probe("a", "-")
    rack.probe("b", "-")
    assert (rack.rotation, chosen(rack)) == ("ab", "ab")
    rack.probe("a", "-")
    said = [record.getMessage() for record in caplog.records if "all of them" in record.getMessage()]
    assert said == ["upstream crm: no endpoint is well, so all of them are tried"]
    rack.probe("b", "++")
    assert rack.rotation == "b"


def test_successes_matter_only_after_a_failure() -> None:
    rack = Rack()
    assert not rack.upstream.is_failing
    rack.fail("a")
    assert rack.upstream.is_failing
    rack.upstream.endpoint("b").succeeded()
    assert rack.upstream.is_failing
    rack.upstream.endpoint("a").succeeded()
    assert not rack.upstream.is_failing


@pytest.mark.parametrize("balance", ["round_robin", "random_two"])
def test_one_that_warms_up_gets_less(balance: str) -> None:
    rack = Rack("ab", care=Care(HEALTH, EJECT, slow_start_s=10.0), balance=balance)
    rack.probe("a", "-++")
    counts = Counter(rack.upstream.choose(()).name for _ in range(1100))
    # A tenth of the other's; of two that rest and are drawn by lot, only where both are the same.
    assert (50 if balance == "round_robin" else 1) <= counts["a"] <= 150
    rack.loop.advance(10)
    counts = Counter(rack.upstream.choose(()).name for _ in range(1100))
    assert 350 <= counts["a"] <= 750


def exchange(tenant: str) -> Exchange:
    return Exchange(method="GET", target="/", headers=Headers([(b"x-key", tenant.encode())]), client_ip="192.0.2.1")


def test_a_key_stays_with_its_endpoint_and_others_take_over_while_that_is_out() -> None:
    rack = Rack("abc", balance="hash", hash_on="header:X-Key")
    keys = [exchange(f"t{number}") for number in range(90)]
    before = [rack.upstream.choose((), key).name for key in keys]
    assert set(before) == set("abc")
    assert before == [rack.upstream.choose((), key).name for key in keys]
    rack.fail("a", 3)
    amid = [rack.upstream.choose((), key).name for key in keys]
    assert [name for name in amid if name == "a"] == []
    assert all(now == then for now, then in zip(amid, before, strict=True) if then != "a")
    rack.loop.advance(30)
    assert [rack.upstream.choose((), key).name for key in keys] == before


def test_another_attempt_of_a_key_goes_to_the_next_on_the_ring() -> None:
    rack = Rack("abc", balance="hash", hash_on="header:X-Key")
    first = rack.upstream.choose((), exchange("t1"))
    second = rack.upstream.choose([first], exchange("t1"))
    assert second is not first
    assert rack.upstream.choose([first], exchange("t1")) is second


def test_requests_without_the_key_go_round() -> None:
    rack = Rack("abc", balance="hash", hash_on="tenant")
    assert {rack.upstream.choose((), exchange("t1")).name for _ in range(3)} == set("abc")


def test_building_one_changes_nothing_for_the_endpoints_of_that_in_force() -> None:
    rack = Rack("ab", weights="31")
    old = rack.upstream
    Upstream(Rack("ab", weights="99").shape, rack.endpoints, random.Random(1))
    assert [endpoint.weight for endpoint in old.endpoints] == [3, 1]
    assert repr(old).startswith("<Upstream crm [<Endpoint a <Pool open=0/4")
