"""Hears of the purges of all other workers and gateways, through Redis.

What is published while a subscription is down is lost. So whoever listens is told when it goes down, which a ping
finds out that is not answered, and when it is up again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from gateway.stores.ending import end

CHECK_EVERY_S = 0.5
RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 1.0
_CONNECT_TIMEOUT_S: Final = 2.0

_log = logging.getLogger("gateway.stores")


class Subscription(Protocol):
    """What is needed of redis-py's `PubSub`."""

    def subscribe(self, channel: str) -> Awaitable[Any]:
        """Begin to listen."""

    def get_message(self, ignore_subscribe_messages: bool, timeout: float) -> Awaitable[Any]:
        """The next message as a mapping, or None after that many seconds."""

    def ping(self) -> Awaitable[Any]:
        """Ask for an answer, which comes as a message."""

    def aclose(self) -> Awaitable[None]:
        """End the connection."""


class PurgeChannel:
    """open_subscription: a new one each time. on_message: gets each message as it was published. on_state: whether all
    messages arrive from now on; called first with True, when the first subscription stands.
    """

    def __init__(
        self,
        channel: str,
        open_subscription: Callable[[], Awaitable[Subscription]],
        on_message: Callable[[bytes], None],
        on_state: Callable[[bool], None],
    ) -> None:
        self._channel = channel
        self._open = open_subscription
        self._on_message = on_message
        self._on_state = on_state
        self._is_up = False
        self._task = asyncio.get_running_loop().create_task(self._listen())

    @property
    def is_up(self) -> bool:
        """Whether all messages arrive."""
        return self._is_up

    async def close(self) -> None:
        """Listen no more."""
        await end(self._task)

    async def _listen(self) -> None:
        retry_s = RETRY_FIRST_S
        while True:
            subscription: Subscription | None = None
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    subscription = await self._open()
                    await subscription.subscribe(self._channel)
                    await self._until_confirmed(subscription)
                self._set_up(True, "")
                retry_s = RETRY_FIRST_S
                await self._read_on(subscription)
            except Exception as error:  # whatever the client raises, nothing arrives any more
                self._set_up(False, f"{type(error).__name__}: {error}")
            finally:
                if subscription is not None:
                    await _end(subscription)
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, RETRY_MAX_S)

    async def _until_confirmed(self, subscription: Subscription) -> None:
        while True:
            message = await subscription.get_message(False, CHECK_EVERY_S)
            if message is not None and message["type"] == "subscribe":
                return

    async def _read_on(self, subscription: Subscription) -> None:
        is_asked = False
        while True:
            message = await subscription.get_message(True, CHECK_EVERY_S)
            if message is not None:
                is_asked = False
                if message["type"] == "message":
                    self._hear(message["data"])
            elif is_asked:
                raise ConnectionError("no answer to a ping")
            else:
                is_asked = True
                async with asyncio.timeout(CHECK_EVERY_S):
                    await subscription.ping()

    def _hear(self, data: bytes) -> None:
        try:
            self._on_message(data)
        except ValueError:
            # It may have meant anything.
            _log.warning("a purge could not be read; all kept replies of this worker are dropped")
            self._on_state(False)
            self._on_state(True)

    def _set_up(self, is_up: bool, reason: str) -> None:
        if is_up == self._is_up:
            return
        self._is_up = is_up
        if not is_up:
            _log.warning("purges of other workers do not arrive, so nothing is kept in memory: %s", reason)
        self._on_state(is_up)

    def __repr__(self) -> str:
        return f"<PurgeChannel {self._channel} {'up' if self._is_up else 'down'}>"


async def _end(subscription: Subscription) -> None:
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            await subscription.aclose()
    except Exception as error:
        _log.debug("a subscription did not end well: %s", error)
