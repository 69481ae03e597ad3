"""Hears what the store tells all workers: the debts of a bucket, each time they have grown by a twentieth of its limit.

So a worker knows all but a twentieth of what others took, whenever the store goes down (decisions/0014). What was
there before it began to hear is looked through once. A worker that lives alone has nobody to hear of.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from gateway.stores.local import windows_of
from gateway.stores.redis import Check, Phase, RedisLimits
from gateway.stores.redis_pulse import BEAT_S, PROBE_S, is_there

CHANNEL = "limit:told"
_NAMES_AT_ONCE = 100
_NAMES_MAX = 100_000

_log = logging.getLogger("gateway.stores")


async def hear(limits: RedisLimits) -> None:
    """Until cancelled."""
    await limits.answered.wait()
    was_heard = True
    while True:
        if limits.phase is Phase.DOWN or limits.local.live_workers == 1:
            await asyncio.sleep(PROBE_S if limits.phase is Phase.DOWN else BEAT_S)
            continue
        try:
            await _hear(limits)
        except Exception as error:  # whatever the client raises
            # The end of the channel is most often the end of the store; then all was heard until now.
            if await is_there(limits) and was_heard:
                was_heard = False
                _log.warning("what the limit store tells is not heard: %s: %s", type(error).__name__, error)
        limits.local.is_deaf()
        await asyncio.sleep(PROBE_S)


async def _hear(limits: RedisLimits) -> None:
    # Beyond the few commands of `Client`; every client of redis-py has it.
    client: Any = limits.client
    if limits.is_cluster:
        await client.initialize()
    looking: asyncio.Task[None] | None = None
    try:
        async with client.pubsub() as channel:
            await channel.subscribe(CHANNEL)
            async for message in channel.listen():
                if message["type"] == "subscribe":
                    limits.local.hears(limits.local.now_ms())
                    looking = asyncio.ensure_future(_look_through(limits))
                elif message["type"] == "message":
                    take_in(limits, message["data"])
    finally:
        if looking is not None:
            looking.cancel()


def take_in(limits: RedisLimits, data: bytes) -> None:
    """One message of take.lua: [now, [[name, "debt debt ..."], ...]], numbers as text."""
    at_ms, news = json.loads(data)
    for name, debts in news:
        limits.local.learn(name, [int(debt) for debt in debts.split()], int(at_ms))


async def _look_through(limits: RedisLimits) -> None:
    """Learn of every bucket in the store, gently, and again where that failed. Left undone where there are too many."""
    while True:
        try:
            seen = 0
            async for checks in _buckets(limits):
                await limits.call(checks)
                seen += len(checks)
                if seen >= _NAMES_MAX:
                    return
        except Exception as error:  # whatever the client raises; a check of a request will say more
            _log.info("the limit store was not looked through: %s: %s", type(error).__name__, error)
            await asyncio.sleep(PROBE_S)
        else:
            limits.local.hears(None)
            return


async def _buckets(limits: RedisLimits) -> AsyncIterator[list[Check]]:
    checks: list[Check] = []
    client: Any = limits.client
    async for name in client.scan_iter(match="limit:{*", count=1000):
        text = name.decode(errors="replace")
        if windows := windows_of(text):
            # Looked at, not taken from: nothing is known of it yet that could be of use to the store.
            checks.append(Check(text, windows, 0, limits.local.share(text, windows)))
        if len(checks) >= _NAMES_AT_ONCE:
            yield checks
            checks = []
    if checks:
        yield checks
