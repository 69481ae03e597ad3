"""WebSocket and other upgrades: after a 101, bytes both ways until both sides have ended.

The gateway does not look into the new protocol: subprotocols, messages and close codes pass as they are. A side that
writes faster than the other reads is paused. An end of stream is passed on; the other direction may go on.
"""

import asyncio
from collections.abc import Callable

from gateway.core.headers import Headers
from gateway.plugin_api import Reply


class SwitchingReply(Reply):
    """A 101: the upstream has changed the protocol. `transport` is its side, `tail` what it has said already."""

    __slots__ = ("idle_timeout_s", "tail", "transport")

    def __init__(
        self, headers: Headers, transport: asyncio.Transport, tail: bytes, idle_timeout_s: float | None
    ) -> None:
        super().__init__(101, headers)
        self.transport = transport
        self.tail = tail
        self.idle_timeout_s = idle_timeout_s

    def abandon(self) -> None:
        """The client went away before the tunnel stood."""
        self.transport.abort()


class _Side(asyncio.Protocol):
    """One end of the tunnel. `on_lost` tells the protocol that had the socket before."""

    __slots__ = ("_on_lost", "_tunnel", "ended", "other", "transport")

    def __init__(self, tunnel: "Tunnel", transport: asyncio.Transport, on_lost: Callable[[Exception | None], None]):
        self._tunnel = tunnel
        self._on_lost = on_lost
        self.transport = transport
        self.other: _Side
        self.ended = False

    def data_received(self, data: bytes) -> None:
        self._tunnel.count(self, len(data))
        if not self.other.transport.is_closing():
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        # TLS knows no half of an end, whichever side has it.
        if self.other.ended or not self.other.transport.can_write_eof() or not self.transport.can_write_eof():
            self._tunnel.close()
            return False
        self.other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost(exc)
        self._tunnel.close()


class Tunnel:
    """Joins two transports. `done` resolves when both are closed; bytes_out counts what the client was sent."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: asyncio.Transport,
        on_client_lost: Callable[[Exception | None], None],
        reply: SwitchingReply,
    ) -> None:
        self._loop = loop
        self._idle_timeout_s = reply.idle_timeout_s
        self._last_active_s = loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.done: asyncio.Future[None] = loop.create_future()
        self.bytes_in = 0
        self.bytes_out = 0
        self._client = _Side(self, client, on_client_lost)
        self._upstream = _Side(self, reply.transport, lambda _: None)
        self._client.other, self._upstream.other = self._upstream, self._client
        client.set_protocol(self._client)
        reply.transport.set_protocol(self._upstream)
        if self._idle_timeout_s is not None:
            self._timer = loop.call_later(self._idle_timeout_s, self._on_timer)

    def count(self, side: _Side, size: int) -> None:
        """Note that a side has said something."""
        self._last_active_s = self._loop.time()
        if side is self._upstream:
            self.bytes_out += size
        else:
            self.bytes_in += size

    def feed(self, from_client: bytes, from_upstream: bytes) -> None:
        """What both sides had said before the tunnel stood."""
        if from_client:
            self._client.data_received(from_client)
        if from_upstream:
            self._upstream.data_received(from_upstream)

    def close(self) -> None:
        """End both sides; what is already written still leaves."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for side in (self._client, self._upstream):
            side.transport.close()
        if not self.done.done():
            self.done.set_result(None)

    def _on_timer(self) -> None:
        assert self._idle_timeout_s is not None
        left_s = self._last_active_s + self._idle_timeout_s - self._loop.time()
        if left_s <= 0:
            self.close()
        else:
            self._timer = self._loop.call_later(left_s, self._on_timer)
