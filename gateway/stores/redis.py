"""Token buckets in Redis, shared by all workers and gateways.

Checks that arrive in the same turn of the event loop go as one script call (on a cluster, one for each slot), so that
the cost of a call is shared. A check is answered within its deadline, by a decision or by `StoreDown`; after a failure
every check is answered `StoreDown` at once for a second, then one probe may go. Nothing is sent twice.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from importlib.resources import files

from redis.crc import key_slot
from redis.exceptions import NoScriptError

from gateway.core.rate_limit import Decision, Window, WindowState
from gateway.plugin_api import StoreDown
from gateway.stores.redis_client import Client, open_client

DEADLINE_S = 0.1
DOWN_FOR_S = 1.0
CALLS_AT_ONCE = 4

_SCRIPT = files("gateway.stores").joinpath("scripts/take.lua").read_text()
_SCRIPT_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()

_log = logging.getLogger("gateway.stores")


def open_store(url: str, now_ms: Callable[[], int] | None = None) -> "RedisLimits":
    """The store behind a URL (`core/store_url.py`). Connects at the first check.

    now_ms: milliseconds since the epoch, instead of the server's own clock. Raises ValueError, which never shows the
    URL, for it may hold a password.
    """
    opened = open_client(url)
    return RedisLimits(opened.client, is_cluster=opened.is_cluster, now_ms=now_ms)


class _Check:
    """One check on its way."""

    __slots__ = ("cost", "future", "key", "windows")

    def __init__(self, key: str, windows: tuple[Window, ...], cost: int, future: asyncio.Future[Decision]) -> None:
        self.key = key
        self.windows = windows
        self.cost = cost
        self.future = future


class _Turn:
    """The checks that go together, and their deadline."""

    __slots__ = ("checks", "deadline", "is_late")

    def __init__(self) -> None:
        self.checks: list[_Check] = []
        self.deadline: asyncio.TimerHandle | None = None
        self.is_late = False

    def end(self, reason: str) -> None:
        """Answer StoreDown to every check that has no answer yet."""
        if self.deadline is not None:
            self.deadline.cancel()
        for check in self.checks:
            if not check.future.done():
                check.future.set_exception(StoreDown(reason))


class RedisLimits:
    """A `RateLimitStore` whose answers come later."""

    def __init__(self, client: Client, *, is_cluster: bool = False, now_ms: Callable[[], int] | None = None) -> None:
        self._client = client
        self._is_cluster = is_cluster
        self._now_ms = now_ms
        self._waiting: _Turn | None = None
        self._calls: dict[asyncio.Task[None], _Turn] = {}
        self._is_down = False
        self._is_probing = False
        self._retry_at_s = 0.0

    def take(self, key: str, windows: tuple[Window, ...], cost: int = 1) -> Awaitable[Decision]:
        """Take `cost` tokens from every window of the key, or from none. Other windows are other buckets.

        Raises StoreDown at once while the store is known to be down, else within DEADLINE_S when awaited.
        """
        loop = asyncio.get_running_loop()
        if self._is_down:
            if self._is_probing or loop.time() < self._retry_at_s:
                raise StoreDown("the store did not answer lately")
            self._is_probing = True
        turn = self._waiting
        if turn is None:
            turn = self._waiting = _Turn()
            turn.deadline = loop.call_later(DEADLINE_S, self._expire, turn)
            loop.call_soon(self._flush)
        future: asyncio.Future[Decision] = loop.create_future()
        turn.checks.append(_Check(f"limit:{key}:{_signature(windows)}", windows, cost, future))
        return future

    async def close(self) -> None:
        """End what is under way, and all connections."""
        if self._waiting is not None:
            self._waiting.end("the store is closed")
            self._waiting = None
        calls = dict(self._calls)
        for call, turn in calls.items():
            call.cancel()
            turn.end("the store is closed")  # a call that has not begun would not do it
        await asyncio.gather(*calls, return_exceptions=True)
        await self._client.aclose()

    def __repr__(self) -> str:
        state = "down" if self._is_down else "up"
        return f"<RedisLimits {state}, {len(self._calls)} calls under way>"

    def _flush(self) -> None:
        # Past this many calls the next checks gather until one ends, and so make larger ones.
        if self._waiting is None or len(self._calls) >= CALLS_AT_ONCE:
            return
        turn, self._waiting = self._waiting, None
        call = asyncio.get_running_loop().create_task(self._send(turn))
        self._calls[call] = turn
        call.add_done_callback(self._call_ended)

    def _call_ended(self, call: asyncio.Task[None]) -> None:
        del self._calls[call]
        self._flush()

    async def _send(self, turn: _Turn) -> None:
        try:
            if self._is_cluster:
                await asyncio.gather(*map(self._call, _group_by_slot(turn.checks)))
            else:
                await self._call(turn.checks)
            if not turn.is_late:
                self._came_up()
        except Exception as error:  # whatever the client raises, every check has to be answered
            self._went_down(f"{type(error).__name__}: {error}")
        finally:
            turn.end("the store failed")

    async def _call(self, checks: list[_Check]) -> None:
        arguments: list[str | int] = [check.key for check in checks]
        arguments.append("" if self._now_ms is None else self._now_ms())
        for check in checks:
            arguments += (check.cost, len(check.windows))
            for window in check.windows:
                arguments += (window.limit, window.period_ms)
        try:
            reply = await self._client.evalsha(_SCRIPT_SHA, len(checks), *arguments)
        except NoScriptError:
            reply = await self._client.eval(_SCRIPT, len(checks), *arguments)
        numbers = iter(reply)
        for check in checks:
            decision = _read_decision(numbers, check.windows)
            if not check.future.done():
                check.future.set_result(decision)

    def _expire(self, turn: _Turn) -> None:
        turn.is_late = True
        if turn is self._waiting:
            self._waiting = None
        reason = f"no answer within {DEADLINE_S * 1000:.0f} ms"
        turn.end(reason)
        self._went_down(reason)

    def _went_down(self, reason: str) -> None:
        if not self._is_down:
            _log.warning("the limit store is down: %s", reason)
        self._is_down = True
        self._is_probing = False
        self._retry_at_s = asyncio.get_running_loop().time() + DOWN_FOR_S

    def _came_up(self) -> None:
        if self._is_down:
            _log.warning("the limit store is up again")
        self._is_down = self._is_probing = False


def _group_by_slot(checks: list[_Check]) -> Iterable[list[_Check]]:
    by_slot: dict[int, list[_Check]] = {}
    for check in checks:
        by_slot.setdefault(key_slot(check.key.encode()), []).append(check)
    return by_slot.values()


def _read_decision(numbers: Iterable[int], windows: tuple[Window, ...]) -> Decision:
    take = iter(numbers).__next__
    is_allowed = take() == 1
    return Decision(
        is_allowed,
        tuple(WindowState(window.limit, window.period_ms, take(), take(), take()) for window in windows),
    )


@lru_cache(1024)
def _signature(windows: tuple[Window, ...]) -> str:
    return ",".join(f"{window.limit}/{window.period_ms}" for window in windows)
