"""What one worker admits of a shared token bucket while the shared store is gone (decisions/0014).

A worker's share is the bucket itself, seen through a larger price: with n live workers, a request costs n times its
tokens. So all shares together are the bucket, whatever its limit, and a change of n needs no conversion.

A worker knows a bucket from the store's own words: after each check of its own, and whenever anybody's checks have
taken a twentieth of a limit more than the store last told (`stores/scripts/take.lua`). Hence it never believes in more
than a twentieth of the limit that is not there. Of what it cannot know it takes no more than a twentieth for granted
either, so that all workers together stay within 1.1 times the limit; or one request each, where the limit is smaller
than twenty times the workers.
"""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.core.rate_limit import Decision, Window, WindowState

TOLD_PARTS = 20
"""The store tells of each twentieth of a limit. `take.lua` has the same number."""

# An answer that is under way to a share must still find it: longer than any call.
_IDLE_FOR_MS = 2_000
# The store's clock may be set back; what it says then is newer than what it said before, although its time is not.
_CLOCK_SLACK_MS = 1_000


class Outage(NamedTuple):
    """One time without the store. workers: live ones of all gateways, when it began; at least 1.

    unheard_since_ms: since when (by the worker's clock) buckets may have been taken from without a word to this worker;
    None where it has heard of all.
    """

    number: int
    workers: int
    unheard_since_ms: int | None


class Share:
    """One bucket as one worker knows it: of each window the debt in token-milliseconds, as in `rate_limit`.

    Two clocks: the store's (`at_ms`, to be sent back to it) and the worker's own (`now_ms`, to count on alone).
    """

    __slots__ = ("_heard_at_ms", "_local", "_local_at_ms", "_outage", "at_ms", "debts", "on_way", "owed")

    def __init__(self, windows: tuple[Window, ...], now_ms: int) -> None:
        self.debts = [0] * len(windows)
        self.at_ms = 0
        self.owed = 0
        """Tokens admitted here that the store has not been told of, less those that late checks took there."""
        self.on_way = 0
        """Of what was owed, the tokens that a call is telling the store of."""
        self._heard_at_ms = now_ms
        self._local: list[int] = []
        self._local_at_ms = 0
        self._outage = 0

    def __repr__(self) -> str:
        return f"<Share debts={self.debts} at {self.at_ms}, owed={self.owed}>"

    def learn(self, windows: tuple[Window, ...], debts: Sequence[int], at_ms: int, now_ms: int) -> None:
        """The store said so. Of two things it said, the one that leaves less holds: it may have lost its memory."""
        elapsed_ms = at_ms - self.at_ms
        if elapsed_ms < -_CLOCK_SLACK_MS:
            elapsed_ms = 2 * max(window.period_ms for window in windows)
        elif elapsed_ms < 0:
            return
        known = self.debts
        for index, (limit, _) in enumerate(windows):
            before = known[index] - elapsed_ms * limit
            known[index] = max(debts[index], before)
        self.at_ms = at_ms
        self._heard_at_ms = now_ms

    def take(self, windows: tuple[Window, ...], cost: int, outage: Outage, now_ms: int) -> Decision:
        """Take `cost` tokens of this worker's share of every window, or of none. cost 0 looks only.

        A share is one request at least: where the limit is smaller than the workers are many, each waits until the
        price of one has been paid back.
        """
        if self._outage != outage.number:
            self._begin(windows, outage, now_ms)
        self._pay_back(windows, now_ms)
        is_allowed = True
        missing = []
        for debt, (limit, period_ms) in zip(self._local, windows, strict=True):
            price = cost * outage.workers * period_ms
            missing.append(debt + price - max(limit * period_ms, price))
            is_allowed = is_allowed and missing[-1] <= 0
        states = []
        for index, (limit, period_ms) in enumerate(windows):
            unit = outage.workers * period_ms
            if is_allowed:
                self._local[index] += cost * unit
            debt = self._local[index]
            remaining = max(0, max(limit * period_ms, unit) - debt) // unit
            states.append(
                WindowState(limit, period_ms, remaining, -(-debt // limit), max(0, -(-missing[index] // limit)))
            )
        return Decision(is_allowed, tuple(states), True)

    def is_idle(self, windows: tuple[Window, ...], now_ms: int) -> bool:
        """Whether nothing is lost by forgetting it: the bucket has been full for a while, and nothing is owed."""
        elapsed_ms = now_ms - self._heard_at_ms - _IDLE_FOR_MS
        return (
            elapsed_ms >= 0
            and self.owed <= 0
            and all(debt <= elapsed_ms * window.limit for debt, window in zip(self.debts, windows, strict=True))
        )

    def _begin(self, windows: tuple[Window, ...], outage: Outage, now_ms: int) -> None:
        self._outage = outage.number
        self._local = list(self.debts)
        self._local_at_ms = self._heard_at_ms
        self._pay_back(windows, now_ms)
        for index, (limit, period_ms) in enumerate(windows):
            unit = outage.workers * period_ms
            if outage.unheard_since_ms is not None and outage.workers > 1:
                # All but a twentieth may have been taken by others; one request passes even so.
                unheard = limit * period_ms - max(limit * period_ms // TOLD_PARTS, unit)
                unheard -= (now_ms - outage.unheard_since_ms) * limit
                self._local[index] = max(self._local[index], unheard)
            # Of an outage just before this one, and not known to the store yet.
            self._local[index] += (max(0, self.owed) + self.on_way) * unit

    def _pay_back(self, windows: tuple[Window, ...], now_ms: int) -> None:
        elapsed_ms = now_ms - self._local_at_ms
        if elapsed_ms > 0:
            self._local_at_ms = now_ms
            self._local = [
                max(0, debt - elapsed_ms * window.limit) for debt, window in zip(self._local, windows, strict=True)
            ]
