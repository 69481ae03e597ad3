"""Whatever an upstream's latency does: the limit stays within its bounds, moves by little at a time, and follows."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.adaptive_limit import AdaptiveLimit, LimitSettings

samples = st.lists(
    st.tuples(st.floats(0.0, 30.0), st.integers(1, 300), st.floats(0.0, 2.0), st.booleans()), min_size=1, max_size=300
)


@given(st.integers(1, 50), st.integers(0, 200), st.integers(1, 300), samples)
@settings(max_examples=200, deadline=None)
def test_it_stays_within_its_bounds(
    least: int, more: int, initial: int, samples: list[tuple[float, int, float, bool]]
) -> None:
    limit = AdaptiveLimit(LimitSettings(least, least + more, initial))
    now_s = 1000.0
    before = limit.limit
    assert least <= before <= least + more
    for latency_s, in_flight, after_s, is_dropped in samples:
        now_s += after_s
        limit.record(latency_s, in_flight, now_s, is_dropped=is_dropped)
        assert least <= limit.limit <= least + more
        # A probe halves it and the next window takes that back; beside that, a window moves it by half at most.
        assert 0.25 * before - 1 <= limit.limit <= 2.5 * before + 4
        before = limit.limit


@given(
    at_once=st.floats(4.0, 100.0),
    pace_s=st.floats(0.002, 1.0),
    initial=st.integers(1, 20),
    jitter=st.lists(st.floats(0.9, 1.1), min_size=7, max_size=7),
)
@settings(max_examples=30, deadline=None)
def test_under_any_load_it_ends_near_what_the_upstream_does_at_once(
    at_once: float, pace_s: float, initial: int, jitter: list[float]
) -> None:
    """The model: latency is flat up to so many at once, and in proportion to them beyond."""
    limit = AdaptiveLimit(LimitSettings(1, 200, initial))
    now_s, seen = 1000.0, []
    for turn in range(600):
        under_way = limit.limit
        latency_s = pace_s * max(1.0, under_way / at_once) * jitter[turn % 7]
        # A window a turn.
        now_s += max(0.1, latency_s)
        for _ in range(min(under_way, 12)):
            limit.record(latency_s, under_way, now_s)
        if turn >= 450:
            seen.append(limit.limit)
    seen.sort()
    assert 0.7 * at_once <= seen[75] <= 2.5 * at_once + 2
