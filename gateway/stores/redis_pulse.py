"""The heartbeat of a worker: counts the live workers of all gateways, and finds out when a store that was down is back.

Coming back must not pay anybody twice, nor charge anybody twice. So a worker that finds the store again debits what it
admitted alone, and for HOLD_S a check has to pass the store and the worker's share: until every other worker has done
the same, the store may still believe in tokens that they have spent. One worker that is alone need not wait.
"""

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from redis.exceptions import RedisError

from gateway.stores.redis import DEADLINE_S, Check, Phase, RedisLimits, run_script
from gateway.stores.redis_client import CONNECT_TIMEOUT_S
from gateway.stores.redis_link import Script

T = TypeVar("T")

BEAT_S = 2.0
SILENCE_S = 3 * BEAT_S
"""A worker that has not beaten for so long is not counted."""
PROBE_S = 1.0
# Longer than from the first worker that finds the store to the last: a probe's interval, and the calls themselves.
HOLD_S = 2.0
_CHECKS_OF_A_SETTLEMENT = 100
_WORKERS = "limit:{workers}"
_BEAT = Script("beat")


async def pulse(limits: RedisLimits) -> None:
    """Beat and probe until cancelled, then say good-bye."""
    worker = os.urandom(8).hex()
    try:
        while True:
            is_in_time = await _whole(beat(limits, worker))
            if limits.phase is Phase.DOWN and is_in_time:
                limits.come_back()
                if await _whole(_settle(limits)) and not await _falls_within(limits, _hold_s(limits)):
                    limits.be_up()
            if limits.phase is Phase.DOWN or await _falls_within(limits, BEAT_S):
                await asyncio.sleep(PROBE_S)
    finally:
        if limits.phase is not Phase.DOWN and limits.answered.is_set():
            with suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(DEADLINE_S):
                    await _say(limits, worker, is_alive=False)


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """A command that is broken off may leave connections behind that nobody closes; so its end is waited for."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,), timeout=CONNECT_TIMEOUT_S)
        raise


async def beat(limits: RedisLimits, worker: str) -> bool:
    """One heartbeat. Returns whether it was answered within the deadline of a check; where it is not answered at all,
    the store is down. On a cluster every node has to answer: a store that is there for some keys only is not.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    try:
        live_workers = await _say(limits, worker, is_alive=True)
        if limits.is_cluster:
            await ping(limits)
    except Exception as error:  # whatever the client raises
        limits.go_down(f"{type(error).__name__}: {error}")
        return False
    limits.has_counted(live_workers)
    return loop.time() - began_s <= DEADLINE_S


async def is_there(limits: RedisLimits) -> bool:
    """Whether the store answers; where it does not, it is down."""
    try:
        await ping(limits)
    except Exception as error:  # whatever the client raises
        limits.go_down(f"{type(error).__name__}: {error}")
        return False
    return True


async def ping(limits: RedisLimits) -> None:
    """Of a cluster, every master. Raises what the client raises."""
    # What follows is beyond the few commands of `Client`; every client of redis-py has it.
    client: Any = limits.client
    await (client.ping(target_nodes="primaries") if limits.is_cluster else client.ping())


async def _say(limits: RedisLimits, worker: str, *, is_alive: bool) -> int:
    """Returns how many workers live."""
    silence_ms = round(SILENCE_S * 1000)
    _, count = await run_script(limits.client, _BEAT, [_WORKERS], [worker, silence_ms, int(is_alive)])
    return max(1, int(count))


def _hold_s(limits: RedisLimits) -> float:
    return HOLD_S if limits.local.live_workers > 1 else 0.0


async def _settle(limits: RedisLimits) -> bool:
    """Debit what was admitted alone. Returns whether all of it is."""
    owing = limits.local.owing()
    for start in range(0, len(owing), _CHECKS_OF_A_SETTLEMENT):
        checks = [
            Check(name, windows, 0, share) for name, windows, share in owing[start : start + _CHECKS_OF_A_SETTLEMENT]
        ]
        try:
            await limits.call(checks)
        except Exception as error:  # whatever the client raises
            limits.go_down(f"{type(error).__name__}: {error}")
        if limits.phase is not Phase.RETURNING:
            return False
    return limits.phase is Phase.RETURNING


async def _falls_within(limits: RedisLimits, seconds: float) -> bool:
    """Whether the store goes down within so long; returns as soon as it does."""
    limits.fallen.clear()
    if limits.phase is not Phase.DOWN and seconds:
        # Not `wait_for`: where both happen at once, the one of Python 3.11 forgets that it was cancelled.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await limits.fallen.wait()
    return limits.phase is Phase.DOWN
