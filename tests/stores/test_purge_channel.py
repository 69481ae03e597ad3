"""Hazard: a purge of another worker is lost, and nobody knows."""

import asyncio
from typing import Any

import pytest

from gateway.stores import purge_channel
from gateway.stores.purge_channel import PurgeChannel


class FakeSubscription:
    """Messages are what the test puts in; `down` ends it; pings are answered while it is not silent."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.is_silent = False
        self.is_closed = False
        self.pings = 0

    async def subscribe(self, channel: str) -> None:
        self.queue.put_nowait({"type": "subscribe", "data": 1, "channel": channel})

    async def get_message(self, ignore_subscribe_messages: bool, timeout: float) -> Any:
        try:
            message = await asyncio.wait_for(self.queue.get(), timeout)
        except TimeoutError:
            return None
        if isinstance(message, Exception):
            raise message
        return message

    async def ping(self) -> None:
        self.pings += 1
        if not self.is_silent:
            self.queue.put_nowait({"type": "pong", "data": b""})

    async def aclose(self) -> None:
        self.is_closed = True


class Rig:
    def __init__(self) -> None:
        self.subscriptions: list[FakeSubscription] = []
        self.messages: list[bytes] = []
        self.states: list[bool] = []
        self.changed = asyncio.Event()
        self.failures: list[Exception] = []
        self.channel = PurgeChannel("c", self._open, self._hear, self._on_state)

    async def _open(self) -> FakeSubscription:
        if self.failures:
            raise self.failures.pop(0)
        self.subscriptions.append(FakeSubscription())
        return self.subscriptions[-1]

    def _hear(self, message: bytes) -> None:
        if message == b"unreadable":
            raise ValueError(message)
        self.messages.append(message)
        self.changed.set()

    def _on_state(self, is_up: bool) -> None:
        self.states.append(is_up)
        self.changed.set()

    async def until_changed(self) -> None:
        await self.changed.wait()
        self.changed.clear()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge_channel, "CHECK_EVERY_S", 0.01)
    monkeypatch.setattr(purge_channel, "RETRY_FIRST_S", 0.001)


async def test_messages_arrive_once_it_is_up() -> None:
    rig = Rig()
    assert not rig.channel.is_up
    await rig.until_changed()
    assert rig.states == [True]
    assert repr(rig.channel) == "<PurgeChannel c up>"
    rig.subscriptions[0].queue.put_nowait({"type": "message", "data": b"m"})
    await rig.until_changed()
    assert rig.messages == [b"m"]
    await rig.channel.close()
    assert rig.subscriptions[0].is_closed


async def test_a_subscription_that_breaks_is_said_and_made_anew(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    await rig.until_changed()
    rig.failures.append(ConnectionError("refused"))
    rig.subscriptions[0].queue.put_nowait(ConnectionError("gone"))
    while rig.states != [True, False, True]:
        await rig.until_changed()
    assert rig.subscriptions[0].is_closed
    assert len(rig.subscriptions) == 2
    assert "purges of other workers do not arrive" in caplog.text
    await rig.channel.close()


async def test_one_that_falls_silent_is_found_out_by_a_ping() -> None:
    rig = Rig()
    await rig.until_changed()
    while rig.subscriptions[0].pings < 2:
        await asyncio.sleep(0.001)
    assert rig.states == [True]
    rig.subscriptions[0].is_silent = True
    await rig.until_changed()
    assert rig.states[1] is False
    await rig.channel.close()


async def test_a_message_that_cannot_be_read_may_have_meant_anything() -> None:
    rig = Rig()
    await rig.until_changed()
    rig.subscriptions[0].queue.put_nowait({"type": "message", "data": b"unreadable"})
    while rig.states != [True, False, True]:
        await rig.until_changed()
    assert rig.channel.is_up
    await rig.channel.close()
