"""Hazard: an operator asks for care with an upstream, and gets another kind of care, or none, without a word."""

from typing import Any

import pytest

from gateway.config.model import Upstream
from gateway.config.precautions import Breaker, Hedge, Overload
from gateway.config.snapshot import CompiledRoute
from tests.config.sample_plugins import GOOD, compile_text, problems_of


def upstream(lines: str) -> str:
    return GOOD.replace("routes:", f"    {lines}\nroutes:")


def route(lines: str, defaults: str = "") -> CompiledRoute:
    text = GOOD.replace("  auth: main\n", f"  auth: main\n  {defaults}\n", 1) if defaults else GOOD
    return compile_text(f"{text}  {lines}\n" if lines else text).routes[0]


MISTAKES = {
    upstream("breaker: {error_rate: 0.5}"): ["9:27: bad_percent: 0.5 is not a percent: write it like 20%"],
    upstream("breaker: {trials: 0}"): ["9:23: invalid_value: must be at least 1"],
    upstream("breaker: {window: 0s}"): [
        "9:23: invalid_value: 0 would be over at once; write none where there is to be no limit"
    ],
    upstream("overload: {min: 20, max: 10}"): [
        "9:15: invalid_value: min 20 is more than max 10; write a min of 10 at most, or a larger max"
    ],
    GOOD + "  hedge: {after: p99}\n": ["13:18: bad_duration: 'p99' is not p95 and no duration such as 50ms"],
    GOOD + "  hedge: {at_most: 10}\n": ["13:20: bad_percent: 10 is not a percent: write it like 20%"],
    GOOD + "  priority: urgent\n": ['13:13: invalid_value: "urgent" is not one of: critical, high, normal, low'],
}


@pytest.mark.parametrize("text", MISTAKES)
def test_says_what_is_wrong_and_where(text: str) -> None:
    problems = problems_of(text)
    assert problems == [f"routes.yaml:{line}" for line in MISTAKES[text]]


def settings(**more: Any) -> Upstream:
    return Upstream.model_validate({"endpoints": ["http://h:1"], **more})


def test_what_is_left_out_has_its_default() -> None:
    assert (settings().breaker, settings().overload) == (None, None)
    assert settings(breaker={}).breaker == Breaker(error_rate="50%", window="10s", min=20, open="10s", trials=3)
    assert settings(overload={}).overload == Overload(max=200, min=10, queue=100, wait="1s")


def test_a_route_is_not_hedged_and_of_normal_priority() -> None:
    plain = route("")
    assert (plain.hedge, plain.priority, plain.sends_timeout) == (None, "normal", True)


@pytest.mark.parametrize(
    ("lines", "defaults", "hedge"),
    [
        ("hedge: {}", "", Hedge(after="p95", at_most="10%")),
        ("hedge: {after: 50ms}", "hedge: {at_most: 5%}", Hedge(after="50ms", at_most="5%")),
        ("hedge: {at_most: 5%}", "hedge: {after: 50ms}", Hedge(after="50ms", at_most="5%")),
        ("hedge: none", "hedge: {after: 50ms}", None),
        ("", "hedge: {after: 50ms}", Hedge(after="50ms")),
        ("", "hedge: none", None),
    ],
)
def test_hedge_is_completed_by_the_default(lines: str, defaults: str, hedge: Hedge | None) -> None:
    assert route(lines, defaults).hedge == hedge


def test_priority_and_what_is_sent_of_the_deadline_are_the_routes_or_the_defaults() -> None:
    assert route("priority: low", "priority: high").priority == "low"
    assert route("", "priority: high").priority == "high"
    assert not route("timeout: {send: false}").sends_timeout
    assert not route("timeout: {total: 5s}", "timeout: {send: false}").sends_timeout
    assert route("timeout: {send: true}", "timeout: {send: false}").sends_timeout
