"""The circuit breaker of an upstream in this worker, its changes of state logged with the reason and counted."""

import logging
from typing import Final

from gateway.core.circuit_breaker import ILL_CAUSES, BreakerSettings, CircuitBreaker, State
from gateway.observe.metrics import WorkerMetrics

_log = logging.getLogger("gateway")

UNKNOWN: Final = ""
"""The cause of an attempt of which nobody knows how it would have ended."""


class UpstreamBreaker:
    """See `core/circuit_breaker.py`. name: the upstream's."""

    __slots__ = ("_changes", "_core", "_name", "_open_workers")

    def __init__(self, name: str, settings: BreakerSettings, metrics: WorkerMetrics) -> None:
        self._name = name
        self._core = CircuitBreaker(settings)
        self._open_workers = metrics.gauge(
            "gateway_upstream_breaker_open_workers",
            "Workers whose breaker of the upstream is not closed.",
            upstream=name,
        )
        # One with other settings may have been open.
        self._open_workers.set(0.0)
        self._changes = {
            state: metrics.counter(
                "gateway_upstream_breaker_changes",
                "Changes of state of circuit breakers.",
                upstream=name,
                state=state.value,
            )
            for state in State
        }

    @property
    def state(self) -> State:
        """As it is; an open one that has rested is half open with the next request only."""
        return self._core.state

    def may_admit(self, now_s: float) -> bool:
        """Whether `admit` would give a ticket."""
        return self._core.may_admit(now_s)

    def admit(self, now_s: float) -> int:
        """A ticket, or `circuit_breaker.REFUSED`."""
        before = self._core.state
        ticket = self._core.admit(now_s)
        if self._core.state is not before:
            self._tell(before)
        return ticket

    def settle(self, ticket: int, cause: str, now_s: float) -> None:
        """An attempt has ended: cause is "ok", what failed, or UNKNOWN."""
        core = self._core
        if not cause or cause == "busy":
            # Nothing was asked where no connection was free.
            core.forget(ticket)
            return
        before = core.state
        core.settle(ticket, now_s, is_ill=cause in ILL_CAUSES, cause=cause)
        if core.state is not before:
            self._tell(before)

    def retry_after_s(self, now_s: float) -> float:
        """When it is worth asking again."""
        return self._core.retry_after_s(now_s)

    def _tell(self, before: State) -> None:
        state = self._core.state
        self._changes[state].inc()
        self._open_workers.set(0.0 if state is State.CLOSED else 1.0)
        level = logging.INFO if state is State.CLOSED else logging.WARNING
        _log.log(
            level,
            "the circuit breaker of upstream %s is %s, after %s: %s",
            self._name,
            state.value,
            before.value,
            self._core.reason,
        )

    def __repr__(self) -> str:
        return f"<UpstreamBreaker {self._name} {self._core!r}>"
