"""The body of an upstream's reply while it moves."""

import asyncio
from collections import deque
from typing import Final, Protocol

from gateway.core.errors import GatewayError
from gateway.core.headers import Headers

_HIGH_WATER: Final = 256 * 1024


class Feed(Protocol):
    """Where the body comes from: an `UpstreamConnection`."""

    def resume_reading(self) -> None:
        """What was fed has been read: let more come."""

    def close(self) -> None:
        """The rest is given up."""


class ReplyBody:
    """The moving body of one reply (`plugin_api.BodyStream`)."""

    __slots__ = ("_connection", "_error", "_is_complete", "_pieces", "_size", "_waiter", "length", "trailers")

    def __init__(self, connection: Feed, length: int | None, pieces: deque[bytes]) -> None:
        self._connection: Feed | None = connection
        self._pieces = pieces
        self._size = sum(map(len, pieces))
        self._waiter: asyncio.Future[None] | None = None
        self._is_complete = False
        self._error: GatewayError | None = None
        self.length = length
        self.trailers: Headers | None = None

    @property
    def has_buffered(self) -> bool:
        return bool(self._pieces)

    async def read(self) -> bytes:
        if not self._pieces and not self._is_complete and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._pieces:
            pieces = self._pieces
            piece = pieces.popleft() if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._size = 0
            if self._connection is not None:
                self._connection.resume_reading()
            return piece
        if self._error is not None:
            raise self._error
        return b""

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()
        self._pieces.clear()

    def feed(self, piece: bytes) -> bool:
        """From the connection; returns whether it should pause reading."""
        self._pieces.append(piece)
        self._size += len(piece)
        self._wake()
        return self._size > _HIGH_WATER

    def complete(self, trailers: Headers | None) -> None:
        """From the connection: the last byte has come."""
        self._is_complete = True
        self.trailers = trailers
        self._connection = None
        self._wake()

    def fail(self, error: GatewayError) -> None:
        """From the connection: the rest will not come. What came before is still read first."""
        self._error = error
        self._connection = None
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __repr__(self) -> str:
        state = "failed" if self._error else "complete" if self._is_complete else "moving"
        return f"<ReplyBody {state} buffered={self._size}>"
