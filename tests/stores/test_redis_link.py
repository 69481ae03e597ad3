"""Hazard: a call that hangs, a store that is asked again and again while it is down, an error that is not StoreDown."""

import asyncio
import logging
from typing import Any

import pytest
from redis.exceptions import NoScriptError

from gateway.plugin_api import StoreDown
from gateway.stores import redis_link
from gateway.stores.redis_link import RedisLink, Script
from tests.stores.redis_server import RedisServer

MARK = Script("mark")


class FakeClient:
    """answers: what the calls return, raise, or wait for."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[str] = []
        self.is_closed = False

    async def evalsha(self, sha: str, numkeys: int, *rest: Any) -> Any:
        return await self._answer("evalsha")

    async def eval(self, script: str, numkeys: int, *rest: Any) -> Any:
        return await self._answer("eval")

    async def aclose(self) -> None:
        self.is_closed = True

    async def _answer(self, call: str) -> Any:
        self.calls.append(call)
        answer = self.answers.pop(0)
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return b"late"
        if isinstance(answer, Exception):
            raise answer
        return answer


async def run(link: RedisLink) -> Any:
    return await link.run(MARK, ["key"], ["read"])


async def test_the_script_is_sent_where_the_server_does_not_have_it() -> None:
    client = FakeClient(NoScriptError("none"), b"1", b"2")
    link = RedisLink(client, "it")
    assert [await run(link), await run(link)] == [b"1", b"2"]
    assert client.calls == ["evalsha", "eval", "evalsha"]
    assert not link.is_down


async def test_after_a_failure_nothing_is_asked_for_a_second_then_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = FakeClient(ConnectionError("refused"), ConnectionError("refused"), b"1", b"2")
    link = RedisLink(client, "the store")
    for _ in range(3):
        with pytest.raises(StoreDown):
            await run(link)
    assert client.calls == ["evalsha"]
    assert repr(link) == "<RedisLink the store down, 0 calls under way>"
    monkeypatch.setattr(redis_link, "DOWN_FOR_S", 0.0)
    link._retry_at_s = 0.0
    with pytest.raises(StoreDown):
        await run(link)
    assert [await run(link), await run(link)] == [b"1", b"2"]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "the store is down: ConnectionError: refused",
        "the store is up again",
    ]


async def test_while_one_probes_the_others_are_refused() -> None:
    go_on = asyncio.Event()
    client = FakeClient(ConnectionError("refused"), go_on, b"2")
    link = RedisLink(client, "it")
    with pytest.raises(StoreDown):
        await run(link)
    link._retry_at_s = 0.0
    probe = asyncio.create_task(run(link))
    while len(client.calls) < 2:
        await asyncio.sleep(0)
    with pytest.raises(StoreDown):
        await run(link)
    go_on.set()
    assert await probe == b"late"


async def test_a_call_that_is_late_is_down_and_runs_on_unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_link, "DEADLINE_S", 0.001)
    go_on = asyncio.Event()
    link = RedisLink(FakeClient(go_on), "it")
    with pytest.raises(StoreDown, match="no answer"):
        await run(link)
    assert "1 calls under way" in repr(link)
    go_on.set()
    while "0 calls" not in repr(link):
        await asyncio.sleep(0)
    await link.close()


async def test_no_more_than_some_calls_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_link, "DEADLINE_S", 20.0)
    go_on = asyncio.Event()
    client = FakeClient(*[go_on] * 40)
    link = RedisLink(client, "it")
    calls = [asyncio.create_task(run(link)) for _ in range(40)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(client.calls) == redis_link.CALLS_AT_ONCE
    go_on.set()
    assert await asyncio.gather(*calls) == [b"late"] * 40


async def test_what_is_prepared_ahead_shows_no_failure() -> None:
    link = RedisLink(FakeClient(ConnectionError("refused"), b"1"), "it")
    await link.prepare(MARK, ["key"], ["read"])
    assert not link.is_down
    await link.prepare(MARK, ["key"], ["read"])


async def test_where_the_loop_was_late_the_store_gets_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_link, "DEADLINE_S", 0.002)
    monkeypatch.setattr(redis_link, "_LOOP_LATE_S", -1.0)
    go_on = asyncio.Event()
    link = RedisLink(FakeClient(go_on), "it")
    call = asyncio.create_task(run(link))
    # Every timer counts as late, so the call outlives its deadline, but not for ever.
    asyncio.get_running_loop().call_later(0.006, go_on.set)
    assert await call == b"late"
    link = RedisLink(FakeClient(asyncio.Event()), "it")
    with pytest.raises(StoreDown):
        await run(link)
    await link.close()


async def test_closing_ends_what_is_under_way() -> None:
    client = FakeClient(asyncio.Event())
    link = RedisLink(client, "it")
    call = asyncio.create_task(run(link))
    while not client.calls:
        await asyncio.sleep(0)
    await link.close()
    assert client.is_closed
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_server_that_is_frozen_is_down_in_time_and_up_again(own_redis: RedisServer) -> None:
    from gateway.stores.redis_client import open_client

    own_redis.start()
    link = RedisLink(open_client(own_redis.url).client, "it")
    assert await run(link)
    own_redis.freeze()
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    with pytest.raises(StoreDown):
        await run(link)
    assert loop.time() - started_s < 0.5
    own_redis.thaw()
    while link.is_down:
        link._retry_at_s = 0.0
        try:
            await run(link)
        except StoreDown:
            await asyncio.sleep(0.01)
    await link.close()
