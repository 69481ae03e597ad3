"""A bounded memo for pure functions of short texts that come again and again."""

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(dict[K, V], Generic[K, V]):
    """`memo[key]` is `make(key)`, computed once as long as it is remembered; what `make` raises is raised.

    A hit is one dict look-up at C speed (40 ns); `functools.lru_cache` keeps an order too and costs twice. Instead,
    when `entries_max` are reached, all is forgotten; keys over `key_max` in size are never remembered. So whoever sends
    keys that never repeat gains nothing but the cost of `make`, and memory stays bounded.

    size_of: the size of a key where that is not its length.
    """

    __slots__ = ("_entries_max", "_key_max", "_make", "_size_of")

    def __init__(
        self,
        make: Callable[[K], V],
        *,
        entries_max: int = 4096,
        key_max: int = 1024,
        size_of: Callable[[Any], int] = len,
    ) -> None:
        super().__init__()
        self._make = make
        self._entries_max = entries_max
        self._key_max = key_max
        self._size_of = size_of

    def __missing__(self, key: K) -> V:
        value = self._make(key)
        if self._size_of(key) <= self._key_max:
            if len(self) >= self._entries_max:
                self.clear()
            self[key] = value
        return value

    def __repr__(self) -> str:
        # Keys may hold secrets.
        return f"<Memo of {len(self)}>"
