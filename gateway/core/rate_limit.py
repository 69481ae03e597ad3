"""Token buckets in whole numbers, so that every store comes to the same result to the last digit.

A window of `limit` tokens per `period_ms` is kept as a debt in token-milliseconds: a taken token adds `period_ms`, each
passing millisecond pays back `limit`, and the bucket is empty at `limit * period_ms`. `stores/scripts/take.lua` does
the same arithmetic in Redis; all numbers stay below 2**53, the whole numbers that a Lua number holds exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Window:
    """`limit` tokens per `period_ms`, all of which may be taken at once."""

    limit: int
    period_ms: int

    def __post_init__(self) -> None:
        if self.limit < 1 or self.period_ms < 1 or self.limit * self.period_ms * 2 >= 2**53:
            raise ValueError(f"a limit of {self.limit} per {self.period_ms} ms cannot be counted exactly")


class WindowState(NamedTuple):
    """A window's bucket after a check. reset_ms: until it is full again. retry_after_ms: until the cost would fit."""

    limit: int
    period_ms: int
    remaining: int
    reset_ms: int
    retry_after_ms: int


class Decision(NamedTuple):
    """Whether the tokens were taken, and how each window stands then, in the order asked.

    These two are named tuples because one of each is made per request: a frozen dataclass costs 1.2 us more.
    """

    is_allowed: bool
    windows: tuple[WindowState, ...]
    is_degraded: bool = False
    """Decided without the shared store."""


Bucket = tuple[int, int]
"""(debt in token-milliseconds, at which millisecond)"""


def take(
    buckets: Sequence[Bucket | None], windows: tuple[Window, ...], cost: int, now_ms: int
) -> tuple[Decision, list[Bucket]]:
    """Take `cost` tokens from every window, or from none.

    buckets: the stored bucket of each window, None where there is none yet. Returns the decision and the buckets to
    store. A clock that went back pays nothing back and takes nothing away.
    """
    debts = []
    is_allowed = True
    for bucket, window in zip(buckets, windows, strict=True):
        debt = 0
        if bucket is not None:
            debt, at_ms = bucket
            if now_ms > at_ms:
                debt -= (now_ms - at_ms) * window.limit
                if debt < 0:
                    debt = 0
        debts.append(debt)
        if debt + cost * window.period_ms > window.limit * window.period_ms:
            is_allowed = False
    states = []
    stored: list[Bucket] = []
    for bucket, window, debt_before in zip(buckets, windows, debts, strict=True):
        limit, period_ms = window.limit, window.period_ms
        capacity = limit * period_ms
        debt_with_cost = debt_before + cost * period_ms
        debt = debt_with_cost if is_allowed else debt_before
        missing = debt_with_cost - capacity
        states.append(
            WindowState(
                limit,
                period_ms,
                (capacity - debt) // period_ms,
                -(-debt // limit),
                -(-missing // limit) if missing > 0 else 0,
            )
        )
        stored.append((debt, now_ms if bucket is None or bucket[1] < now_ms else bucket[1]))
    return Decision(is_allowed, tuple(states)), stored
