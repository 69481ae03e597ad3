"""Hazard: a breaker that never opens, never closes, or is moved by answers of another time."""

import pytest

from gateway.core.circuit_breaker import (
    REFUSED,
    TRANSITIONS,
    BreakerSettings,
    CircuitBreaker,
    Event,
    IllegalTransition,
    State,
)

SETTINGS = BreakerSettings(error_rate=0.5, window_s=10.0, least=4, open_s=5.0, trials=2)


def attempt(breaker: CircuitBreaker, now_s: float, *, is_ill: bool = False, cause: str = "503") -> bool:
    """Whether it was admitted; it ends at once."""
    ticket = breaker.admit(now_s)
    if ticket != REFUSED:
        breaker.settle(ticket, now_s, is_ill=is_ill, cause=cause)
    return ticket != REFUSED


def opened(now_s: float = 100.0) -> CircuitBreaker:
    breaker = CircuitBreaker(SETTINGS)
    for _ in range(4):
        assert attempt(breaker, now_s, is_ill=True)
    assert breaker.state is State.OPEN
    return breaker


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_what_the_table_does_not_have_raises_and_changes_nothing(state: State, event: Event) -> None:
    breaker = CircuitBreaker(SETTINGS)
    breaker.state = state
    if (state, event) in TRANSITIONS:
        breaker.move(event)
        assert breaker.state is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition, match=f"{event.value}, while {state.value}"):
            breaker.move(event)
        assert breaker.state is state


def test_it_opens_at_its_share_and_not_below_its_least_number() -> None:
    breaker = CircuitBreaker(SETTINGS)
    for _ in range(3):
        assert attempt(breaker, 1.0, is_ill=True)
    assert breaker.state is State.CLOSED
    assert attempt(breaker, 1.0, is_ill=True, cause="connect")
    assert breaker.state is State.OPEN
    assert breaker.reason == "4 of 4 requests failed in 10 s, the last one by connect"
    assert repr(breaker) == "<CircuitBreaker open 4/4 failed>"


def test_below_its_share_it_stays_closed() -> None:
    breaker = CircuitBreaker(SETTINGS)
    for _ in range(50):
        assert attempt(breaker, 1.0) and attempt(breaker, 1.0) and attempt(breaker, 1.0, is_ill=True)
    assert breaker.state is State.CLOSED


def test_what_is_older_than_the_window_does_not_count() -> None:
    breaker = CircuitBreaker(SETTINGS)
    for now_s in (1.0, 1.0, 1.0, 12.0, 23.0, 34.0):
        assert attempt(breaker, now_s, is_ill=True)
    assert breaker.state is State.CLOSED


def test_while_open_nothing_passes_and_it_says_for_how_long() -> None:
    breaker = opened(100.0)
    assert breaker.retry_after_s(101.0) == 4.0
    assert not breaker.may_admit(104.9)
    assert breaker.admit(104.9) == REFUSED
    assert breaker.may_admit(105.0)


def test_after_its_rest_a_bounded_number_tries_and_all_have_to_do_well() -> None:
    breaker = opened(100.0)
    one, other = breaker.admit(105.0), breaker.admit(105.0)
    assert breaker.state is State.HALF_OPEN
    assert REFUSED not in (one, other)
    assert breaker.admit(105.0) == REFUSED
    assert not breaker.may_admit(105.0)
    breaker.settle(one, 105.1, is_ill=False)
    assert breaker.state is State.HALF_OPEN
    breaker.settle(other, 105.1, is_ill=False)
    assert breaker.state is State.CLOSED
    assert breaker.reason == "2 trials did well"
    # The failures from before are forgotten.
    assert attempt(breaker, 105.2, is_ill=True)
    assert breaker.state is State.CLOSED


def test_one_failed_trial_opens_it_for_another_rest() -> None:
    breaker = opened(100.0)
    breaker.settle(breaker.admit(105.0), 106.0, is_ill=True, cause="timeout")
    assert breaker.state is State.OPEN
    assert breaker.reason == "a trial failed (timeout)"
    assert breaker.retry_after_s(106.0) == 5.0


def test_a_trial_that_is_given_up_leaves_its_place_to_another() -> None:
    breaker = opened(100.0)
    one, _ = breaker.admit(105.0), breaker.admit(105.0)
    breaker.forget(one)
    assert breaker.admit(105.0) != REFUSED


def test_an_answer_that_is_late_by_an_outage_counts_nowhere() -> None:
    breaker = CircuitBreaker(SETTINGS)
    late = [breaker.admit(99.0) for _ in range(9)]
    for _ in range(4):
        attempt(breaker, 100.0, is_ill=True)
    trial = breaker.admit(105.0)
    for ticket in late[:4]:
        breaker.settle(ticket, 105.0, is_ill=False)
    breaker.forget(late[4])
    assert breaker.state is State.HALF_OPEN
    breaker.settle(trial, 105.0, is_ill=False)
    breaker.settle(breaker.admit(105.0), 105.0, is_ill=False)
    for ticket in late[5:]:
        breaker.settle(ticket, 106.0, is_ill=True)
    assert breaker.state is State.CLOSED
