"""Leaving out an endpoint whose replies fail: a state machine over the outcomes of real requests.

    IN   --`errors` failures in a row, where `may_eject`--> OUT
    OUT  --its time is over, or it is proved well--------> IN

The first time it is out for `for`, each time after that twice as long, up to ten times `for`; every `for` that it
stays in without being ejected takes one doubling back. Outcomes that come while it is OUT are of requests from before,
and say nothing new.
"""

from dataclasses import dataclass
from typing import Final

COUNTED: Final = frozenset({"connect", "reset", "timeout", "tls", "bad_reply", "502", "503", "504"})
"""The outcomes that count against an endpoint. Any other answer of it, a 500 too, is a success: it was there."""

CONNECTION_CAUSES: Final = frozenset({"connect", "reset"})
"""What a good probe disproves: the endpoint takes connections again."""

GROWTH_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class EjectRule:
    """`eject` of an upstream. for_s: the first time. at_most: a share of the endpoints, 0 to 1."""

    errors: int
    for_s: float
    at_most: float


def may_eject(endpoints: int, ejected: int, in_rotation: int, at_most: float) -> bool:
    """Whether one more may go, of so many endpoints, of which so many are out and so many get requests.

    at_most is rounded down, but a share that is less than one endpoint is one: else the rule would never do anything.
    One endpoint stays whatever at_most says.
    """
    # A little above, for 0.29 × 100 is less than 29.
    return in_rotation > 1 and ejected < max(1, int(endpoints * at_most + 1e-9))


class IllegalTransitionError(RuntimeError):
    """A transition that the table of the states does not have."""


@dataclass(slots=True)
class EjectionRecord:
    """failures: in a row, while it is IN. cause: of the last one. times: how often it was out, less what is forgiven.
    returned_s: when it was let in last.
    """

    failures: int = 0
    cause: str = ""
    is_out: bool = False
    times: int = 0
    returned_s: float = 0.0

    def failed(self, cause: str) -> None:
        """One more failure. cause: as in `COUNTED`."""
        if not self.is_out:
            self.failures += 1
            self.cause = cause

    def succeeded(self) -> None:
        """The row is broken."""
        self.failures = 0

    def eject(self, now_s: float, rule: EjectRule) -> float:
        """Leave it out. Returns for how many seconds. Raises IllegalTransitionError where it is out already."""
        if self.is_out:
            raise IllegalTransitionError("it is out already")
        if self.times:
            self.times = max(0, self.times - int((now_s - self.returned_s) / rule.for_s))
        growth: int = min(1 << min(self.times, GROWTH_MAX), GROWTH_MAX)
        self.times += 1
        self.is_out = True
        self.failures = 0
        return rule.for_s * growth

    def bring_back(self, now_s: float) -> None:
        """Let it have requests again. Raises IllegalTransitionError where it is not out."""
        if not self.is_out:
            raise IllegalTransitionError("it is not out")
        self.is_out = False
        self.returned_s = now_s
