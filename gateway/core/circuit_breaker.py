"""When an upstream that fails is given a rest: a circuit breaker as a table of transitions (Nygard, "Release It!").

    CLOSED --too much of the window failed--> OPEN --rested--> HALF_OPEN --every trial did well--> CLOSED
                                               ^------------- a trial failed --------'

What a request says counts for the state that admitted it only: an answer that is late by a whole outage must not open
a breaker that has just closed.
"""

from enum import Enum
from typing import Final, NamedTuple

# A window is this many slots, so that what is counted ends a tenth of a window late at most.
_SLOTS: Final = 10

REFUSED: Final = -1

# What of an attempt's causes (`core/retry.py`) says that the upstream is ill. Not 500: it is most often one request
# that meets one fault of a program, and who can provoke it could shut the upstream for everybody else.
ILL_CAUSES: Final = frozenset({"connect", "reset", "timeout", "bad_reply", "tls", "502", "503", "504"})


class State(Enum):
    """What becomes of requests: they pass; none does; a few try."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Event(Enum):
    """What can befall a breaker."""

    TOO_MUCH_FAILED = "too much failed"
    RESTED = "rested"
    TRIAL_FAILED = "a trial failed"
    TRIALS_PASSED = "the trials did well"


TRANSITIONS: Final = {
    (State.CLOSED, Event.TOO_MUCH_FAILED): State.OPEN,
    (State.OPEN, Event.RESTED): State.HALF_OPEN,
    (State.HALF_OPEN, Event.TRIAL_FAILED): State.OPEN,
    (State.HALF_OPEN, Event.TRIALS_PASSED): State.CLOSED,
}


class IllegalTransition(Exception):  # noqa: N818 - what was tried, not what went wrong
    """An event that cannot happen in this state."""


class BreakerSettings(NamedTuple):
    """error_rate: share of failures, 0..1, at which it opens, once the window has `least` outcomes. window_s: what is
    counted. open_s: the rest. trials: how many requests try then, all of which have to do well.
    """

    error_rate: float
    window_s: float
    least: int
    open_s: float
    trials: int


class CircuitBreaker:
    """One upstream's. now_s: any steady clock. Each `admit` that is not REFUSED is followed by `settle` or `forget`."""

    __slots__ = (
        "_failed",
        "_generation",
        "_opened_s",
        "_settings",
        "_slot",
        "_total",
        "_trials_left",
        "_trials_passed",
        "reason",
        "state",
    )

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self.state = State.CLOSED
        # Why it is as it is, for operators.
        self.reason = ""
        self._generation = 0
        self._opened_s = 0.0
        self._trials_left = 0
        self._trials_passed = 0
        self._slot = 0
        self._total = [0] * _SLOTS
        self._failed = [0] * _SLOTS

    def may_admit(self, now_s: float) -> bool:
        """Whether `admit` would give a ticket."""
        if self.state is State.OPEN:
            return now_s - self._opened_s >= self._settings.open_s
        return self.state is State.CLOSED or self._trials_left > 0

    def admit(self, now_s: float) -> int:
        """A ticket for an attempt, to be given back, or REFUSED."""
        if self.state is State.OPEN:
            if now_s - self._opened_s < self._settings.open_s:
                return REFUSED
            self._trials_left = self._settings.trials
            self._trials_passed = 0
            self._move(Event.RESTED, f"it has rested for {self._settings.open_s:g} s")
        if self.state is State.HALF_OPEN:
            if not self._trials_left:
                return REFUSED
            self._trials_left -= 1
        return self._generation

    def settle(self, ticket: int, now_s: float, *, is_ill: bool, cause: str = "") -> None:
        """An attempt has ended. cause: of a failure, in a word."""
        if ticket != self._generation:
            return
        settings = self._settings
        if self.state is State.HALF_OPEN:
            if is_ill:
                self._open(Event.TRIAL_FAILED, f"a trial failed ({cause})", now_s)
                return
            self._trials_passed += 1
            if self._trials_passed == settings.trials:
                self._total = [0] * _SLOTS
                self._failed = [0] * _SLOTS
                self._move(Event.TRIALS_PASSED, f"{settings.trials} trials did well")
            return
        index = self._turn(now_s)
        self._total[index] += 1
        if not is_ill:
            return
        self._failed[index] += 1
        total, failed = sum(self._total), sum(self._failed)
        if total >= settings.least and failed >= settings.error_rate * total:
            reason = f"{failed} of {total} requests failed in {settings.window_s:g} s, the last one by {cause}"
            self._open(Event.TOO_MUCH_FAILED, reason, now_s)

    def forget(self, ticket: int) -> None:
        """An attempt was given up, and nobody knows how it would have ended: its place is another trial's."""
        if ticket == self._generation and self.state is State.HALF_OPEN:
            self._trials_left += 1

    def retry_after_s(self, now_s: float) -> float:
        """When it is worth asking again; 0 where it is not open."""
        return max(0.0, self._opened_s + self._settings.open_s - now_s) if self.state is State.OPEN else 0.0

    def move(self, event: Event) -> None:
        """Make a transition of the table. Raises IllegalTransition, and changes nothing then."""
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            raise IllegalTransition(f"{event.value}, while {self.state.value}")
        self.state = following
        self._generation += 1

    def _move(self, event: Event, reason: str) -> None:
        self.move(event)
        self.reason = reason

    def _open(self, event: Event, reason: str, now_s: float) -> None:
        self._move(event, reason)
        self._opened_s = now_s

    def _turn(self, now_s: float) -> int:
        """The slot of this moment, those between the last one and it emptied."""
        slot = int(now_s * _SLOTS / self._settings.window_s)
        for passed in range(max(self._slot + 1, slot - _SLOTS + 1), slot + 1):
            self._total[passed % _SLOTS] = 0
            self._failed[passed % _SLOTS] = 0
        self._slot = max(slot, self._slot)
        return self._slot % _SLOTS

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.state.value} {sum(self._failed)}/{sum(self._total)} failed>"
