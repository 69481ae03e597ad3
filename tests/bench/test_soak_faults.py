"""Hazard: a soak that excuses what it should not, or that does not see what was done twice."""

from dataclasses import replace

import pytest

from tests.bench.open_loop import Failure, Outcome
from tests.bench.soak_faults import (
    REDIS,
    UPSTREAM,
    WORKER,
    Account,
    Fault,
    Step,
    Timeline,
    count_kinds,
    fault_rows,
    settle,
    verdict_lines,
)

SOURCE = ("127.0.0.2", 40_000)
REFUSED = Failure("gateway-1-1", "GET", 11.0, 11.5, "refused", 502, "upstream_unreachable", SOURCE)
LOST = Failure("gateway-2-1", "POST", 30.0, 30.1, "no_reply", source=SOURCE)
FAULTS = (
    Fault(UPSTREAM, 10.0, 20.0),
    Fault(WORKER, 30.0, 32.0, frozenset({SOURCE})),
    Fault(REDIS, 50.0, 60.0),
)


def test_each_failure_stands_under_its_fault() -> None:
    account = settle(FAULTS, Outcome(failures=[REFUSED, LOST]), [])
    assert account.of_fault == [[REFUSED], [LOST], []]
    assert account.is_good


@pytest.mark.parametrize(
    "failure",
    [
        replace(REFUSED, ended_s=9.9),
        replace(REFUSED, ended_s=22.1),
        replace(REFUSED, status=500, code="internal_error"),
        replace(REFUSED, code="limit_store_down", status=503),
        replace(REFUSED, kind="wrong"),
        replace(REFUSED, kind="torn", status=0, code=""),
        replace(LOST, source=("127.0.0.2", 40_001)),
        replace(LOST, kind="surplus"),
        replace(LOST, ended_s=40.0),
        replace(REFUSED, ended_s=55.0, status=503, code="limit_store_down"),
        replace(LOST, ended_s=55.0),
    ],
)
def test_nothing_else_is_excused(failure: Failure) -> None:
    account = settle(FAULTS, Outcome(failures=[failure]), [])
    assert account.unexcused == [failure]
    assert not account.is_good


def test_a_post_that_an_upstream_got_twice_is_a_fault_and_a_get_is_not() -> None:
    account = settle((), Outcome(), ["POST gateway-1-1", "GET gateway-2-1", "GET gateway-2-1", "POST gateway-1-1"])
    assert account.done_twice == ["POST gateway-1-1"]
    assert not account.is_good


def test_a_good_reply_without_an_upstream_is_a_fault() -> None:
    outcome = Outcome()
    outcome.records.add(1.0, 0.1)
    assert settle((), outcome, ["GET gateway-1-1"]).is_good
    account = settle((), outcome, [])
    assert account.unheard == 1
    assert not account.is_good


def test_the_table_counts_what_was_due_meanwhile() -> None:
    outcome = Outcome(failures=[REFUSED, replace(REFUSED, method="POST"), LOST])
    for due_s, latency_s in ((5.0, 9.0), (12.0, 0.25), (21.9, 0.5), (22.1, 9.0)):
        outcome.records.add(due_s, latency_s)
    rows = fault_rows(FAULTS, settle(FAULTS, outcome, []), outcome, 0.0)
    assert rows[1] == ["upstream", "10–20.0", "2", "500.0", "2 × 502 upstream_unreachable", "1"]
    assert rows[2] == ["worker", "30–32.0", "0", "-", "1 × no_reply", "1"]
    assert rows[3][4] == "none"


def test_each_verdict_says_why_not() -> None:
    assert [line.rpartition(": ")[2] for line in verdict_lines(Account([]), 1, 1)[1:]] == ["yes"] * 3
    lines = verdict_lines(Account([], [LOST], ["POST a", "POST b"], 3), 10, 9)
    assert lines[0] == "10 requests, 9 good replies"
    assert [line.rpartition(": ")[2] for line in lines[1:]] == ["NO (1 × no_reply)", "NO (2 did)", "NO (3 did)"]


def test_kinds_are_counted_most_frequent_first() -> None:
    assert count_kinds([LOST, REFUSED, REFUSED]) == "2 × 502 upstream_unreachable, 1 × no_reply"
    assert count_kinds([]) == "none"


def test_steps_run_once_each_in_the_order_of_their_times() -> None:
    done: list[int] = []
    timeline = Timeline([Step(20.0, lambda: done.append(2)), Step(10.0, lambda: done.append(1))])
    for elapsed_s, expected in ((9.9, []), (10.0, [1]), (15.0, [1]), (25.0, [1, 2]), (30.0, [1, 2])):
        timeline.run_due(elapsed_s)
        assert done == expected
