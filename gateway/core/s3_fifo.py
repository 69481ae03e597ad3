"""A map bounded by bytes that keeps what is asked for again: S3-FIFO (Yang et al., SOSP 2023).

Three first-in-first-out queues. What is new enters a small one, a tenth of the bytes; what was asked for again by the
time it reaches the end moves to the main queue, the rest leaves and only its key is remembered, in the ghost queue.
What comes back while its ghost is there goes straight to the main queue. There, what was asked for goes round once
more. So a scan of many keys, each asked for once, drives nothing out that is in use, and a look-up moves nothing: it is
one dict access and a small number.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_FREQUENCY_MAX: Final = 3
_SMALL_SHARE: Final = 10


class _Entry(Generic[V]):
    __slots__ = ("frequency", "is_main", "size", "value")

    def __init__(self, value: V, size: int, *, is_main: bool) -> None:
        self.value = value
        self.size = size
        self.frequency = 0
        self.is_main = is_main


class S3Fifo(Generic[K, V]):
    """size_max: bytes of all entries together, as `put` is told. on_evict: told of each entry that had to go for want
    of room, not of those removed or replaced.
    """

    def __init__(self, size_max: int, on_evict: Callable[[K, V], None] | None = None) -> None:
        self._size_max = size_max
        self._small_max = size_max // _SMALL_SHARE
        self._on_evict = on_evict
        self._entries: dict[K, _Entry[V]] = {}
        self._small: OrderedDict[K, None] = OrderedDict()
        self._main: OrderedDict[K, None] = OrderedDict()
        self._ghosts: OrderedDict[K, None] = OrderedDict()
        self._small_size = 0
        self.size = 0

    def get(self, key: K) -> V | None:
        """The value, which counts as asked for."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.frequency < _FREQUENCY_MAX:
            entry.frequency += 1
        return entry.value

    def peek(self, key: K) -> V | None:
        """The value, without counting."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def put(self, key: K, value: V, size: int) -> bool:
        """Keep it, in place of what the key had; others go where there is no room. False: too large to be kept."""
        known = self._entries.get(key)
        if size > self._size_max // 2:
            self.remove(key)
            return False
        if known is not None:
            # It stays where it is: to write is not to ask for.
            self.size += size - known.size
            if not known.is_main:
                self._small_size += size - known.size
            known.value = value
            known.size = size
        else:
            is_main = key in self._ghosts
            if is_main:
                del self._ghosts[key]
                self._main[key] = None
            else:
                self._small[key] = None
                self._small_size += size
            self._entries[key] = _Entry(value, size, is_main=is_main)
            self.size += size
        while self.size > self._size_max:
            self._evict()
        return key in self._entries

    def remove(self, key: K) -> V | None:
        """Forget a key; what it had."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        if entry.is_main:
            del self._main[key]
        else:
            del self._small[key]
            self._small_size -= entry.size
        self.size -= entry.size
        return entry.value

    def clear(self) -> None:
        """Forget everything, ghosts too."""
        for queue in (self._small, self._main, self._ghosts):
            queue.clear()
        self._entries.clear()
        self.size = self._small_size = 0

    def _evict(self) -> None:
        """Take one step: something moves on, or leaves."""
        if self._small and (self._small_size > self._small_max or not self._main):
            self._evict_small()
        else:
            self._evict_main()

    def _evict_small(self) -> None:
        key, _ = self._small.popitem(last=False)
        entry = self._entries[key]
        self._small_size -= entry.size
        if entry.frequency > 0:
            entry.frequency = 0
            entry.is_main = True
            self._main[key] = None
            return
        self._ghosts[key] = None
        # As many ghosts as there are entries in the main queue, as the paper has it, and some at the start.
        while len(self._ghosts) > max(len(self._main), 64):
            self._ghosts.popitem(last=False)
        self._drop(key, entry)

    def _evict_main(self) -> None:
        key, _ = self._main.popitem(last=False)
        entry = self._entries[key]
        if entry.frequency > 0:
            entry.frequency -= 1
            self._main[key] = None
            return
        self._drop(key, entry)

    def _drop(self, key: K, entry: _Entry[V]) -> None:
        del self._entries[key]
        self.size -= entry.size
        if self._on_evict is not None:
            self._on_evict(key, entry.value)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __repr__(self) -> str:
        return f"<S3Fifo {len(self._entries)} entries, {self.size} of {self._size_max} bytes>"
