"""How many requests an upstream gets from this worker at once, and who waits meanwhile.

The limit follows the upstream's latency (`core/adaptive_limit.py`). Who finds it used up waits in a bounded queue, fair
by tenant and in the order of priority (`core/fair_queue.py`); who waits too long, or has to make room, is refused.
"""

import asyncio
import logging
from typing import Final, NamedTuple

from gateway.core.adaptive_limit import AdaptiveLimit, LimitSettings
from gateway.core.fair_queue import FairQueue
from gateway.observe.metrics import WorkerMetrics

_log = logging.getLogger("gateway")

PRIORITIES: Final = ("critical", "high", "normal", "low")
NORMAL: Final = 2
# Shedding has ended when so long nobody was refused.
_CALM_S: Final = 5.0


class AdmissionSettings(NamedTuple):
    """queue: how many may wait, 0 for none. wait_s: how long."""

    limit: LimitSettings
    queue: int
    wait_s: float


class Overloaded(Exception):  # noqa: N818 - a state of the upstream, named as operators know it
    """There is no place, and none will come in time."""


class _Waiting:
    __slots__ = ("flow", "future", "priority", "timer")

    def __init__(self, future: "asyncio.Future[None]", flow: str, priority: int) -> None:
        self.future = future
        self.flow = flow
        self.priority = priority
        self.timer: asyncio.TimerHandle | None = None


class Admission:
    """One upstream's. Each place that was given is given back by `leave`. priority: an index of PRIORITIES."""

    __slots__ = (
        "_is_shedding",
        "_limit",
        "_limit_gauge",
        "_loop",
        "_name",
        "_queue",
        "_queued",
        "_settings",
        "_shed",
        "_shed_count",
        "_shed_s",
        "in_flight",
    )

    def __init__(
        self, name: str, settings: AdmissionSettings, loop: asyncio.AbstractEventLoop, metrics: WorkerMetrics
    ) -> None:
        self._name = name
        self._settings = settings
        self._loop = loop
        self._limit = AdaptiveLimit(settings.limit)
        self._queue: FairQueue[_Waiting] = FairQueue(settings.queue, len(PRIORITIES))
        self.in_flight = 0
        self._is_shedding = False
        self._shed_count = 0
        self._shed_s = 0.0
        self._limit_gauge = metrics.gauge(
            "gateway_upstream_concurrency_limit",
            "Requests that an upstream gets at once, over the workers.",
            upstream=name,
        )
        self._queued = metrics.gauge("gateway_upstream_queued", "Requests that wait for an upstream.", upstream=name)
        self._shed = [
            metrics.counter(
                "gateway_upstream_shed",
                "Requests refused because the upstream has too much to do.",
                upstream=name,
                priority=priority,
            )
            for priority in PRIORITIES
        ]
        self._limit_gauge.set(self._limit.limit)

    @property
    def has_room(self) -> bool:
        """Whether a place is free, and nobody waits for it."""
        return self.in_flight < self._limit.limit and not self._queue.size

    @property
    def may_replace(self) -> bool:
        """Whether who has a place may have another in exchange: nobody waits for it, and the limit has not shrunk."""
        return self.in_flight <= self._limit.limit and not self._queue.size

    def enter_now(self) -> bool:
        """Take a place if one is free."""
        if not self.has_room:
            return False
        self.in_flight += 1
        return True

    async def enter(self, flow: str, priority: int, wait_s: float) -> None:
        """Take a place, or wait for one, no longer than wait_s. Raises Overloaded."""
        if self.enter_now():
            return
        waiting = _Waiting(self._loop.create_future(), flow, priority)
        loser = self._queue.push(waiting, flow, priority)
        self._queued.set(self._queue.size)
        if loser is waiting:
            raise self._refusal(priority)
        if loser is not None:
            self._turn_away(loser)
        waiting.timer = self._loop.call_later(min(wait_s, self._settings.wait_s), self._on_late, waiting)
        try:
            await waiting.future
        except asyncio.CancelledError:
            if waiting.future.cancelled():
                self._queue.remove(waiting, flow, priority)
                self._queued.set(self._queue.size)
            elif waiting.future.exception() is None:
                # The place came in the same turn as the end of who waited.
                self.leave(None, self._loop.time())
            raise
        finally:
            waiting.timer.cancel()

    def leave(self, latency_s: float | None, now_s: float, *, is_dropped: bool = False) -> None:
        """Give a place back. latency_s: how long the upstream took, None where that says nothing of it. is_dropped: it
        said, or showed, that it has too much to do.
        """
        if latency_s is not None or is_dropped:
            before = self._limit.limit
            self._limit.record(latency_s or 0.0, self.in_flight, now_s, is_dropped=is_dropped)
            if self._limit.limit != before:
                self._limit_gauge.set(self._limit.limit)
        self.in_flight -= 1
        while self._queue.size and self.in_flight < self._limit.limit:
            waiting = self._queue.pop(now_s)
            assert waiting is not None
            if not waiting.future.done():
                waiting.future.set_result(None)
                self.in_flight += 1
            self._queued.set(self._queue.size)

    def _on_late(self, waiting: _Waiting) -> None:
        if self._queue.remove(waiting, waiting.flow, waiting.priority):
            self._queued.set(self._queue.size)
            self._turn_away(waiting)

    def _turn_away(self, waiting: _Waiting) -> None:
        if not waiting.future.done():
            waiting.future.set_exception(self._refusal(waiting.priority))

    def _refusal(self, priority: int) -> Overloaded:
        self._shed[priority].inc()
        self._shed_count += 1
        self._shed_s = self._loop.time()
        if not self._is_shedding:
            self._is_shedding = True
            self._shed_count = 1
            _log.warning(
                "upstream %s has too much to do: requests are refused; %d under way, the limit is %d, %d wait",
                self._name,
                self.in_flight,
                self._limit.limit,
                self._queue.size,
            )
            self._loop.call_later(_CALM_S, self._look_again)
        return Overloaded()

    def _look_again(self) -> None:
        calm_s = self._loop.time() - self._shed_s
        # The loop may run a timer early by its clock's resolution.
        if calm_s < _CALM_S - 0.01:
            self._loop.call_later(_CALM_S - calm_s, self._look_again)
            return
        self._is_shedding = False
        _log.info(
            "upstream %s keeps up again: no request was refused for %g s, %d were before; the limit is %d",
            self._name,
            _CALM_S,
            self._shed_count,
            self._limit.limit,
        )

    def __repr__(self) -> str:
        return f"<Admission {self._name} in_flight={self.in_flight} {self._limit!r} {self._queue!r}>"
