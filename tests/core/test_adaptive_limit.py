"""Hazard: a limit that stays where it is, runs away, or takes its own queue for the upstream's pace."""

import pytest

from gateway.core.adaptive_limit import AdaptiveLimit, LimitSettings

SETTINGS = LimitSettings(least=5, most=100, initial=20)


class Server:
    """Serves so many at once in `pace_s`; more make all slower in proportion. As much is asked of it as it may get."""

    def __init__(self, limit: AdaptiveLimit, at_once: float, pace_s: float = 0.05) -> None:
        self.limit = limit
        self.at_once = at_once
        self.pace_s = pace_s
        self.now_s = 1000.0

    def run(self, for_s: float, demand: int = 10_000) -> None:
        """The limit is used up by as many as want to, for so long."""
        end_s = self.now_s + for_s
        while self.now_s < end_s:
            under_way = min(demand, self.limit.limit)
            latency_s = self.pace_s * max(1.0, under_way / self.at_once)
            self.now_s += latency_s
            for _ in range(under_way):
                self.limit.record(latency_s, under_way, self.now_s)


@pytest.mark.parametrize("at_once", [10, 25, 60])
@pytest.mark.parametrize("initial", [5, 20, 100])
def test_it_finds_what_the_upstream_does_at_once(at_once: int, initial: int) -> None:
    server = Server(AdaptiveLimit(SETTINGS._replace(initial=initial)), at_once)
    for _ in range(20):
        server.run(10.0)
        assert SETTINGS.least <= server.limit.limit <= SETTINGS.most
    seen = []
    for _ in range(100):
        server.run(0.3)
        seen.append(server.limit.limit)
    seen.sort()
    assert at_once <= seen[50] <= 2.5 * at_once


def test_it_follows_an_upstream_that_can_do_less_and_then_more() -> None:
    server = Server(AdaptiveLimit(SETTINGS), 60)
    server.run(60.0)
    assert server.limit.limit > 40
    server.at_once = 10
    server.run(60.0)
    assert server.limit.limit < 30
    server.at_once = 60
    server.run(60.0)
    assert server.limit.limit > 40


def test_an_upstream_that_is_slower_at_any_load_is_not_throttled_for_good() -> None:
    server = Server(AdaptiveLimit(SETTINGS), 60)
    server.run(60.0)
    server.pace_s *= 4
    server.run(120.0)
    assert server.limit.limit > 40


def test_little_demand_changes_nothing() -> None:
    server = Server(AdaptiveLimit(SETTINGS), 60)
    server.run(60.0, demand=10)
    assert server.limit.limit == 20
    assert server.limit.baseline_s == pytest.approx(0.05)
    assert repr(server.limit) == "<AdaptiveLimit 20 baseline=50.0 ms>"


def test_what_is_dropped_lowers_it_and_no_further_than_to_its_least() -> None:
    limit = AdaptiveLimit(SETTINGS)
    for turn in range(10):
        limit.record(0.0, 20, 1000.0 + turn, is_dropped=True)
    assert limit.limit == 18
    for turn in range(1000):
        limit.record(0.0, 20, 2000.0 + turn, is_dropped=True)
    assert limit.limit == SETTINGS.least


def test_a_window_has_enough_in_it() -> None:
    limit = AdaptiveLimit(SETTINGS)
    for turn in range(9):
        limit.record(9.0, 20, 1000.0 + turn, is_dropped=True)
    assert limit.limit == 20


def test_where_it_begins_is_within_its_bounds() -> None:
    assert AdaptiveLimit(LimitSettings(30, 40, 20)).limit == 30
    assert AdaptiveLimit(LimitSettings(1, 4, 20)).limit == 4
