"""The store of limits as `take.lua` has it, in Python; `tests/stores/test_redis_told.py` shows that both agree."""

from collections.abc import Callable, Sequence

from gateway.core.local_share import TOLD_PARTS
from gateway.core.rate_limit import Window

Record = list[tuple[int, int, int]]
Told = Callable[[str, list[int], int], None]


class ModelStore:
    """records: name -> (debt, told, at) of each window. told: called for each message."""

    def __init__(self, told: Told) -> None:
        self.records: dict[str, Record] = {}
        self._told = told

    def take(
        self,
        name: str,
        windows: tuple[Window, ...],
        cost: int,
        now_ms: int,
        known: Sequence[int] = (),
        known_at_ms: int = 0,
        owed: int = 0,
    ) -> tuple[bool, list[int]]:
        """Whether the tokens were taken, and the debts then."""
        record = self.records.get(name) or [(0, 0, now_ms)] * len(windows)
        debts, tolds, times = [], [], []
        for (debt, told, at_ms), (limit, period_ms), floor in zip(
            record, windows, known or [0] * len(windows), strict=True
        ):
            paid = max(0, now_ms - at_ms) * limit
            floor_paid = max(0, now_ms - known_at_ms) * limit
            debts.append(min(max(0, debt - paid, floor - floor_paid) + owed * period_ms, 2 * limit * period_ms))
            tolds.append(max(0, told - paid))
            times.append(max(now_ms, at_ms))
        is_allowed = all(
            debt + cost * period_ms <= limit * period_ms
            for debt, (limit, period_ms) in zip(debts, windows, strict=True)
        )
        if is_allowed:
            debts = [debt + cost * period_ms for debt, (_, period_ms) in zip(debts, windows, strict=True)]
        is_news = any(
            debt - told >= limit * period_ms / TOLD_PARTS
            for debt, told, (limit, period_ms) in zip(debts, tolds, windows, strict=True)
        )
        if is_news:
            tolds = list(debts)
        if is_news or cost or owed:
            self.records[name] = list(zip(debts, tolds, times, strict=True))
        if is_news:
            self._told(name, debts, now_ms)
        return is_allowed, debts
