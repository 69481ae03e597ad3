"""The client connections of a lane: swept once a second for those that are late, and let go at the end."""

import asyncio
from time import monotonic
from typing import Protocol


class OpenConnection(Protocol):
    """As far as its lane has to do with it as one of many."""

    def close_if_late(self, now_s: float) -> None:
        """Close it where it has waited too long for its client. now_s: of the monotonic clock."""

    def close_when_done(self) -> None:
        """Take no further request; close at once where none is under way."""

    def abort(self) -> None:
        """End it whatever it does."""


class OpenConnections:
    """sweep_s: the time between two looks at all of them, while there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sweep_s: float) -> None:
        self.connections: set[OpenConnection] = set()
        self._loop = loop
        self._sweep_s = sweep_s
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event | None = None

    def add(self, connection: OpenConnection) -> None:
        self.connections.add(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)

    def discard(self, connection: OpenConnection) -> None:
        self.connections.discard(connection)
        if self._emptied is not None and not self.connections:
            self._emptied.set()

    def close_idle(self) -> None:
        """Let no connection take a further request; those at rest are closed at once."""
        for connection in list(self.connections):
            connection.close_when_done()

    async def shutdown(self, timeout_s: float) -> None:
        """Give the exchanges under way `timeout_s` in all, then end what is left."""
        if self.connections:
            self._emptied = asyncio.Event()
            try:
                await asyncio.wait_for(self._emptied.wait(), timeout_s)
            except TimeoutError:
                for connection in list(self.connections):
                    connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _sweep(self) -> None:
        """One timer for all connections: a timer each costs a microsecond a request, and memory while they rest."""
        self._sweeper = None
        now_s = monotonic()
        for connection in list(self.connections):
            connection.close_if_late(now_s)
        if self.connections:
            self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)
