"""Hazard: a good table is taken back for one unlucky request, or a bad one stays."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.table_watch import REQUESTS_MIN, Counts, Verdict, judge

requests = st.integers(0, 100_000)
seconds = st.floats(0, 1e6)
shares = st.floats(0, 0.99)


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    total = draw(requests)
    return Counts(total, draw(st.integers(0, total)))


@given(counts(), seconds, seconds, shares)
def test_it_goes_back_exactly_where_enough_requests_fail_too_often(
    seen: Counts, elapsed_s: float, for_s: float, most: float
) -> None:
    is_bad = seen.requests >= REQUESTS_MIN and seen.failures > most * seen.requests
    # Where the share and its bound are a rounding apart, either is right.
    if abs(seen.error_rate - most) > 1e-9:
        assert (judge(seen, elapsed_s, for_s=for_s, error_rate_max=most) is Verdict.BACK) == is_bad


@given(counts(), seconds, seconds, shares)
def test_the_time_ends_it_and_nothing_else_keeps(seen: Counts, elapsed_s: float, for_s: float, most: float) -> None:
    verdict = judge(seen, elapsed_s, for_s=for_s, error_rate_max=most)
    if verdict is not Verdict.BACK:
        assert (verdict is Verdict.KEEP) == (elapsed_s >= for_s)


@given(counts(), st.integers(0, 1000), seconds, seconds, shares)
def test_more_failures_never_make_it_better(
    seen: Counts, more: int, elapsed_s: float, for_s: float, most: float
) -> None:
    worse = Counts(seen.requests + more, seen.failures + more)
    if judge(seen, elapsed_s, for_s=for_s, error_rate_max=most) is Verdict.BACK:
        assert judge(worse, elapsed_s, for_s=for_s, error_rate_max=most) is Verdict.BACK


def test_examples() -> None:
    def verdict(requests: int, failures: int, elapsed_s: float = 1.0) -> Verdict:
        return judge(Counts(requests, failures), elapsed_s, for_s=60.0, error_rate_max=0.05)

    assert verdict(19, 19) is Verdict.WAIT
    assert verdict(20, 1) is Verdict.WAIT
    assert verdict(20, 2) is Verdict.BACK
    assert verdict(0, 0, 60.0) is Verdict.KEEP
    assert Counts(30, 3) - Counts(10, 1) == Counts(20, 2)
    assert Counts().error_rate == 0
