"""Claims in the memory of this process: only this worker knows of them."""

from collections import OrderedDict
from collections.abc import Callable

# Of one entry beside its value: two strings and their places in the table.
_OVERHEAD_BYTES = 300


class MemoryClaims:
    """A `ClaimStore`.

    now_s: the monotonic clock. size_max: bytes of all values; past that the oldest go, so that clients cannot fill the
    memory: a repetition of those is then carried out again.
    """

    def __init__(self, now_s: Callable[[], float], size_max: int = 64 << 20) -> None:
        self._now_s = now_s
        self._size_max = size_max
        self._size = 0
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    async def claim(self, key: str, value: bytes, for_s: float) -> bytes | None:
        """See `ClaimStore`."""
        standing = self._get(key)
        if standing is None:
            self._put(key, value, for_s)
        return standing

    async def replace(self, key: str, value: bytes, new: bytes, for_s: float) -> bool:
        """See `ClaimStore`."""
        if self._get(key) != value:
            return False
        self._drop(key)
        if new:
            self._put(key, new, for_s)
        return True

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._size = 0

    def _get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, ends_s = entry
        if ends_s <= self._now_s():
            self._drop(key)
            return None
        return value

    def _put(self, key: str, value: bytes, for_s: float) -> None:
        self._entries[key] = (value, self._now_s() + for_s)
        self._size += _size(key, value)
        while self._size > self._size_max and len(self._entries) > 1:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        value, _ = self._entries.pop(key)
        self._size -= _size(key, value)

    def __repr__(self) -> str:
        return f"<MemoryClaims {len(self._entries)} of {self._size} bytes>"


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + _OVERHEAD_BYTES
