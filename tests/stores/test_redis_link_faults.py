"""A call ends by its deadline, whatever the server does, and after a failure the next ones end at once."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest

from gateway.plugin_api import StoreDown
from gateway.stores import redis_link
from gateway.stores.redis_client import open_client
from gateway.stores.redis_link import RedisLink, Script
from tests.stores.redis_server import RedisServer

# The deadline is 0.05 s; a busy machine may look at its clock late.
DEADLINE_AND_SLACK_S = 1.0


@pytest.fixture
async def link(own_redis: RedisServer) -> AsyncIterator[RedisLink]:
    made = RedisLink(open_client(own_redis.url).client, "the store of tests")
    yield made
    await made.close()


async def claimed(link: RedisLink) -> object:
    return await link.run(Script("claim"), ["k"], ["v", 60_000])


async def first_answer(link: RedisLink) -> object:
    async with asyncio.timeout(10):
        while True:
            try:
                return await claimed(link)
            except StoreDown:
                await asyncio.sleep(0.01)


async def test_a_script_that_the_server_does_not_know_yet_is_sent(own_redis: RedisServer, link: RedisLink) -> None:
    own_redis.start()
    await first_answer(link)
    assert await claimed(link) == b"v"


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_down_it_says_so_once_answers_at_once_and_comes_back(
    fault: str,
    own_redis: RedisServer,
    link: RedisLink,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "gateway.stores")
    own_redis.start()
    await first_answer(link)
    caplog.clear()
    getattr(own_redis, fault)()
    started = time.monotonic()
    with pytest.raises(StoreDown):
        await claimed(link)
    assert link.is_down
    for _ in range(10):
        with pytest.raises(StoreDown, match="lately"):
            await link.call(asyncio.sleep(0))
    assert time.monotonic() - started < DEADLINE_AND_SLACK_S
    own_redis.thaw() if fault == "freeze" else own_redis.start()
    await first_answer(link)
    assert not link.is_down
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("the store of tests is down: ")
    assert said[1:] == ["the store of tests is up again"]


async def test_the_deadline_is_the_uses_own(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_link, "DEADLINE_S", 20.0)
    link = RedisLink(open_client(own_redis.url).client, "the store of tests", deadline_s=0.01)
    started = time.monotonic()
    with pytest.raises(StoreDown, match="within 10 ms"):
        await link.call(asyncio.sleep(30))
    assert time.monotonic() - started < DEADLINE_AND_SLACK_S
    assert repr(link) == "<RedisLink the store of tests down, 1 calls under way>"
    await link.close()
    assert repr(link) == "<RedisLink the store of tests down, 0 calls under way>"


async def test_a_full_server_refuses_what_is_new_and_is_not_down() -> None:
    server = RedisServer("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    server.start()
    link = RedisLink(open_client(server.url).client, "the store of tests")
    try:
        for _ in range(2):
            with pytest.raises(StoreDown, match="full"):
                await claimed(link)
        assert not link.is_down
    finally:
        await link.close()
        server.kill()
