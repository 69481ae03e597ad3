"""How slowly the other side of a connection may send or read, decided by what moved while it was waited for."""

from typing import NamedTuple


class Throughput(NamedTuple):
    """`size` bytes in each `window_s` seconds."""

    size: int
    window_s: float


class LeastThroughput:
    """Judges one transfer against a least throughput, window by window, so that a fast start is no credit for later.

    Only the time counts in which the other side was waited for: ask `is_missed` after each wait, and call `resume`
    before a wait that follows anything else. now_s: on any steady clock. moved: bytes since the transfer began.
    """

    __slots__ = ("_least", "_moved_before", "_seen_s", "_waited_s")

    def __init__(self, least: Throughput, now_s: float, moved: int = 0) -> None:
        self._least = least
        self._seen_s = now_s
        self._waited_s = 0.0
        self._moved_before = moved

    def resume(self, now_s: float) -> None:
        """From here on the other side is waited for again."""
        self._seen_s = now_s

    def is_missed(self, now_s: float, moved: int) -> bool:
        """Whether too little has moved in the window that ends now, if one does."""
        self._waited_s += now_s - self._seen_s
        self._seen_s = now_s
        if self._waited_s < self._least.window_s:
            return False
        is_missed = moved - self._moved_before < self._least.size
        self._waited_s = 0.0
        self._moved_before = moved
        return is_missed

    def __repr__(self) -> str:
        return f"<LeastThroughput {self._least.size} bytes/{self._least.window_s:g} s waited={self._waited_s:.3f}>"
