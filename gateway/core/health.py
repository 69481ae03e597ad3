"""Whether its probes say that an endpoint is well: a state machine over their results.

state    result   in a row           next
UNKNOWN  good     1                  WELL      what nobody has asked yet gets requests, and the first answer decides:
UNKNOWN  failed   1                  UNWELL    an endpoint that is added before it runs costs one probe, not three
WELL     failed   unhealthy_after    UNWELL
UNWELL   good     healthy_after      WELL
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Health(Enum):
    """What the probes of one worker say."""

    UNKNOWN = "unknown"
    WELL = "well"
    UNWELL = "unwell"


@dataclass(frozen=True, slots=True)
class HealthRule:
    """`health` of an upstream. path: what to GET. every_s: between two probes, timeout_s: for one."""

    path: str
    every_s: float
    timeout_s: float
    healthy_after: int
    unhealthy_after: int


# Where a run of such results leads to; a pair that is not here leads nowhere.
_TURNS: Final = {
    (Health.UNKNOWN, True): Health.WELL,
    (Health.UNKNOWN, False): Health.UNWELL,
    (Health.WELL, False): Health.UNWELL,
    (Health.UNWELL, True): Health.WELL,
}


@dataclass(slots=True)
class ProbeRecord:
    """The results so far. in_row: how many of the last kind came without one of the other."""

    state: Health = Health.UNKNOWN
    is_last_good: bool = True
    in_row: int = 0

    def note(self, rule: HealthRule, *, is_good: bool) -> bool:
        """Take a result in. Returns whether the state changed."""
        self.in_row = self.in_row + 1 if is_good is self.is_last_good else 1
        self.is_last_good = is_good
        turned = _TURNS.get((self.state, is_good))
        if turned is None:
            return False
        needed = 1 if self.state is Health.UNKNOWN else rule.healthy_after if is_good else rule.unhealthy_after
        if self.in_row < needed:
            return False
        self.state = turned
        return True

    def doubt(self) -> None:
        """It was seen to fail: good probes count anew from here, failed ones go on counting."""
        if self.is_last_good:
            self.in_row = 0
