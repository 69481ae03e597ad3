"""What the name of an endpoint stands for, asked again and again: services move, and connections would not notice."""

import asyncio
import logging
import socket

from gateway.upstreams.endpoint import Endpoint

_log = logging.getLogger("gateway")


async def resolve(endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> None:
    """Ask once. Where there is no answer, the last good one stays; before the first, the system is asked for each
    connection.
    """
    try:
        found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        if not endpoint.is_name_lost:
            endpoint.is_name_lost = True
            kept = ", ".join(endpoint.addresses) or "none"
            _log.warning(
                "upstream %s: %s cannot be resolved: %s; kept: %s",
                *(endpoint.upstream, endpoint.host, error.strerror or error, kept),
            )
        return
    # In the system's order (RFC 6724), each once.
    addresses = tuple(dict.fromkeys(str(info[4][0]) for info in found))
    if endpoint.is_name_lost:
        endpoint.is_name_lost = False
        _log.info("upstream %s: %s is resolved again", endpoint.upstream, endpoint.host)
    if addresses and set(addresses) != set(endpoint.addresses):
        if endpoint.addresses:
            _log.info("upstream %s: %s is now %s", endpoint.upstream, endpoint.host, ", ".join(addresses))
        endpoint.resolved(addresses)
