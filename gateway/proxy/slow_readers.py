"""Clients that read their replies too slowly, or not at all: found and cut off, in either lane.

A connection is looked at only while what was written to it waits in this process because the kernel takes no more: it
is reported here when its transport pauses writing, or when it is closed with something left to send. A client that
keeps up costs nothing, however long its stream rests.
"""

import asyncio
import socket
import struct
from time import monotonic
from typing import Protocol

from gateway.core.throughput import LeastThroughput, Throughput

_SWEEP_S = 1.0
# struct tcp_info of linux/tcp.h: tcpi_bytes_acked, 64 bits, since Linux 4.2.
_ACKED_AT = 120
_ACKED = struct.Struct("=Q")


class SlowReader(Protocol):
    """A client's connection."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """None once the client has gone."""

    def cut_off(self, transport: asyncio.Transport) -> None:
        """Its client reads too slowly: break the connection off. transport: also where it is closing already."""


class SlowReaders:
    """Of one worker. least: what every client has to take; None: nothing is looked at."""

    def __init__(self, loop: asyncio.AbstractEventLoop, least: Throughput | None) -> None:
        self._loop = loop
        self._least = least
        self._sweep_s = min(_SWEEP_S, least.window_s / 4) if least is not None else _SWEEP_S
        # With the transport, which aiohttp forgets once it has asked it to close.
        self._watched: dict[SlowReader, tuple[asyncio.Transport, LeastThroughput]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: SlowReader) -> None:
        """The kernel takes no more for this client at present. Harmless when it is known already."""
        transport = connection.transport
        if self._least is None or connection in self._watched or transport is None:
            return
        taken = bytes_taken(transport)
        if taken is None:
            return
        self._watched[connection] = transport, LeastThroughput(self._least, monotonic(), taken)
        if self._timer is None:
            self._timer = self._loop.call_later(self._sweep_s, self._sweep)

    def discard(self, connection: SlowReader) -> None:
        """It has ended, or another has its transport. Harmless when it is not known."""
        self._watched.pop(connection, None)

    def _sweep(self) -> None:
        self._timer = None
        self.look(monotonic())
        if self._watched:
            self._timer = self._loop.call_later(self._sweep_s, self._sweep)

    def look(self, now_s: float) -> None:
        """Forget those that have caught up, and cut off those that take too little."""
        for connection, (transport, watch) in list(self._watched.items()):
            if not transport.get_write_buffer_size():
                del self._watched[connection]
            elif watch.is_missed(now_s, bytes_taken(transport) or 0):
                del self._watched[connection]
                connection.cut_off(transport)

    def __repr__(self) -> str:
        return f"<SlowReaders {len(self._watched)}>"


def bytes_taken(transport: asyncio.Transport) -> int | None:
    """How many bytes the client's kernel has acknowledged; None where ours does not tell.

    What the socket's buffer takes in says little: it holds megabytes, and lets more in only once a third is free, so
    that a client of 10 KiB/s would seem to stand still for minutes.
    """
    sock = transport.get_extra_info("socket")
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED_AT + _ACKED.size)
    except (AttributeError, OSError):
        return None
    if len(info) < _ACKED_AT + _ACKED.size:
        return None
    taken: int = _ACKED.unpack_from(info, _ACKED_AT)[0]
    return taken
