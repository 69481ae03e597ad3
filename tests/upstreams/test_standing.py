"""Hazard: a dead endpoint gets requests, one that is back gets none, and nobody is told why."""

import logging

import pytest

from gateway.upstreams.shape import Care
from tests.upstreams.rack import EJECT, HEALTH, Rack


def test_probes_take_an_endpoint_out_and_bring_it_back() -> None:
    rack = Rack()
    rack.probe("a", "+--")
    assert (rack.state("a"), rack.rotation) == ("up", "abc")
    rack.probe("a", "-")
    assert (rack.state("a"), rack.rotation) == ("unhealthy", "bc")
    rack.probe("a", "+")
    assert rack.rotation == "bc"
    rack.probe("a", "+")
    assert (rack.state("a"), rack.rotation) == ("up", "abc")


def test_failures_in_a_row_eject_for_a_time() -> None:
    rack = Rack()
    rack.fail("a", 2)
    rack.upstream.endpoint("a").succeeded()
    rack.fail("a", 2)
    assert rack.rotation == "abc"
    rack.fail("a")
    assert (rack.state("a"), rack.rotation) == ("ejected", "bc")
    rack.loop.advance(29.9)
    assert rack.rotation == "bc"
    rack.loop.advance(0.2)
    assert (rack.state("a"), rack.rotation) == ("up", "abc")
    assert rack.loop.pending == 0


@pytest.mark.parametrize("cause", ["connect", "reset", "timeout", "tls", "bad_reply", "502", "503", "504"])
def test_what_counts_against_an_endpoint(cause: str) -> None:
    rack = Rack()
    rack.fail("a", 3, cause)
    assert rack.state("a") == "ejected"


@pytest.mark.parametrize("cause", ["500", "501"])
def test_any_other_answer_breaks_the_row(cause: str) -> None:
    rack = Rack()
    rack.fail("a", 2)
    rack.fail("a", 1, cause)
    assert not rack.upstream.is_failing
    rack.fail("a", 2)
    assert rack.state("a") == "up"


def test_that_all_connections_are_busy_says_nothing_either_way() -> None:
    rack = Rack()
    rack.fail("a", 2)
    rack.fail("a", 9, "busy")
    assert rack.state("a") == "up" and rack.upstream.is_failing
    rack.fail("a")
    assert rack.state("a") == "ejected"


def test_one_stays_and_no_more_than_the_share_goes() -> None:
    rack = Rack("abcd")
    for name in "abcd":
        rack.fail(name, 5)
    assert rack.rotation == "cd"
    rack = Rack("ab")
    rack.probe("b", "-")
    rack.fail("a", 9)
    assert (rack.state("a"), rack.rotation) == ("up", "a")


def test_who_could_not_go_goes_with_the_next_failure_once_it_may() -> None:
    rack = Rack("ab")
    rack.probe("b", "-")
    rack.fail("a", 9)
    rack.probe("b", "++")
    assert rack.state("a") == "up"
    rack.fail("a")
    assert (rack.state("a"), rack.rotation) == ("ejected", "b")


def test_good_probes_end_an_ejection_for_lost_connections() -> None:
    rack = Rack()
    rack.probe("a", "+++")
    rack.fail("a", 3, "connect")
    rack.probe("a", "+")
    assert rack.state("a") == "ejected"
    rack.probe("a", "+")
    assert (rack.state("a"), rack.rotation) == ("up", "abc")
    assert rack.loop.pending == 0


def test_good_probes_do_not_end_an_ejection_for_bad_answers() -> None:
    rack = Rack()
    rack.fail("a", 3, "503")
    rack.probe("a", "+++++")
    assert rack.state("a") == "ejected"
    rack.loop.advance(30)
    assert rack.state("a") == "up"


def test_one_that_was_ejected_and_then_unhealthy_comes_back_once_for_both() -> None:
    rack = Rack()
    rack.probe("a", "+")
    rack.fail("a", 3, "reset")
    rack.probe("a", "---")
    assert rack.state("a") == "unhealthy"
    rack.probe("a", "++")
    assert rack.state("a") == "up"


def test_its_time_being_over_does_not_make_an_unhealthy_one_well() -> None:
    rack = Rack(care=Care(HEALTH, EJECT, slow_start_s=10.0))
    rack.fail("a", 3)
    rack.probe("a", "---")
    rack.loop.advance(31)
    assert (rack.state("a"), rack.rotation) == ("unhealthy", "bc")
    assert rack.loop.pending == 0


def test_slow_start_gives_a_growing_share() -> None:
    rack = Rack(care=Care(HEALTH, EJECT, slow_start_s=10.0), weights="422")
    one = rack.upstream.endpoint("a")
    rack.probe("a", "-++")
    assert (rack.state("a"), one.weight) == ("warming", 0.4)
    rack.loop.advance(5.0)
    assert one.weight == pytest.approx(2.0)
    rack.loop.advance(5.0)
    assert (rack.state("a"), one.weight) == ("up", 4.0)
    assert rack.loop.pending == 0


def test_one_that_fails_amid_its_slow_start_begins_anew() -> None:
    rack = Rack(care=Care(HEALTH, EJECT, slow_start_s=10.0))
    one = rack.upstream.endpoint("a")
    rack.fail("a", 3)
    rack.loop.advance(30)
    assert rack.state("a") == "warming"
    rack.loop.advance(8)
    rack.fail("a", 3)
    assert rack.state("a") == "ejected"
    rack.loop.advance(60)
    assert (rack.state("a"), one.weight) == ("warming", 0.1)


def test_without_rules_nothing_is_counted() -> None:
    rack = Rack(care=Care())
    rack.fail("a", 99)
    rack.probe("a", "---")
    assert (rack.rotation, rack.upstream.is_failing, rack.state("a")) == ("abc", False, "up")


def test_a_rule_that_changes_leaves_what_is_known_and_one_that_goes_takes_it_along() -> None:
    rack = Rack()
    rack.probe("a", "-")
    rack.fail("b", 3)
    rack.care(Care(HEALTH, EJECT, slow_start_s=5.0))
    assert rack.rotation == "c"
    rack.care(Care(None, EJECT))
    assert rack.rotation == "ac"
    rack.care(Care(None, None))
    assert rack.rotation == "abc"
    assert rack.loop.pending == 0


def test_each_change_of_state_is_one_line_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway")
    rack = Rack("ab", care=Care(HEALTH, EJECT, slow_start_s=1.0))
    rack.probe("a", "+---++")
    rack.fail("b", 3, "timeout")
    rack.loop.advance(31)
    assert [(record.upstream, record.endpoint, record.state) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("crm", "a", "unhealthy"),
        ("crm", "a", "warming"),
        ("crm", "b", "ejected"),
        ("crm", "b", "warming"),
    ]
    start = "upstream crm: "
    assert [record.getMessage() for record in caplog.records] == [
        start + "a gets no requests: 3 probes in a row failed, the last with: status 503",
        start + "a gets a growing share of requests: good probes in a row: 2",
        start + "b gets no requests: 3 requests in a row failed, the last with: timeout; ejected for 30 s",
        start + "b gets a growing share of requests: its time is over",
    ]


def test_metrics_say_it_by_endpoint() -> None:
    rack = Rack("ab")
    rack.probe("a", "+-")
    rack.fail("b", 3)
    assert rack.metric("gateway_upstream_endpoint_probes_total", endpoint="a", result="good") == 1
    assert rack.metric("gateway_upstream_endpoint_probes_total", endpoint="a", result="failed") == 1
    assert rack.metric("gateway_upstream_endpoint_ejections_total", endpoint="b") == 1
    assert [rack.metric("gateway_upstream_endpoint_up", endpoint=name) for name in "ab"] == [1, 0]


def test_a_closed_one_leaves_no_timer_and_is_not_up() -> None:
    rack = Rack("ab", care=Care(HEALTH, EJECT, slow_start_s=10.0))
    rack.fail("a", 3)
    rack.probe("b", "-++")
    assert repr(rack.upstream.endpoint("b").standing) == "<Standing warming>"
    for endpoint in rack.endpoints:
        endpoint.close()
    assert rack.loop.pending == 0
    assert rack.metric("gateway_upstream_endpoint_up", endpoint="b") == 0
