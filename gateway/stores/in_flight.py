"""Requests under way, counted in this worker (decisions/0014)."""

from collections.abc import Callable


class WorkerInFlight:
    """An `InFlight` that gives this worker its share of each cap: the cap by the live workers, and one at least.

    live_workers: of all gateways, as far as they share a store. No caller is then ever over its cap, unless there are
    more workers than its cap is high; and nothing has to be asked, released or cleaned up anywhere else.
    """

    def __init__(self, live_workers: Callable[[], int]) -> None:
        self._live_workers = live_workers
        self._counts: dict[str, int] = {}

    def enter(self, key: str, concurrent: int) -> bool:
        """Count one more, if this worker's share allows it."""
        count = self._counts.get(key, 0)
        if count and count >= concurrent // self._live_workers():
            return False
        self._counts[key] = count + 1
        return True

    def leave(self, key: str) -> None:
        """One has ended. A key is forgotten with its last."""
        count = self._counts[key] - 1
        if count:
            self._counts[key] = count
        else:
            del self._counts[key]

    def __repr__(self) -> str:
        return f"<WorkerInFlight {sum(self._counts.values())} of {len(self._counts)} keys>"
