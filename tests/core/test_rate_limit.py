import pytest

from gateway.core.rate_limit import Decision, Window, WindowState, take

FREE = (Window(60, 60_000), Window(1_000, 3_600_000))


def test_both_windows_or_none() -> None:
    stored = [None, None]
    for number in range(60):
        decision, stored = take(stored, FREE, 1, 5_000)
        assert decision.is_allowed
        assert decision.windows[0].remaining == 59 - number
    decision, after = take(stored, FREE, 1, 5_000)
    assert decision == Decision(
        False,
        (
            WindowState(60, 60_000, remaining=0, reset_ms=60_000, retry_after_ms=1_000),
            WindowState(1_000, 3_600_000, remaining=940, reset_ms=216_000, retry_after_ms=0),
        ),
    )
    assert after == stored


def test_the_hour_refuses_where_the_minute_would_not() -> None:
    stored = [None, None]
    now_ms, passed = 0, 0
    while now_ms <= 3_600_000:
        decision, stored = take(stored, FREE, 1, now_ms)
        passed += decision.is_allowed
        now_ms += 500
    # A full bucket, and what an hour refills; the minute alone would have let 3,660 pass.
    assert passed == 1_000 + 1_000


def test_a_cost_larger_than_the_limit_never_passes() -> None:
    decision, _ = take([None], (Window(5, 1_000),), 6, 0)
    assert not decision.is_allowed
    assert decision.windows[0].remaining == 5


@pytest.mark.parametrize(("limit", "period_ms"), [(0, 1_000), (-1, 1_000), (1, 0), (2**27, 2**26)])
def test_a_window_that_cannot_be_counted_exactly_is_refused(limit: int, period_ms: int) -> None:
    with pytest.raises(ValueError, match="cannot be counted exactly"):
        Window(limit, period_ms)
