"""Whatever mixture of requests and failures: retries stay within their share."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.retry import IDEMPOTENT_METHODS, RetryBudget, may_retry

events = st.lists(st.tuples(st.sampled_from(["request", "retry"]), st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0])))


@given(events)
@settings(max_examples=150, deadline=None)
def test_no_more_than_ten_and_the_share_of_the_requests(events: list[tuple[str, float]]) -> None:
    budget = RetryBudget()
    paid, taken = 10.0, 0
    for kind, ratio in events:
        if kind == "request":
            budget.count_request(ratio)
            paid += ratio
        else:
            taken += budget.take_retry()
        assert taken <= paid + 1e-9
        assert 0.0 <= budget.tokens <= 10.0


@given(st.text(), st.text(), st.frozensets(st.text(), max_size=4), st.booleans(), st.booleans())
def test_what_was_sent_only_if_listed_and_only_if_twice_is_once(
    cause: str, method: str, retry_on: frozenset[str], is_sent: bool, is_keyed: bool
) -> None:
    if may_retry(cause, method, retry_on, is_sent=is_sent, is_keyed=is_keyed):
        assert not is_sent or cause in retry_on
        assert not is_sent or is_keyed or method in IDEMPOTENT_METHODS
