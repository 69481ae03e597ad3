"""Two workers over one real Redis: what one purges, the other drops; while they cannot hear, nothing is kept."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.core.kept_replies import Answer, Purge, Ticket
from gateway.stores import purge_channel, redis_link
from gateway.stores.kept_replies import KeptReplies
from gateway.stores.open_replies import open_kept_replies
from tests.stores.redis_server import RedisServer
from tests.stores.reply_material import KEY, sought, stored
from tests.stores.test_local_replies import Evictions

Opener = Callable[[str], Any]


@pytest.fixture
async def opened(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opener]:
    monkeypatch.setattr(redis_link, "DEADLINE_S", 5.0)
    monkeypatch.setattr(purge_channel, "CHECK_EVERY_S", 0.05)
    async with AsyncExitStack() as stack:

        async def open_one(url: str) -> KeptReplies:
            kept, channel = open_kept_replies(url, 1 << 20, Evictions(), lambda size: None, lambda purge: None)
            stack.push_async_callback(kept.close)
            if channel is not None:
                stack.push_async_callback(channel.close)
                await until(lambda: channel.is_up)
            return kept

        yield open_one


async def until(predicate: Callable[[], bool]) -> None:
    while not predicate():
        await asyncio.sleep(0.005)


async def fill(kept: KeptReplies, body: bytes = b"body") -> None:
    ticket = await kept.find(sought(tags=("a",)))
    assert isinstance(ticket, Ticket)
    kept.keep(ticket, stored(body, ("a",), response_time_s=time.time()))


async def test_memory_needs_no_redis(opened: Opener) -> None:
    kept = await opened("memory://")
    await fill(kept)
    assert kept.local.find(KEY) is not None
    await kept.purge(Purge(tags=("a",)))
    assert kept.local.find(KEY) is None


async def test_what_one_purges_the_other_drops(own_redis: RedisServer, opened: Opener) -> None:
    own_redis.start()
    one, other = await opened(own_redis.url), await opened(own_redis.url)
    await fill(one)
    await until(lambda: not one._tasks)
    assert isinstance(await other.find(sought(tags=("a",))), Answer)
    assert other.local.find(KEY) is not None
    mark = one.mark
    started_s = asyncio.get_running_loop().time()
    await one.purge(Purge(tags=("a",)))
    await until(lambda: other.local.find(KEY) is None)
    assert asyncio.get_running_loop().time() - started_s < 0.1
    # Once before the store is told and once after. Its own purge does not come back to it: that would throw away what
    # it is filling since.
    assert one.mark == mark + 2
    assert isinstance(await other.find(sought(tags=("a",))), Ticket)


async def test_while_it_cannot_hear_nothing_is_kept_in_memory(own_redis: RedisServer, opened: Opener) -> None:
    own_redis.start()
    kept = await opened(own_redis.url)
    await fill(kept)
    assert kept.local.find(KEY) is not None
    own_redis.freeze()
    await until(lambda: not kept.local.is_trusted)
    assert kept.local.find(KEY) is None
    own_redis.thaw()
    await until(lambda: kept.local.is_trusted)
    own_redis.kill()
    await until(lambda: not kept.local.is_trusted)
    own_redis.start()
    await until(lambda: kept.local.is_trusted)
    await fill(kept)
    assert kept.local.find(KEY) is not None


def test_a_url_of_no_store_is_refused_without_being_shown() -> None:
    async def open_it() -> None:
        open_kept_replies("redis://:topsecret@host:port", 1, Evictions(), lambda size: None, lambda purge: None)

    with pytest.raises(ValueError) as caught:
        asyncio.run(open_it())
    assert "topsecret" not in str(caught.value)
