"""What the lanes have in common: the limits of a client connection and what a worker counts of them."""

import asyncio
import socket
import struct
from dataclasses import dataclass, field

from gateway.proxy.tunnel import Tunnel


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """`gateway.limits` in bytes and seconds. target_max and header_count_max are not set by operators."""

    header_max: int
    header_timeout_s: float
    idle_timeout_s: float
    max_connections: int
    target_max: int = 8190
    header_count_max: int = 128


@dataclass(slots=True)
class LaneState:
    """Of all client connections of this worker."""

    connections: int = 0
    in_flight: int = 0
    tunnels: set[Tunnel] = field(default_factory=set)


def reset_on_close(transport: asyncio.Transport) -> None:
    """Make the close of this socket a reset (RST), which no client takes for the end of a body."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        linger = struct.pack("ii", 1, 0)
        with socket.socket(fileno=socket.dup(sock.fileno())) as twin:  # the loop's own object allows no options
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
