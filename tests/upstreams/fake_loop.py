"""The clock and the timers of an event loop, moved by hand."""

import itertools
from collections.abc import Callable
from typing import Any


class Timer:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeLoop:
    """names: what `getaddrinfo` finds, or the OSError that it raises."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.names: dict[str, list[str] | OSError] = {}
        self._timers: list[tuple[float, int, Timer, Callable[..., object], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> Timer:
        timer = Timer()
        self._timers.append((self.now_s + delay_s, next(self._numbers), timer, callback, args))
        return timer

    @property
    def pending(self) -> int:
        return sum(not timer[2].is_cancelled for timer in self._timers)

    def advance(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while due := sorted(timer for timer in self._timers if timer[0] <= end_s + 1e-9):
            self._timers.remove(due[0])
            at_s, _, timer, callback, args = due[0]
            self.now_s = max(self.now_s, at_s)
            if not timer.is_cancelled:
                callback(*args)
        self.now_s = end_s

    async def getaddrinfo(self, host: str, port: int, **more: Any) -> list[tuple[Any, ...]]:
        found = self.names[host]
        if isinstance(found, OSError):
            raise found
        return [(2, 1, 6, "", (address, port)) for address in found for _ in range(2)]
