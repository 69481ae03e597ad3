"""Hazard: something is done twice, or a failing upstream is met with a multiple of its load."""

import pytest

from gateway.core.retry import IDEMPOTENT_METHODS, SAFE_METHODS, RetryBudget, fits, may_retry, pause_s

ALL = frozenset({"connect", "reset", "timeout", "503"})


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_what_never_left_may_always_be_sent_again(method: str) -> None:
    assert may_retry("connect", method, ALL, is_sent=False)


@pytest.mark.parametrize("cause", sorted(ALL))
def test_what_left_may_be_repeated_only_if_its_method_is_idempotent_or_it_has_a_key(cause: str) -> None:
    methods = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "MADE-UP")
    repeated = {method for method in methods if may_retry(cause, method, ALL, is_sent=True)}
    assert repeated == {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}
    assert all(may_retry(cause, method, ALL, is_sent=True, is_keyed=True) for method in methods)


def test_what_is_not_listed_is_repeated_only_if_it_never_left() -> None:
    assert not may_retry("500", "GET", ALL, is_sent=True)
    assert not may_retry("500", "POST", ALL, is_sent=True, is_keyed=True)
    assert may_retry("connect", "POST", frozenset(), is_sent=False)


@pytest.mark.parametrize("cause", ["tls", "busy"])
def test_what_will_not_be_better_at_once_is_not_repeated(cause: str) -> None:
    assert not may_retry(cause, "GET", ALL | {cause}, is_sent=False)


def test_the_pause_doubles_from_25_ms_to_250_and_is_drawn_by_lot() -> None:
    longest = [pause_s(attempts, 1.0, None, is_elsewhere=False) for attempts in range(1, 8)]
    assert longest == [0.025, 0.05, 0.1, 0.2, 0.25, 0.25, 0.25]
    assert pause_s(4, 0.5, None, is_elsewhere=False) == 0.1
    assert pause_s(4, 0.0, None, is_elsewhere=False) == 0.0
    assert pause_s(1, 1.0, None, is_elsewhere=True) == 0.0


@pytest.mark.parametrize(
    ("retry_after", "paused_s"),
    [
        (b"0", 0.0),
        (b"2", 2.0),
        (b"5", 5.0),
        (b"6", None),
        (b"99999999", None),
        (b"Fri, 31 Dec 1999 23:59:59 GMT", None),
        (b"-1", None),
        (b"", None),
    ],
)
def test_rfc9110_10_2_3_retry_after_is_waited_for_or_nothing_is_repeated(
    retry_after: bytes, paused_s: float | None
) -> None:
    assert pause_s(1, 0.0, retry_after, is_elsewhere=True) == paused_s


def test_no_attempt_begins_that_cannot_end_in_time() -> None:
    assert fits(1e9, 0.0, None)
    assert fits(0.98, 10.0, 11.0)
    assert not fits(0.995, 10.0, 11.0)
    assert not fits(0.0, 11.0, 11.0)


def test_rfc9110_9_2_2_safe_methods_are_idempotent() -> None:
    assert SAFE_METHODS < IDEMPOTENT_METHODS
    assert not {"POST", "PATCH"} & IDEMPOTENT_METHODS


def test_a_quiet_upstream_has_ten_retries_at_once_and_no_more() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.count_request(0.2)
    assert [budget.take_retry() for _ in range(11)] == [True] * 10 + [False]


def test_a_busy_upstream_gets_its_ratio() -> None:
    budget = RetryBudget(0.0)
    granted = 0
    for _ in range(1000):
        budget.count_request(0.25)
        granted += budget.take_retry()
    assert granted == 250
