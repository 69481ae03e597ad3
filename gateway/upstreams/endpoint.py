"""One address of an upstream: how to get there, the connections, and what is known of it."""

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.upstreams.endpoint_series import EndpointSeries
from gateway.upstreams.pool import Pool
from gateway.upstreams.standing import Standing

_WARN_EVERY_S: Final = 60.0


class Endpoint:
    """`name` is its host and port, which it expects as Host; `server_name` is whom its certificate has to name. tls:
    None is plain HTTP. weight: as a choice has to take it, less than the table's amid a slow start. addresses: what the
    host's name stood for when it was last resolved; empty where the system is asked for each connection.
    """

    __slots__ = (
        "_loop",
        "_turn",
        "_warned_s",
        "addresses",
        "host",
        "is_name_lost",
        "name",
        "pool",
        "port",
        "series",
        "server_name",
        "standing",
        "tls",
        "upstream",
        "url",
        "weight",
    )

    def __init__(
        self,
        upstream: str,
        url: str,
        weight: int,
        pool: Pool,
        loop: asyncio.AbstractEventLoop,
        series: EndpointSeries,
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.upstream = upstream
        self.url = url
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.tls = tls
        self.server_name = server_name or parts.hostname
        self.name = parts.netloc
        self.weight = float(weight)
        self.pool = pool
        self.series = series
        self.standing = Standing(upstream, self.name, loop, series)
        self.addresses: tuple[str, ...] = ()
        # Whether the last try to resolve the name failed.
        self.is_name_lost = False
        self._loop = loop
        self._turn = 0
        self._warned_s = -_WARN_EVERY_S

    @property
    def in_flight(self) -> int:
        """Requests under way there from this worker, streams included."""
        return self.pool.in_use

    @property
    def has_name(self) -> bool:
        """Whether the host is a name, and no address."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False

    def succeeded(self) -> None:
        """An attempt got an answer that does not count against the endpoint. Need not be called while
        `Upstream.is_failing` is False.
        """
        if self.standing.ejections.failures:
            self.standing.succeeded()

    def failed(self, cause: str) -> None:
        """An attempt failed. cause: as operators list it under `retry.on`, or a status as text."""
        self.standing.failed(cause)

    def next_address(self) -> str:
        """Where the next connection goes to: its addresses in turn, or its host where they are not known."""
        if not self.addresses:
            return self.host
        self._turn += 1
        return self.addresses[self._turn % len(self.addresses)]

    async def connect(self, make: Callable[[], Any]) -> asyncio.Transport:
        """Connect to the next of its addresses that takes a connection. make: makes the protocol, a pooled connection;
        called once. Raises OSError.
        """
        connection = make()
        refused: OSError | None = None
        for _ in range(max(1, len(self.addresses))):
            address = self.next_address()
            try:
                transport, _ = await self._loop.create_connection(lambda: connection, address, self.port)
            except OSError as error:
                refused = error
            else:
                if self.addresses:
                    self.pool.note_address(connection, address)
                return transport
        assert refused is not None
        raise refused

    def resolved(self, addresses: tuple[str, ...]) -> None:
        """Its name stands for these, at least one: connections to others end as soon as they are idle."""
        self.addresses = addresses
        self.pool.keep_only(frozenset(addresses))

    def may_warn(self, now_s: float) -> bool:
        """Whether a warning of the same kind is due again: one a minute. Counted as given."""
        if now_s - self._warned_s < _WARN_EVERY_S:
            return False
        self._warned_s = now_s
        return True

    def close(self) -> None:
        """No further request goes there; those under way end."""
        self.pool.close()
        self.standing.close()

    def report(self) -> dict[str, object]:
        """What the operators see of it in one worker (`/upstreams`). since: wall clock, seconds."""
        standing, pool = self.standing, self.pool
        return {
            "upstream": self.upstream,
            "endpoint": self.name,
            "state": standing.state,
            "why": standing.why,
            "since": standing.since_s,
            "weight": round(self.weight, 3),
            "in_flight": pool.in_use,
            "open": pool.open,
            "idle": pool.open - pool.in_use,
            "waiting": pool.waiting,
            "failures": standing.ejections.failures,
            "ejections": int(self.series.ejections.value),
            "addresses": list(self.addresses),
        }

    def __repr__(self) -> str:
        return f"<Endpoint {self.name} {self.pool!r}>"
