"""The connections to one endpoint: idle ones to take, a bound on all, a queue for who has to wait."""

import asyncio
from collections import deque
from typing import Protocol


class PooledConnection(Protocol):
    """What the pool needs of a connection. last_active_s: loop time. keep_alive_hint_s: as the peer said, or None."""

    last_active_s: float
    keep_alive_hint_s: float | None

    @property
    def is_closed(self) -> bool: ...

    def close(self) -> None: ...


class Pool:
    """One event loop only. Idle connections are taken newest first, so that the surplus grows old and is closed.

    size_max: connections at once, idle ones included. idle_s: how long an idle one is kept, less where the peer said
    that it closes earlier.
    """

    __slots__ = (
        "_addresses",
        "_idle",
        "_is_picky",
        "_kept",
        "_loop",
        "_sweep",
        "_waiters",
        "idle_s",
        "is_closed",
        "open",
        "size_max",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, size_max: int, idle_s: float) -> None:
        self._loop = loop
        self._idle: list[PooledConnection] = []
        self._waiters: deque[asyncio.Future[PooledConnection | None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self.size_max = size_max
        self.idle_s = idle_s
        self.open = 0
        self.is_closed = False
        # Where connections go to, of those that were told, and where they may: None is anywhere.
        self._addresses: dict[PooledConnection, str] = {}
        self._kept: frozenset[str] | None = None
        # Whether a connection that comes back is looked at more closely, so that the usual one costs one look.
        self._is_picky = False

    @property
    def waiting(self) -> int:
        """Requests in line for a connection."""
        return sum(not waiter.done() for waiter in self._waiters)

    @property
    def in_use(self) -> int:
        """Connections that serve an exchange, or are being made for one."""
        return self.open - len(self._idle)

    def take_idle(self) -> PooledConnection | None:
        """A connection that may be used at once, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed:
                return connection
        return None

    def reserve(self) -> bool:
        """Count a connection that the caller is about to open; False where the bound is reached."""
        if self.open >= self.size_max:
            return False
        self.open += 1
        return True

    async def wait(self, timeout_s: float) -> PooledConnection | None:
        """Wait in line: an idle connection, or None with a reserved place for a new one. Raises TimeoutError."""
        waiter: asyncio.Future[PooledConnection | None] = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter
        except BaseException:
            # What was handed over in the same turn must not be lost.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                connection = waiter.result()
                if connection is None:
                    self.discard()
                else:
                    self.put(connection)
            raise

    def put(self, connection: PooledConnection) -> None:
        """The connection is free: to the next in line, or to the idle ones."""
        if connection.is_closed or (self._is_picky and self._is_unwanted(connection)):
            connection.close()
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        hint_s = connection.keep_alive_hint_s
        if hint_s is not None and hint_s <= 1.0:
            connection.close()
            return
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(min(self.idle_s, 1.0), self._close_old)

    def discard(self) -> None:
        """A counted connection is gone (or was never made): its place goes to the next in line."""
        self.open -= 1
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self.open += 1
                waiter.set_result(None)
                return

    def forget(self, connection: PooledConnection) -> None:
        """The connection was closed."""
        if connection in self._idle:
            self._idle.remove(connection)
        if self._addresses:
            self._addresses.pop(connection, None)
        self.discard()

    def note_address(self, connection: PooledConnection, address: str) -> None:
        """The connection was made to that address."""
        self._addresses[connection] = address

    def keep_only(self, addresses: frozenset[str]) -> None:
        """Only connections to these addresses are kept, and those of which nobody said where they go: the others are
        closed, now or as they come back.
        """
        self._kept = addresses
        self._is_picky = True
        for connection in [each for each in self._idle if self._is_unwanted(each)]:
            connection.close()

    def close(self) -> None:
        """Close the idle ones; those at work are closed as they come back."""
        self.is_closed = self._is_picky = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connection in list(self._idle):
            connection.close()
        self._idle.clear()

    def _is_unwanted(self, connection: PooledConnection) -> bool:
        if self.is_closed:
            return True
        address = self._addresses.get(connection)
        return address is not None and self._kept is not None and address not in self._kept

    def _close_old(self) -> None:
        self._sweep = None
        now_s = self._loop.time()
        for connection in list(self._idle):
            hint_s = connection.keep_alive_hint_s
            # A second of margin: the peer's clock started when it wrote its reply, ours when it came.
            kept_s = self.idle_s if hint_s is None else min(self.idle_s, hint_s - 1.0)
            if now_s - connection.last_active_s >= kept_s:
                connection.close()
        if self._idle:
            self._sweep = self._loop.call_later(min(self.idle_s, 1.0), self._close_old)

    def __repr__(self) -> str:
        return f"<Pool open={self.open}/{self.size_max} idle={len(self._idle)} waiting={len(self._waiters)}>"
