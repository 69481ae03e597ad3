"""What a change of a table means, in words for `gateway diff`. Pure.

A plugin says what a change of its policy means by `Plugin.compare`, and of its section by `Plugin.compare_section`.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, NamedTuple


class Risk(IntEnum):
    """The worst first."""

    WIDENING = 0
    """Somebody may do, see or cost more than before."""
    BREAKING = 1
    """Somebody may do less, or gets something else."""
    NEUTRAL = 2
    """Neither."""


class Change(NamedTuple):
    """one: a sentence with {} for the route's id, or without for what is no route's. many: the same for several routes,
    with {} for how many; changes of one risk and the same `many` are told in one line. rank: within the risk, the least
    first.
    """

    risk: Risk
    one: str
    many: str
    rank: int = 5

    def about(self, route_id: str) -> str:
        """The sentence about one route."""
        return self.one.replace("{}", route_id)


class Side(NamedTuple):
    """What a plugin may know of one of the two tables. policy: in force on the route, None: off. section: the plugin's.
    methods: of the route, None for any. has_auth: whether callers of the route are known.
    """

    policy: Any
    section: Any
    default_plan: str
    methods: frozenset[str] | None = None
    has_auth: bool = False


def widens(one: str, many: str | None = None, rank: int = 5) -> Change:
    """A widening. many: as `one` where the words are the same."""
    return Change(Risk.WIDENING, one, many or one, rank)


def breaks(one: str, many: str | None = None, rank: int = 5) -> Change:
    """A change that breaks something for somebody."""
    return Change(Risk.BREAKING, one, many or one, rank)


def neutral(one: str, many: str | None = None, rank: int = 5) -> Change:
    """A change that opens and breaks nothing."""
    return Change(Risk.NEUTRAL, one, many or one, rank)


def listed(values: Iterable[object]) -> str:
    """`a, b`, sorted; `none` where there is nothing."""
    return ", ".join(sorted(map(str, values))) or "none"
