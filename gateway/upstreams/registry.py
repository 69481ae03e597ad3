"""The upstreams as they are now: endpoints, pools, requests under way, retry budgets.

This state outlives a snapshot. It is kept under the upstream's name *and* the settings that shape it, so that a reload
that leaves an upstream alone leaves its connections alone.
"""

import asyncio
import random
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from gateway.config.tls import client_context
from gateway.core.balancing import SmoothRoundRobin, least_requests, random_two
from gateway.core.retry import RetryBudget
from gateway.upstreams.guard import Guard
from gateway.upstreams.pool import Pool

Balance = Literal["round_robin", "least_requests", "random_two"]


_WARN_EVERY_S = 60.0


@dataclass(frozen=True)
class TlsShape:
    """TLS to the https endpoints: PEM texts, "" for the system's authorities and for no certificate of our own.
    server_name: "" is each endpoint's host.
    """

    ca: str = ""
    server_name: str = ""
    client_cert: str = ""
    client_key: str = field(default="", repr=False)
    verify: bool = True


@dataclass(frozen=True)
class UpstreamShape:
    """What makes two upstreams of one name the same. endpoints: (URL, weight). Times are seconds."""

    name: str
    endpoints: tuple[tuple[str, int], ...]
    balance: Balance
    pool_max: int
    pool_idle_s: float
    tls: TlsShape = TlsShape()


class Endpoint:
    """One address of an upstream. `name` is its host and port, which it expects as Host; `server_name` is whom its
    certificate has to name. tls: None is plain HTTP.
    """

    __slots__ = ("_warned_s", "host", "name", "pool", "port", "server_name", "tls", "weight")

    def __init__(
        self, url: str, weight: int, pool: Pool, tls: ssl.SSLContext | None = None, server_name: str = ""
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.tls = tls
        self.server_name = server_name or parts.hostname
        self.name = parts.netloc
        self.weight = weight
        self.pool = pool
        self._warned_s = -_WARN_EVERY_S

    @property
    def in_flight(self) -> int:
        """Requests under way there from this worker, streams included."""
        return self.pool.in_use

    def may_warn(self, now_s: float) -> bool:
        """Whether a warning of the same kind is due again: one a minute. Counted as given."""
        if now_s - self._warned_s < _WARN_EVERY_S:
            return False
        self._warned_s = now_s
        return True

    def __repr__(self) -> str:
        return f"<Endpoint {self.name} {self.pool!r}>"


class Upstream:
    """A named service and the live state of its endpoints."""

    __slots__ = ("_choose", "endpoints", "guard", "retry_budget", "shape")

    def __init__(self, shape: UpstreamShape, loop: asyncio.AbstractEventLoop, rng: random.Random) -> None:
        self.shape = shape
        tls = shape.tls
        context: ssl.SSLContext | None = None
        if any(url.startswith("https:") for url, _ in shape.endpoints):
            context = client_context(tls.ca, tls.client_cert, tls.client_key, verify=tls.verify)
        self.endpoints = tuple(
            Endpoint(
                url,
                weight,
                Pool(loop, shape.pool_max, shape.pool_idle_s),
                context if url.startswith("https:") else None,
                tls.server_name,
            )
            for url, weight in shape.endpoints
        )
        self.retry_budget = RetryBudget()
        # Its circuit breaker and its limit, where it has them; set as a table says so.
        self.guard: Guard | None = None
        self._choose = _chooser(shape.balance, rng)

    def choose(self, tried: Sequence[Endpoint]) -> Endpoint:
        """The endpoint for the next attempt: one not tried yet, where there is one."""
        candidates: Sequence[Endpoint] = self.endpoints
        if len(candidates) == 1:
            return candidates[0]
        if tried:
            candidates = [endpoint for endpoint in candidates if endpoint not in tried] or candidates
        return self._choose(candidates)

    def close(self) -> None:
        for endpoint in self.endpoints:
            endpoint.pool.close()

    def __repr__(self) -> str:
        return f"<Upstream {self.shape.name} {list(self.endpoints)!r}>"


def _chooser(balance: Balance, rng: random.Random) -> Callable[[Sequence[Endpoint]], Endpoint]:
    if balance == "least_requests":
        return lambda candidates: least_requests(candidates, rng)
    if balance == "random_two":
        return lambda candidates: random_two(candidates, rng)
    return SmoothRoundRobin({}).choose


class Registry:
    """Every upstream in use, by shape."""

    def __init__(self, loop: asyncio.AbstractEventLoop, rng: random.Random) -> None:
        self._loop = loop
        self._rng = rng
        self._upstreams: dict[UpstreamShape, Upstream] = {}

    def upstream(self, shape: UpstreamShape) -> Upstream:
        """The upstream of that shape, the same one each time."""
        found = self._upstreams.get(shape)
        if found is None:
            found = self._upstreams[shape] = Upstream(shape, self._loop, self._rng)
        return found

    def close(self) -> None:
        for upstream in self._upstreams.values():
            upstream.close()
        self._upstreams.clear()
