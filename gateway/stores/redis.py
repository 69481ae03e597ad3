"""Token buckets in Redis, shared by all workers and gateways (decisions/0014).

Checks that arrive in the same turn of the event loop go as one script call (on a cluster, one for each slot), so that
the cost of a call is shared. A check is answered within its deadline, by a decision or by `StoreDown`. Nothing is sent
twice. `stores/local.py` is kept warm with all that the store says, and counts while the store is gone:

up: the store counts; `redis_pulse.py` counts the live workers, `redis_told.py` hears what others took.
A check whose call is late is this worker's share's, of which a small part counts, since the others may have the
store; what it lets pass goes to the store with the next check.
down, from a call that failed, or LATE_FOR_S after the first of several that were late with none in time between: this
worker's share counts; one probe a second.
returning, from the first probe that was answered in time: both count, and what was admitted alone is debited.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import Enum
from typing import Any

from redis.crc import key_slot
from redis.exceptions import NoScriptError

from gateway.core.local_share import Share
from gateway.core.rate_limit import Decision, Window, decide
from gateway.core.store_url import parse_store_url
from gateway.plugin_api import StoreDown
from gateway.stores.ending import end
from gateway.stores.local import LocalLimits, bucket_name
from gateway.stores.redis_client import Client, open_client
from gateway.stores.redis_link import Script
from gateway.stores.redis_pipe import RedisPipe

DEADLINE_S = 0.05
# A busy machine is late now and then. A worker that counts alone while the others do not lets too much pass.
LATE_FOR_S = 0.2
# How long the reply of a late call is still of interest: it says whether the tokens were taken.
LATE_S = 1.0
CALLS_AT_ONCE = 4
# A larger call would hold up the server, and so all others.
CHECKS_AT_ONCE = 250
# Of one worker to a cluster, where each slot is a call of its own and takes a connection: well below the 100 that the
# client has for a node, past which it refuses what is next, be it a check or the heartbeat.
SLOTS_AT_ONCE = 64
# After that the call shall take nothing, for its reply might not be heard: well before LATE_S is over.
_TOO_LATE_MS = 700
# What this worker knows of the server's clock holds for so long.
_CLOCK_HOLDS_MS = 10_000
# The deadline is looked for in so many steps, so that time in which this worker was busy with something else counts for
# one of them at most: a busy worker must not take itself for a slow store.
_STEPS = 5

_TAKE = Script("take")

_log = logging.getLogger("gateway.stores")


def open_store(
    url: str,
    now_ms: Callable[[], int] | None = None,
    *,
    local: LocalLimits | None = None,
    watch: "Callable[[RedisLimits], None]" = lambda limits: None,
) -> "RedisLimits":
    """The store behind a URL (`core/store_url.py`). Connects at the first check.

    now_ms: milliseconds since the epoch, instead of the server's own clock. local, watch: as of `RedisLimits`.
    Raises ValueError, which never shows the URL, for it may hold a password.
    """
    opened = open_client(url, socket_timeout_s=LATE_S)
    pipe = None if opened.find_server is None else RedisPipe(parse_store_url(url), opened.find_server, LATE_S)
    return RedisLimits(opened.client, pipe, is_cluster=pipe is None, now_ms=now_ms, local=local, watch=watch)


async def run_script(client: Client, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
    """What the script returns; the server gets it once. Raises what the client raises."""
    try:
        return await client.evalsha(script.sha, len(keys), *keys, *arguments)
    except NoScriptError:
        return await client.eval(script.text, len(keys), *keys, *arguments)


class Phase(Enum):
    """As above."""

    UP = "up"
    DOWN = "down"
    RETURNING = "returning"


class LateError(Exception):
    """The call reached the server when its reply might not have been heard any more, and took nothing."""


class Check:
    """One check on its way. owed: of the share's, while they are on their way with it."""

    __slots__ = ("cost", "future", "is_late", "name", "owed", "share", "windows")

    def __init__(self, name: str, windows: tuple[Window, ...], cost: int, share: Share) -> None:
        self.name = name
        self.windows = windows
        self.cost = cost
        self.share = share
        self.owed = 0
        self.future: asyncio.Future[Decision] | None = None
        self.is_late = False

    def text(self) -> str:
        """As take.lua reads it."""
        share = self.share
        windows = "".join(
            [f" {limit} {period_ms} {debt}" for (limit, period_ms), debt in zip(self.windows, share.debts, strict=True)]
        )
        return f"{self.owed} {self.cost} {share.at_ms}{windows}"


class _Turn:
    """The checks that go together, and their deadline."""

    __slots__ = ("checks", "deadline", "is_late", "steps")

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.deadline: asyncio.TimerHandle | None = None
        self.is_late = False
        self.steps = 0

    def end(self, reason: str) -> None:
        """Answer StoreDown to every check that has no answer yet."""
        if self.deadline is not None:
            self.deadline.cancel()
        for check in self.checks:
            if check.future is not None and not check.future.done():
                check.is_late = True
                check.future.set_exception(StoreDown(reason))


class RedisLimits:
    """A `RateLimitStore` whose answers come later. Runs on its own only between `start` and `close`.

    pipe: for the checks, which go through the client without one. local: this worker's shares. watch: called at each
    new phase, and each time the live workers were counted.
    """

    def __init__(
        self,
        client: Client,
        pipe: RedisPipe | None = None,
        *,
        is_cluster: bool = False,
        now_ms: Callable[[], int] | None = None,
        local: LocalLimits | None = None,
        watch: "Callable[[RedisLimits], None]" = lambda limits: None,
    ) -> None:
        self.client = client
        self._pipe = pipe
        self.is_cluster = is_cluster
        self.local = LocalLimits(_monotonic_ms) if local is None else local
        self.phase = Phase.UP
        self.fallen = asyncio.Event()
        """Set whenever the store goes down; for who waits to be told."""
        self.answered = asyncio.Event()
        """Set once the store has answered anything."""
        self._now_ms = now_ms
        self._watch = watch
        self._queue: deque[_Turn] = deque()
        self._calls: dict[asyncio.Task[None], _Turn] = {}
        # Of each server (by slot on a cluster, else of the only one): its clock less ours, and when we saw it.
        self._clocks: dict[int, tuple[int, int]] = {}
        self._companions: list[asyncio.Task[None]] = []
        self._late_since_s = 0.0
        self._slots = asyncio.Semaphore(SLOTS_AT_ONCE)

    def take(self, key: str, windows: tuple[Window, ...], cost: int = 1) -> "Decision | asyncio.Future[Decision]":
        """Take `cost` tokens from every window of the key, or from none; cost 0 looks only. Other windows are other
        buckets.

        Raises StoreDown at once while the store is known to be down, else within DEADLINE_S when awaited.
        """
        if self.phase is Phase.DOWN:
            raise StoreDown("the store did not answer lately")
        name = bucket_name(key, windows)
        if self.phase is Phase.RETURNING:
            decision = self.local.gate(name, windows, cost)
            if not decision.is_allowed:
                return decision
        loop = asyncio.get_running_loop()
        turn = self._queue[-1] if self._queue else None
        if turn is None or len(turn.checks) >= CHECKS_AT_ONCE:
            turn = _Turn()
            turn.deadline = loop.call_later(DEADLINE_S / _STEPS, self._expire, turn)
            self._queue.append(turn)
            loop.call_soon(self._flush)
        check = Check(name, windows, cost, self.local.share(name, windows))
        check.future = loop.create_future()
        turn.checks.append(check)
        return check.future

    async def call(self, checks: Sequence[Check]) -> None:
        """Send checks now, as one call for each slot. Raises LateError, and what the client raises."""
        if self.is_cluster:
            by_slot: dict[int, list[Check]] = {}
            for check in checks:
                by_slot.setdefault(key_slot(check.name.encode()), []).append(check)
            # All of them end, so that no answer is lost to another's failure.
            results = await asyncio.gather(
                *(self._call_slot(group, slot) for slot, group in by_slot.items()), return_exceptions=True
            )
            for result in results:
                if isinstance(result, BaseException):
                    raise result
        else:
            await self._call(checks, 0)

    def has_answered(self) -> None:
        """The store is there, or was a moment ago."""
        self.local.has_store()
        self.answered.set()

    def has_counted(self, live_workers: int) -> None:
        """So many workers of all gateways live."""
        self.has_answered()
        self.local.live_workers = live_workers
        self._watch(self)

    def go_down(self, reason: str) -> None:
        """From now on every check is answered StoreDown, until a probe is answered in time."""
        if self.phase is Phase.DOWN:
            return
        if self.phase is Phase.UP:
            self.local.begin_outage()
            share = f"1/{self.local.live_workers} of each limit" if self.local.live_workers > 1 else "each limit"
            _log.warning("the limit store is down: %s; this worker counts %s on its own", reason, share)
        else:
            # The same outage for this worker's shares: not all that was admitted alone is debited yet.
            _log.warning("the limit store is down again: %s", reason)
        self._enter(Phase.DOWN)
        self.fallen.set()

    def come_back(self) -> None:
        """A probe was answered in time: the store is asked again, but this worker's share holds as well."""
        self._enter(Phase.RETURNING)

    def be_up(self) -> None:
        """The store alone counts again."""
        _log.warning("the limit store is up again")
        self._enter(Phase.UP)

    def start(self, companions: Iterable[Callable[["RedisLimits"], Awaitable[None]]]) -> None:
        """Run these beside the checks until `close`."""
        self._companions += [asyncio.ensure_future(companion(self)) for companion in companions]

    async def close(self) -> None:
        """End what is under way, and all connections."""
        for turn in self._queue:
            turn.end("the store is closed")
        self._queue.clear()
        calls = dict(self._calls)
        for call, turn in calls.items():
            call.cancel()
            turn.end("the store is closed")  # a call that has not begun would not do it
        await end(*self._companions)
        await asyncio.gather(*calls, return_exceptions=True)
        if self._pipe is not None:
            await self._pipe.aclose()
        await self.client.aclose()

    def __repr__(self) -> str:
        return f"<RedisLimits {self.phase.value}, {len(self._calls)} calls under way>"

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._watch(self)

    def _flush(self) -> None:
        # Past this many calls the next checks gather until one ends, and so make larger ones.
        while self._queue and len(self._calls) < CALLS_AT_ONCE:
            turn = self._queue.popleft()
            call = asyncio.get_running_loop().create_task(self._send(turn))
            self._calls[call] = turn
            call.add_done_callback(self._call_ended)

    def _call_ended(self, call: asyncio.Task[None]) -> None:
        del self._calls[call]
        self._flush()

    async def _send(self, turn: _Turn) -> None:
        try:
            await self.call(turn.checks)
            if not turn.is_late:
                self._late_since_s = 0.0
        except LateError as error:
            if not turn.is_late:
                self._was_late(str(error))
        except Exception as error:  # whatever the client raises, every check has to be answered
            if not turn.is_late:
                self.go_down(f"{type(error).__name__}: {error}")
        finally:
            turn.end("the store failed")

    def _was_late(self, reason: str) -> None:
        now_s = asyncio.get_running_loop().time()
        if not self._late_since_s:
            self._late_since_s = now_s
        if now_s - self._late_since_s >= LATE_FOR_S:
            self.go_down(reason)
        elif self.phase is Phase.UP:
            self.local.begin_outage(is_brief=True)

    async def _call_slot(self, checks: Sequence[Check], slot: int) -> None:
        async with self._slots:
            await self._call(checks, slot)

    async def _call(self, checks: Sequence[Check], server: int) -> None:
        local = self.local
        sent_ms = local.now_ms()
        not_after: str | int = ""
        clock = self._clocks.get(server)
        if clock is not None and sent_ms - clock[1] < _CLOCK_HOLDS_MS:
            not_after = sent_ms + clock[0] + _TOO_LATE_MS
        now = "" if self._now_ms is None else self._now_ms()
        for check in checks:
            share = check.share
            if share.owed > 0:
                check.owed, share.owed = share.owed, 0
                share.on_way += check.owed
        arguments = (now, not_after if now == "" else "", *[check.text() for check in checks])
        is_taken = False
        try:
            names = [check.name for check in checks]
            if self._pipe is not None:
                at_ms, *answers = await self._pipe.run(_TAKE, names, arguments)
            else:
                at_ms, *answers = await run_script(self.client, _TAKE, names, arguments)
            is_taken = len(answers) > 0
        finally:
            for check in checks:
                check.share.on_way -= check.owed
                if not is_taken:
                    check.share.owed += check.owed
        came_ms = local.now_ms()
        if came_ms - sent_ms <= DEADLINE_S * 1000:
            # Half of the way there and back is the error at most; of a slow reply it would be too much.
            self._clocks[server] = (at_ms - (sent_ms + came_ms) // 2, came_ms)
        if not answers:
            raise LateError("a call reached the store too late")
        self.has_answered()
        for check, answer in zip(checks, answers, strict=True):
            taken, *texts = answer.split()
            debts = [int(text) for text in texts]
            check.share.learn(check.windows, debts, at_ms, came_ms)
            is_allowed = taken == b"1"
            future = check.future
            if future is None:
                continue
            if not future.done():
                future.set_result(decide(is_allowed, check.windows, check.cost, debts))
            elif check.is_late and is_allowed:
                check.share.owed -= check.cost

    def _expire(self, turn: _Turn) -> None:
        turn.steps += 1
        if turn.steps < _STEPS:
            turn.deadline = asyncio.get_running_loop().call_later(DEADLINE_S / _STEPS, self._expire, turn)
            return
        turn.is_late = True
        if turn in self._queue:
            self._queue.remove(turn)
        reason = f"no answer within {DEADLINE_S * 1000:.0f} ms"
        self._was_late(reason)
        turn.end(reason)


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
