from hypothesis import given
from hypothesis import strategies as st

from gateway.core.throughput import LeastThroughput, Throughput

LEAST = Throughput(size=100, window_s=10.0)


def test_each_window_needs_its_bytes() -> None:
    watch = LeastThroughput(LEAST, now_s=5.0)
    assert not watch.is_missed(14.0, 0)
    assert not watch.is_missed(15.0, 100)
    assert watch.is_missed(25.0, 199)


def test_a_fast_start_is_no_credit() -> None:
    watch = LeastThroughput(LEAST, now_s=0.0, moved=50)
    assert not watch.is_missed(10.0, 1_000_000)
    assert watch.is_missed(20.0, 1_000_099)


def test_time_that_was_not_waited_does_not_count() -> None:
    watch = LeastThroughput(LEAST, now_s=0.0)
    assert not watch.is_missed(9.0, 0)
    watch.resume(1000.0)
    assert not watch.is_missed(1000.5, 0)
    assert watch.is_missed(1001.0, 99)


def test_a_wait_longer_than_a_window_is_judged_as_one() -> None:
    # It may have been we who were late.
    assert LeastThroughput(LEAST, now_s=0.0).is_missed(35.0, 99)
    assert not LeastThroughput(LEAST, now_s=0.0).is_missed(35.0, 100)


def test_its_state_is_told() -> None:
    assert repr(LeastThroughput(LEAST, 0.0)) == "<LeastThroughput 100 bytes/10 s waited=0.000>"


@given(st.lists(st.tuples(st.floats(0.01, 9.9), st.integers(0, 50)), max_size=50), st.integers(10, 20))
def test_who_always_keeps_the_rate_is_never_stopped(steps: list[tuple[float, int]], rate: int) -> None:
    """rate: bytes a second, the least or more. The extra bytes of each step do no harm."""
    now_s, moved = 0.0, 0
    watch = LeastThroughput(LEAST, now_s)
    for wait_s, extra in steps:
        now_s += wait_s
        moved += int(rate * wait_s) + 1 + extra
        assert not watch.is_missed(now_s, moved)


@given(st.lists(st.floats(0.01, 5.0), min_size=20, max_size=50))
def test_who_never_keeps_it_is_stopped_within_two_windows(waits: list[float]) -> None:
    now_s, moved = 0.0, 0
    watch = LeastThroughput(LEAST, now_s)
    for wait_s in waits:
        if now_s >= 2 * LEAST.window_s:
            raise AssertionError("not stopped")
        now_s += wait_s
        moved += int(4 * wait_s)
        if watch.is_missed(now_s, moved):
            return
