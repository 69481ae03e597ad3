from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rate_limit import Bucket, Window, take

window_lists = st.lists(
    st.builds(Window, st.integers(1, 1_000), st.integers(1, 3_600_000)), min_size=1, max_size=3
).map(tuple)
requests = st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 5)), max_size=40)


@given(window_lists, requests)
def test_no_interval_passes_more_than_its_bucket_and_refill(
    windows: tuple[Window, ...], asked: list[tuple[int, int]]
) -> None:
    """From any moment on, at most `limit` tokens and what the time since then refilled."""
    buckets: list[Bucket | None] = [None] * len(windows)
    now_ms = 0
    passed: list[tuple[int, int]] = []
    for step_ms, cost in asked:
        now_ms += step_ms
        decision, buckets[:] = take(buckets, windows, cost, now_ms)
        if decision.is_allowed:
            passed.append((now_ms, cost))
    for window in windows:
        for first, (start_ms, _) in enumerate(passed):
            taken = 0
            for at_ms, cost in passed[first:]:
                taken += cost
                assert taken * window.period_ms <= window.limit * (window.period_ms + at_ms - start_ms)


@given(window_lists, requests)
def test_a_refusal_takes_nothing_and_names_when_to_come_back(
    windows: tuple[Window, ...], asked: list[tuple[int, int]]
) -> None:
    buckets: list[Bucket | None] = [None] * len(windows)
    now_ms = 0
    for step_ms, cost in asked:
        now_ms += step_ms
        before = list(buckets)
        decision, after = take(before, windows, cost, now_ms)
        wait_ms = max(state.retry_after_ms for state in decision.windows)
        assert decision.is_allowed == (wait_ms == 0)
        if not decision.is_allowed and all(cost <= window.limit for window in windows):
            assert take(after, windows, cost, now_ms + wait_ms)[0].is_allowed
            assert not take(after, windows, cost, now_ms + wait_ms - 1)[0].is_allowed
        for state, window in zip(decision.windows, windows, strict=True):
            assert 0 <= state.remaining <= window.limit
            assert 0 <= state.reset_ms <= window.period_ms
        buckets[:] = after


@given(window_lists, st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_clock_that_goes_back_neither_gives_nor_takes(
    windows: tuple[Window, ...], start_ms: int, back_ms: int
) -> None:
    _, stored = take([None] * len(windows), windows, 1, start_ms)
    decision, after = take(stored, windows, 1, start_ms - back_ms)
    for (debt, at_ms), (debt_after, at_after_ms), window in zip(stored, after, windows, strict=True):
        assert at_after_ms == at_ms
        assert debt_after == debt + window.period_ms * decision.is_allowed
