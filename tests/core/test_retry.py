"""Hazard: something is done twice, or a failing upstream is met with a multiple of its load."""

import pytest

from gateway.core.retry import IDEMPOTENT_METHODS, SAFE_METHODS, RetryBudget, may_retry

ALL = frozenset({"connect", "reset", "timeout", "503"})


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_what_never_left_may_always_be_sent_again(method: str) -> None:
    assert may_retry("connect", method, ALL, is_sent=False)


@pytest.mark.parametrize("cause", sorted(ALL))
def test_what_left_may_be_repeated_only_if_its_method_is_safe(cause: str) -> None:
    assert {
        method
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "MADE-UP")
        if may_retry(cause, method, ALL, is_sent=True)
    } == {"GET", "HEAD", "OPTIONS"}


def test_what_is_not_listed_is_never_repeated() -> None:
    assert not may_retry("500", "GET", ALL, is_sent=True)
    assert not may_retry("connect", "GET", frozenset(), is_sent=False)


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
