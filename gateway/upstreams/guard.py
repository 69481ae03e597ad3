"""What stands before each attempt on an upstream: its circuit breaker and its admission, either of which may be off.

An attempt holds a ticket from before it is sent until its reply's head is here or it has failed. What an attempt tells:

| it ended | the breaker counts | the limit learns |
| --- | --- | --- |
| with a reply below 500 | a success | how long it took |
| connect, reset, tls, bad_reply, 502 | a failure | nothing |
| timeout, 503, 504 | a failure | that it was too much |
| busy (no free connection) | nothing | that it was too much |
| 500 and other statuses | a success | nothing |
| without a verdict: its client left, or sent its body slowly; a stale connection; a lost hedge | nothing | nothing |
| in any way, and is repeated | nothing: what becomes of the repeat counts | as above |

So the breaker judges what clients get of the upstream: one dead endpoint of two, from which every request goes on to
the other, must not shut both.
"""

import asyncio
from math import ceil
from typing import Final

from gateway.core import errors
from gateway.core.circuit_breaker import REFUSED, BreakerSettings, State
from gateway.core.errors import GatewayError
from gateway.observe.metrics import WorkerMetrics
from gateway.upstreams.admission import Admission, AdmissionSettings, Overloaded
from gateway.upstreams.breaker import UNKNOWN, UpstreamBreaker

_TOO_MUCH: Final = frozenset({"timeout", "busy", "503", "504"})


class Ticket:
    """Of one attempt. generation: of the breaker that admitted it."""

    __slots__ = ("generation", "started_s")

    def __init__(self, generation: int, started_s: float) -> None:
        self.generation = generation
        self.started_s = started_s


class Guard:
    """One upstream's, in this worker. now_s: the event loop's clock. Each Ticket is given back by `leave`, once."""

    __slots__ = ("admission", "breaker", "settings")

    def __init__(
        self,
        name: str,
        settings: tuple[BreakerSettings | None, AdmissionSettings | None],
        loop: asyncio.AbstractEventLoop,
        metrics: WorkerMetrics,
        former: "Guard | None" = None,
    ) -> None:
        """former: whose breaker or limit goes on here, where its settings are the same."""
        self.settings = settings
        self.breaker: UpstreamBreaker | None
        self.admission: Admission | None
        breaker, admission = settings
        if former is not None and former.settings[0] == breaker:
            self.breaker = former.breaker
        else:
            self.breaker = UpstreamBreaker(name, breaker, metrics) if breaker is not None else None
        if former is not None and former.settings[1] == admission:
            self.admission = former.admission
        else:
            self.admission = Admission(name, admission, loop, metrics) if admission is not None else None

    @property
    def may_repeat(self) -> bool:
        """Whether there is room for another attempt in the place of one that has failed and still has its ticket. A
        failed trial is never repeated: it has told what it was to tell.
        """
        if self.breaker is not None and self.breaker.state is not State.CLOSED:
            return False
        return self.admission is None or self.admission.may_replace

    def enter_now(self, now_s: float) -> Ticket | None:
        """A ticket, or None where there is none without waiting, or none at all."""
        if self.admission is not None and not self.admission.enter_now():
            return None
        generation = self._admit(now_s)
        return Ticket(generation, now_s) if generation != REFUSED else None

    async def enter(self, flow: str, priority: int, wait_s: float, clock: asyncio.AbstractEventLoop) -> Ticket:
        """A ticket as soon as there is one, within wait_s. Raises GatewayError.

        flow: who takes turns with the others. priority: an index of `admission.PRIORITIES`.
        """
        if self.admission is not None:
            try:
                await self.admission.enter(flow, priority, wait_s)
            except Overloaded:
                raise _overloaded() from None
        now_s = clock.time()
        generation = self._admit(now_s)
        if generation == REFUSED:
            raise self._circuit_open(now_s)
        return Ticket(generation, now_s)

    def leave(
        self, ticket: Ticket, cause: str, now_s: float, *, is_final: bool = True, is_measured: bool = True
    ) -> None:
        """An attempt has ended. cause: "ok", a cause of `core/retry.py`, or `breaker.UNKNOWN`. is_final: it is not
        repeated. is_measured: how long it took is the upstream's doing, and not that of a client who sends its body as
        slowly as it likes.
        """
        if self.breaker is not None:
            self.breaker.settle(ticket.generation, cause if is_final else UNKNOWN, now_s)
        if self.admission is not None:
            latency_s = now_s - ticket.started_s if cause == "ok" and is_measured else None
            self.admission.leave(latency_s, now_s, is_dropped=cause in _TOO_MUCH)

    def refusal(self, now_s: float) -> GatewayError:
        """Why `enter_now` gave no ticket."""
        if self.breaker is not None and not self.breaker.may_admit(now_s):
            return self._circuit_open(now_s)
        return _overloaded()

    def _circuit_open(self, now_s: float) -> GatewayError:
        wait_s = self.breaker.retry_after_s(now_s) if self.breaker is not None else 0.0
        detail = "The upstream failed too often and is given a rest"
        headers = [(b"retry-after", b"%d" % max(1, ceil(wait_s)))]
        return GatewayError(errors.UPSTREAM_CIRCUIT_OPEN, detail, headers=headers)

    def _admit(self, now_s: float) -> int:
        """Ask the breaker; where it refuses, the place that was taken is free again."""
        if self.breaker is None:
            return 0
        generation = self.breaker.admit(now_s)
        if generation == REFUSED and self.admission is not None:
            self.admission.leave(None, now_s)
        return generation

    def __repr__(self) -> str:
        return f"<Guard {self.breaker!r} {self.admission!r}>"


def _overloaded() -> GatewayError:
    return GatewayError(errors.UPSTREAM_OVERLOADED, headers=[(b"retry-after", b"1")])
