"""A quantile of what was seen last, such as the p95 of a route's latency. Pure."""

from bisect import bisect_left, insort
from collections import deque
from math import ceil


class RunningQuantile:
    """The exact quantile (nearest rank) of the last `size` values, once there are `least`. About a microsecond a value.

    quantile: 0 < q <= 1.
    """

    __slots__ = ("_in_order", "_least", "_quantile", "_size", "_sorted")

    def __init__(self, quantile: float, size: int = 256, least: int = 20) -> None:
        self._quantile = quantile
        self._size = size
        self._least = least
        self._in_order: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, value: float) -> None:
        """One more was seen."""
        if len(self._in_order) == self._size:
            oldest = self._in_order.popleft()
            del self._sorted[bisect_left(self._sorted, oldest)]
        self._in_order.append(value)
        insort(self._sorted, value)

    @property
    def value(self) -> float | None:
        """None while too little was seen."""
        count = len(self._sorted)
        return self._sorted[ceil(self._quantile * count) - 1] if count >= self._least else None

    def __repr__(self) -> str:
        return f"<RunningQuantile q={self._quantile:g} of {len(self._sorted)}: {self.value}>"
