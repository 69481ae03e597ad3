"""One port for several processes: SO_REUSEPORT, where the kernel spreads new connections over those that listen."""

import socket


def reserve_port(host: str, port: int) -> socket.socket:
    """A socket that holds the port for the workers and never listens. Raises OSError where somebody else has it.

    host: an address, or a name of which the first address is taken. port: 0 takes a free one.
    """
    if port:
        # With SO_REUSEPORT alone, two gateways of one user would share the port without a word.
        family, address = _resolve(host, port)
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    try:
        # Without SO_REUSEADDR, so that the probe of a second gateway fails also while no worker listens.
        return _bind(host, port, socket.SO_REUSEPORT)
    except OSError:
        # Nobody listens, yet closed connections of another server keep the port for a minute (TIME_WAIT).
        return bind_shared(host, port)


def bind_shared(host: str, port: int) -> socket.socket:
    """A socket bound to a port that others may bind as well, not listening. Raises OSError."""
    return _bind(host, port, socket.SO_REUSEPORT, socket.SO_REUSEADDR)


def address_text(host: str, port: int) -> str:
    """As it stands in a URL: an IPv6 address in brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(host: str, port: int, *options: int) -> socket.socket:
    family, address = _resolve(host, port)
    sock = socket.socket(family)
    try:
        for option in options:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _resolve(host: str, port: int) -> tuple[int, tuple[str | int, ...] | tuple[int, bytes]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return found[0][0], found[0][4]
