"""Token buckets in the memory of this process."""

from collections import OrderedDict
from collections.abc import Callable
from time import time
from typing import Final

from gateway.core.rate_limit import Bucket, Decision, Window, take

# As in scripts/take.lua: a bucket is forgotten when it has been full for so long, also by a clock that goes back a bit.
FULL_FOR_MS: Final = 60_000
# Looked at when a key is new, so that full buckets go faster than new keys come.
SWEPT_AT_ONCE: Final = 4

_Key = tuple[str, tuple[Window, ...]]


def wall_ms() -> int:
    """Milliseconds since the epoch: `MemoryLimits` asks for each request, so this is compiled with it."""
    return int(time() * 1000)


class MemoryLimits:
    """A `RateLimitStore` whose answers are there at once.

    now_ms: milliseconds since any fixed moment. max_keys: how many buckets are kept; past that, of the oldest few the
    one nearest to full is dropped, which at worst forgives its debt.
    """

    def __init__(self, now_ms: Callable[[], int], max_keys: int = 100_000) -> None:
        self._now_ms = now_ms
        self._max_keys = max_keys
        self._buckets: OrderedDict[_Key, list[Bucket]] = OrderedDict()

    def take(self, key: str, windows: tuple[Window, ...], cost: int = 1) -> Decision:
        """Take `cost` tokens from every window of the key, or from none. Other windows are other buckets."""
        full_key = (key, windows)
        stored = self._buckets.get(full_key)
        now_ms = self._now_ms()
        if stored is None:
            self._sweep(now_ms)
            decision, self._buckets[full_key] = take((None,) * len(windows), windows, cost, now_ms)
        else:
            # In place: to hash the windows once more costs as much as the rest of this method.
            decision, taken = take(stored, windows, cost, now_ms)
            for index in range(len(taken)):
                stored[index] = taken[index]
        return decision

    async def close(self) -> None:
        """Forget everything."""
        self._buckets.clear()

    def _sweep(self, now_ms: int) -> None:
        buckets = self._buckets
        in_debt: list[tuple[int, _Key]] = []
        for _ in range(min(SWEPT_AT_ONCE, len(buckets))):
            oldest = next(iter(buckets))
            full_at_ms = _full_at_ms(buckets[oldest], oldest[1])
            if full_at_ms + FULL_FOR_MS <= now_ms:
                del buckets[oldest]
            else:
                buckets.move_to_end(oldest)
                in_debt.append((full_at_ms, oldest))
        if len(buckets) >= self._max_keys:
            del buckets[min(in_debt)[1]]

    def __repr__(self) -> str:
        return f"<MemoryLimits {len(self._buckets)} of {self._max_keys}>"


def _full_at_ms(stored: list[Bucket], windows: tuple[Window, ...]) -> int:
    return max(at_ms + -(-debt // window.limit) for (debt, at_ms), window in zip(stored, windows, strict=True))
