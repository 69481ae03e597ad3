"""Whether a new table is to stay, by how many requests of the routes that it changed fail."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

REQUESTS_MIN: Final = 20
"""Fewer requests than that say nothing."""


class Verdict(Enum):
    """WAIT: too early to say. KEEP: the time is over. BACK: too much fails."""

    WAIT = "wait"
    KEEP = "keep"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests that have ended, and how many of them with a 5xx."""

    requests: float = 0
    failures: float = 0

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(self.requests - other.requests, self.failures - other.failures)

    @property
    def error_rate(self) -> float:
        """Failures as a share of the requests; 0 without any."""
        return self.failures / self.requests if self.requests > 0 else 0.0


def judge(counts: Counts, elapsed_s: float, *, for_s: float, error_rate_max: float) -> Verdict:
    """counts: since the table is in force, which was elapsed_s ago. for_s: how long it is watched."""
    if counts.requests >= REQUESTS_MIN and counts.error_rate > error_rate_max:
        return Verdict.BACK
    return Verdict.KEEP if elapsed_s >= for_s else Verdict.WAIT
