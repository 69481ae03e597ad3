"""Hedging ("The Tail at Scale", Dean and Barroso 2013): a request that its endpoint does not answer for long is sent to
another one as well; the first good head wins, and the other attempt is cancelled, which closes its connection.

Only for safe methods with a body that is here, for such a request its upstream may see twice. Hedges are bounded to a
share of the route's requests, and by the upstream's budget of retries, so that both together stay within that.
"""

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic

from gateway.core.errors import GatewayError
from gateway.core.retry import SAFE_METHODS, RetryBudget, fits
from gateway.core.running_quantile import RunningQuantile
from gateway.plugin_api import Exchange, Reply
from gateway.proxy.attempt_notes import notes_of
from gateway.proxy.upstream_error import UpstreamError
from gateway.upstreams.breaker import UNKNOWN
from gateway.upstreams.guard import Guard, Ticket
from gateway.upstreams.registry import Endpoint, Upstream


class Hedge:
    """One route's. after_s: when the second attempt starts; None: the p95 of what the route took lately. ratio: the
    largest share of hedged requests. count: called with "won" or "lost" for each hedge.
    """

    __slots__ = ("_after_s", "_quantile", "budget", "count", "ratio")

    def __init__(self, after_s: float | None, ratio: float, count: Callable[[str], None]) -> None:
        self._after_s = after_s
        self._quantile = RunningQuantile(0.95)
        self.ratio = ratio
        self.budget = RetryBudget()
        self.count = count

    def delay_s(self) -> float | None:
        """How long the first attempt may take, or None while that is not known."""
        return self._after_s if self._after_s is not None else self._quantile.value

    def saw(self, latency_s: float) -> None:
        """So long a reply's head took, from the start of the first attempt."""
        if self._after_s is None:
            self._quantile.add(latency_s)


class Runner:
    """One attempt in a race."""

    __slots__ = ("endpoint", "task", "ticket")

    def __init__(self, endpoint: Endpoint, ticket: Ticket | None, task: "asyncio.Task[Reply]") -> None:
        self.endpoint = endpoint
        self.ticket = ticket
        self.task = task

    @property
    def is_good(self) -> bool:
        """Whether it has a reply that the client may get."""
        task = self.task
        return task.done() and not task.cancelled() and task.exception() is None and task.result().status < 500

    @property
    def outcome(self) -> Reply | GatewayError:
        """Of one that has ended. Raises what is no GatewayError."""
        error = self.task.exception()
        if error is None:
            return self.task.result()
        if isinstance(error, GatewayError):
            return error
        raise error


async def race(first: Runner, delay_s: float, second: Callable[[], Runner | None]) -> tuple[Runner, Runner | None]:
    """The winner, which has ended, and the loser, which may have: then it has failed.

    second: starts the other attempt once the first has taken delay_s, or does not. A loser without an outcome is
    cancelled; where this call is cancelled, both are.
    """
    runners = [first]
    winner: Runner | None = None
    try:
        await asyncio.wait([first.task], timeout=delay_s)
        if not first.task.done():
            hedge = second()
            if hedge is not None:
                runners.append(hedge)
        while winner is None:
            waiting = [runner.task for runner in runners if not runner.task.done()]
            if waiting:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            good = [runner for runner in runners if runner.is_good]
            if good:
                winner = good[0]
            elif all(runner.task.done() for runner in runners):
                # Nothing is good: what the first said counts, for the client asked for no hedge.
                winner = first
        loser = next((runner for runner in runners if runner is not winner), None)
        return winner, loser
    finally:
        for runner in runners:
            if runner is not winner:
                runner.task.cancel()
                runner.task.add_done_callback(_let_go)


def _let_go(task: "asyncio.Task[Reply]") -> None:
    """Nobody waits for the reply any more."""
    if not task.cancelled() and task.exception() is None:
        body = task.result().body
        if not isinstance(body, bytes):
            body.close()


def may_hedge(exchange: Exchange, upstream: Upstream) -> bool:
    """Whether a request may be at two endpoints at once, and there are two."""
    return (
        exchange.method in SAFE_METHODS
        and len(upstream.endpoints) > 1
        and isinstance(exchange.body, bytes)
        and b"upgrade" not in exchange.headers
    )


class HedgedAttempt:
    """The first attempt of one exchange, and the second one beside it, should the first take too long."""

    __slots__ = ("_count_attempt", "_exchange", "_guard", "_hedge", "_second", "_upstream")

    def __init__(
        self,
        exchange: Exchange,
        upstream: Upstream,
        guard: Guard | None,
        hedge: Hedge,
        count_attempt: Callable[[str], None],
    ) -> None:
        self._exchange = exchange
        self._upstream = upstream
        self._guard = guard
        self._hedge = hedge
        self._count_attempt = count_attempt
        self._second: Runner | None = None

    async def run(
        self,
        endpoint: Endpoint,
        attempt: Callable[[Endpoint], Coroutine[None, None, Reply]],
        loop: asyncio.AbstractEventLoop,
    ) -> Reply | GatewayError:
        """The outcome that counts, with its endpoint and its ticket left on the exchange; the other one is settled."""
        exchange, hedge = self._exchange, self._hedge
        hedge.budget.count_request(hedge.ratio)
        delay_s = hedge.delay_s()
        if delay_s is None:
            reply = await attempt(endpoint)
            hedge.saw(monotonic() - exchange.upstream_started_s)
            return reply

        notes = notes_of(exchange)
        first = Runner(endpoint, notes.ticket, loop.create_task(attempt(endpoint)))
        try:
            winner, loser = await race(first, delay_s, lambda: self._start_second(endpoint, attempt, loop))
        except asyncio.CancelledError:
            if self._second is not None:
                self._settle(self._second)
            raise
        notes.ticket = winner.ticket
        exchange.endpoint = winner.endpoint.name
        if loser is not None:
            hedge.count("lost" if winner is first else "won")
            self._settle(loser)
        if winner.is_good:
            hedge.saw(monotonic() - exchange.upstream_started_s)
        return winner.outcome

    def _start_second(
        self,
        first: Endpoint,
        attempt: Callable[[Endpoint], Coroutine[None, None, Reply]],
        loop: asyncio.AbstractEventLoop,
    ) -> Runner | None:
        """Start it, if there is another endpoint, time, room and budget for it."""
        hedge, guard, now_s = self._hedge, self._guard, monotonic()
        other = self._upstream.choose([first], self._exchange)
        if other is first or hedge.budget.tokens < 1.0 or not fits(0.0, now_s, self._exchange.deadline_s):
            return None
        ticket = None
        if guard is not None:
            ticket = guard.enter_now(now_s)
            if ticket is None:
                return None
        if not self._upstream.retry_budget.take_retry():
            if guard is not None and ticket is not None:
                guard.leave(ticket, UNKNOWN, now_s)
            return None
        hedge.budget.take_retry()
        self._exchange.attempts += 1
        self._second = Runner(other, ticket, loop.create_task(attempt(other)))
        return self._second

    def _settle(self, loser: Runner) -> None:
        cause = UNKNOWN
        if loser.task.done() and not loser.task.cancelled() and not loser.is_good:
            outcome = loser.outcome
            if isinstance(outcome, Reply):
                cause = str(outcome.status)
            elif isinstance(outcome, UpstreamError):
                cause = outcome.cause
        if cause:
            self._count_attempt(cause)
        if self._guard is not None and loser.ticket is not None:
            self._guard.leave(loser.ticket, cause, monotonic())
