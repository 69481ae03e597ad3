"""Token buckets in whole numbers, so that every store comes to the same result to the last digit.

A window of `limit` tokens per `period_ms` is kept as a debt in token-milliseconds: a taken token adds `period_ms`, each
passing millisecond pays back `limit`, and the bucket is empty at `limit * period_ms`. `stores/scripts/take.lua` does
the same arithmetic in Redis; all numbers stay below 2**53, the whole numbers that a Lua number holds exactly.
"""

from collections.abc import Sequence
from typing import NamedTuple, final

from mypy_extensions import mypyc_attr


class _WindowFields(NamedTuple):
    limit: int
    period_ms: int


@mypyc_attr(native_class=False)
class Window(_WindowFields):
    """`limit` tokens per `period_ms`, all of which may be taken at once. A tuple: stores hash it for each request."""

    __slots__ = ()

    def __new__(cls, limit: int, period_ms: int) -> "Window":
        if limit < 1 or period_ms < 1 or limit * period_ms * 2 >= 2**53:
            raise ValueError(f"a limit of {limit} per {period_ms} ms cannot be counted exactly")
        return tuple.__new__(cls, (limit, period_ms))


# One of each of these two is made per request, so they are plain classes: compiled, such an object is made by a few
# stores, while a dataclass or a named tuple goes through Python's own constructor (1,700 instructions each).


@final
class WindowState:
    """A window's bucket after a check. reset_ms: until it is full again. retry_after_ms: until the cost would fit."""

    __slots__ = ("limit", "period_ms", "remaining", "reset_ms", "retry_after_ms")

    def __init__(self, limit: int, period_ms: int, remaining: int, reset_ms: int, retry_after_ms: int) -> None:
        self.limit = limit
        self.period_ms = period_ms
        self.remaining = remaining
        self.reset_ms = reset_ms
        self.retry_after_ms = retry_after_ms

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WindowState) and self._fields() == other._fields()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        limit, period_ms, remaining, reset_ms, retry_after_ms = self._fields()
        return f"<WindowState {remaining} of {limit} per {period_ms} ms, full in {reset_ms}, retry in {retry_after_ms}>"

    def _fields(self) -> tuple[int, int, int, int, int]:
        return self.limit, self.period_ms, self.remaining, self.reset_ms, self.retry_after_ms


@final
class Decision:
    """Whether the tokens were taken, and how each window stands then, in the order asked.

    is_degraded: decided without the shared store.
    """

    __slots__ = ("is_allowed", "is_degraded", "windows")

    def __init__(self, is_allowed: bool, windows: tuple[WindowState, ...], is_degraded: bool = False) -> None:
        self.is_allowed = is_allowed
        self.windows = windows
        self.is_degraded = is_degraded

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Decision)
            and self.is_allowed == other.is_allowed
            and self.is_degraded == other.is_degraded
            and self.windows == other.windows
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        verdict = "allowed" if self.is_allowed else "refused"
        return f"<Decision {verdict}{' (degraded)' if self.is_degraded else ''} {list(self.windows)}>"


Bucket = tuple[int, int]
"""(debt in token-milliseconds, at which millisecond)"""


def take(
    buckets: Sequence[Bucket | None], windows: tuple[Window, ...], cost: int, now_ms: int
) -> tuple[Decision, list[Bucket]]:
    """Take `cost` tokens from every window, or from none.

    buckets: the stored bucket of each window, None where there is none yet. Returns the decision and the buckets to
    store. A clock that went back pays nothing back and takes nothing away.
    """
    count = len(windows)
    if len(buckets) != count:
        raise ValueError(f"{len(buckets)} buckets for {count} windows")
    states: list[WindowState] = []
    stored: list[Bucket] = []
    # By index, and a window as the tuple that it is: compiled, both are plain memory accesses, which zip is not.
    for index in range(count):
        window: tuple[int, ...] = windows[index]
        limit, period_ms = window[0], window[1]
        bucket = buckets[index]
        debt = cost * period_ms
        at_ms = now_ms
        if bucket is not None:
            before, at_ms = bucket
            if now_ms > at_ms:
                before -= (now_ms - at_ms) * limit
                at_ms = now_ms
            if before > 0:
                debt += before
        left = limit * period_ms - debt
        if left < 0:
            return _refuse(buckets, windows, cost, now_ms)
        states.append(WindowState(limit, period_ms, left // period_ms, -(-debt // limit), 0))
        stored.append((debt, at_ms))
    return Decision(True, tuple(states)), stored


def _refuse(
    buckets: Sequence[Bucket | None], windows: tuple[Window, ...], cost: int, now_ms: int
) -> tuple[Decision, list[Bucket]]:
    """The way that is not hot: nothing is taken, what has been paid back since is."""
    states = []
    stored: list[Bucket] = []
    for bucket, (limit, period_ms) in zip(buckets, windows, strict=True):
        debt, at_ms = bucket if bucket is not None else (0, now_ms)
        if now_ms > at_ms:
            debt = max(0, debt - (now_ms - at_ms) * limit)
            at_ms = now_ms
        states.append(_refused(limit, period_ms, cost, debt))
        stored.append((debt, at_ms))
    return Decision(False, tuple(states)), stored


def _refused(limit: int, period_ms: int, cost: int, debt: int) -> WindowState:
    missing = debt + (cost - limit) * period_ms
    # A debt may be larger than the limit: what workers admitted without the store is taken from it in any case.
    remaining = max(0, limit * period_ms - debt) // period_ms
    return WindowState(limit, period_ms, remaining, -(-debt // limit), -(-missing // limit) if missing > 0 else 0)


def decide(is_allowed: bool, windows: tuple[Window, ...], cost: int, debts: list[int]) -> Decision:
    """The decision of a store that says whether it took, and each window's debt then."""
    states = []
    for (limit, period_ms), debt in zip(windows, debts, strict=True):
        if is_allowed:
            states.append(WindowState(limit, period_ms, (limit * period_ms - debt) // period_ms, -(-debt // limit), 0))
        else:
            states.append(_refused(limit, period_ms, cost, debt))
    return Decision(is_allowed, tuple(states))
