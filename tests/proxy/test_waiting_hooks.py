"""A hook that waits for a future, over each lane: the exchange goes on as if it had not, and ends with its client."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.plugin_api import Later
from tests.support import waiting_plugin
from tests.support.gateway import rig, until

pytestmark = pytest.mark.usefixtures("each_lane")

PLAIN = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(autouse=True)
def _nothing_waits() -> Iterator[None]:
    yield
    waiting_plugin.waits.clear()
    waiting_plugin.finished.clear()


def table(then: str = "pass") -> str:
    return f"""
version: 1
plugins: [tests.support.waiting_plugin]
defaults: {{auth: none}}
upstreams: {{origin: {{endpoints: ["${{env:ORIGIN}}"]}}}}
routes: [{{id: all, match: /*, to: origin, waiting: {then}}}]
"""


async def next_wait(count: int) -> "asyncio.Future[None]":
    await until(lambda: len(waiting_plugin.waits) == count)
    return waiting_plugin.waits[-1]


async def until_finished(count: int) -> None:
    await until(lambda: len(waiting_plugin.finished) == count)


@pytest.mark.parametrize(
    ("then", "status", "body", "asked"),
    [("pass", 200, b"hello", 1), ("answer", 200, b"answered", 0), ("refuse", 429, None, 0), ("fail", 500, None, 0)],
)
async def test_what_it_does_then_is_what_becomes_of_the_request(
    then: str, status: int, body: bytes | None, asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig(table(then)) as r:
        for count in (1, 2):
            r.client.send(PLAIN)
            (await next_wait(count)).set_result(None)
            reply = await r.client.read_reply()
            assert reply.status == status
            assert body is None or reply.body == body
            assert len(r.origin.requests) == asked * count
            await until_finished(count)
        assert r.gateway.metric("gateway_requests_in_flight") == 0
    assert sum(record.levelno >= logging.ERROR for record in caplog.records) == 2 * (then == "fail")


async def test_the_future_s_exception_is_the_hook_s() -> None:
    async with rig(table()) as r:
        r.client.send(PLAIN)
        (await next_wait(1)).set_exception(RuntimeError("the store fell"))
        reply = await r.client.read_reply()
        assert (reply.status, reply.json["code"]) == (500, "internal_error")


async def test_a_client_that_leaves_meanwhile_ends_its_exchange_once_and_nothing_is_asked() -> None:
    async with rig(table()) as r:
        r.client.send(PLAIN)
        future = await next_wait(1)
        r.client.close()
        await until_finished(1)
        if not future.done():
            future.set_result(None)
        (line,) = await r.gateway.log_lines()
        assert line["outcome"] == "client_gone"
        await asyncio.sleep(0)
        assert r.gateway.metric("gateway_requests_in_flight") == 0
        assert len(waiting_plugin.finished) == 1
        assert r.origin.requests == []


async def test_a_request_that_is_pipelined_behind_it_waits() -> None:
    async with rig(table()) as r:
        r.client.send(PLAIN + PLAIN)
        (await next_wait(1)).set_result(None)
        assert (await r.client.read_reply()).status == 200
        (await next_wait(2)).set_result(None)
        assert (await r.client.read_reply()).status == 200


async def test_in_the_fast_lane_no_task_is_made_for_it() -> None:
    async with rig(table(), lane="fast") as r:
        r.client.send(PLAIN)
        (await next_wait(1)).set_result(None)
        await r.client.read_reply()
        loop = asyncio.get_running_loop()
        made: list[Any] = []

        def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
            made.append(coroutine)
            return asyncio.Task(coroutine, loop=loop, **more)

        loop.set_task_factory(make)
        try:
            r.client.send(PLAIN)
            while len(waiting_plugin.waits) < 2:
                await asyncio.sleep(0)
            waiting_plugin.waits[-1].set_result(None)
            assert (await r.client.read_reply()).status == 200
        finally:
            loop.set_task_factory(None)
        assert made == []


async def test_whoever_has_a_task_may_await_it() -> None:
    future = asyncio.get_running_loop().create_future()
    seen: list[asyncio.Future[Any]] = []
    future.set_exception(ValueError())
    assert await Later(future, lambda done: seen.append(done)) is None
    assert seen == [future]
