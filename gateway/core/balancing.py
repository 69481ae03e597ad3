"""Which endpoint of an upstream gets the next request: pure choices over what is known of each endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar


class Candidate(Protocol):
    """What a choice looks at. weight: more than 0. in_flight: requests under way there from this worker."""

    @property
    def weight(self) -> float: ...

    @property
    def in_flight(self) -> int: ...


class Rng(Protocol):
    """The part of `random.Random` that is drawn from."""

    def choices(self, population: Sequence[Any], weights: Sequence[float], *, k: int = 1) -> list[Any]: ...


CandidateT = TypeVar("CandidateT", bound=Candidate)


@dataclass(slots=True)
class SmoothRoundRobin:
    """Weighted round robin that spreads the turns of a heavy endpoint instead of giving them in one row.

    Every turn each endpoint gains its weight; the richest goes and pays the sum (the scheme that nginx made known).
    """

    credits: dict[int, float]

    def choose(self, candidates: Sequence[CandidateT]) -> CandidateT:
        """The next in turn; candidates are told apart by identity, so that any subset may be offered."""
        total = 0.0
        best: CandidateT = candidates[0]
        best_credit: float | None = None
        for candidate in candidates:
            total += candidate.weight
            credit = self.credits[id(candidate)] = self.credits.get(id(candidate), 0) + candidate.weight
            if best_credit is None or credit > best_credit:
                best, best_credit = candidate, credit
        self.credits[id(best)] -= total
        return best


def least_requests(candidates: Sequence[CandidateT], rng: Rng) -> CandidateT:
    """The one with the fewest requests under way by weight; among equals by lot, so that no one is always first."""
    lowest = min((candidate.in_flight + 1) / candidate.weight for candidate in candidates)
    equal = [candidate for candidate in candidates if (candidate.in_flight + 1) / candidate.weight == lowest]
    if len(equal) == 1:
        return equal[0]
    drawn: list[CandidateT] = rng.choices(equal, [candidate.weight for candidate in equal])
    return drawn[0]


def random_two(candidates: Sequence[CandidateT], rng: Rng) -> CandidateT:
    """The less busy of two drawn by weight ("power of two choices")."""
    drawn: list[CandidateT] = rng.choices(candidates, [candidate.weight for candidate in candidates], k=2)
    one, other = drawn
    return one if (one.in_flight + 1) / one.weight <= (other.in_flight + 1) / other.weight else other
