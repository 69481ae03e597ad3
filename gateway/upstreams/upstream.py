"""A named service: which of its endpoints gets the next request.

What a choice goes by is worked out when an endpoint's standing changes, never per request: `rotation` holds those that
get requests,
- the endpoints that are well by their probes and not ejected;
- where there is none: those that are well by their probes. To be ejected is a suspicion;
- where there is none: all. If every endpoint looks dead, it may as well be the probes that are wrong, and a request
  that is tried can succeed, while one that is refused cannot.
"""

import logging
import random
from collections.abc import Callable, Sequence

from gateway.core.balancing import SmoothRoundRobin, least_requests, random_two
from gateway.core.ejection import may_eject
from gateway.core.ketama import Ring
from gateway.core.retry import RetryBudget
from gateway.plugin_api import Exchange
from gateway.upstreams.endpoint import Endpoint
from gateway.upstreams.guard import Guard
from gateway.upstreams.hash_key import KeyReader, key_reader
from gateway.upstreams.shape import Balance, UpstreamShape

_log = logging.getLogger("gateway")


class Upstream:
    """The live state of one upstream of one table. Its endpoints may be shared with that of an older table.

    rotation: see above; never empty. is_failing: the last attempt on one of the endpoints failed, so that successes
    have to be told to it. is_panicking: every endpoint looks dead, and all are tried.
    """

    __slots__ = (
        "_by_name",
        "_choose",
        "_key",
        "_ring",
        "endpoints",
        "guard",
        "is_failing",
        "is_panicking",
        "retry_budget",
        "rotation",
        "shape",
    )

    def __init__(self, shape: UpstreamShape, endpoints: Sequence[Endpoint], rng: random.Random) -> None:
        """endpoints: in the shape's order."""
        self.shape = shape
        self.endpoints = tuple(endpoints)
        self.rotation = self.endpoints
        self.is_failing = False
        self.is_panicking = False
        self.retry_budget = RetryBudget()
        # Its circuit breaker and its limit, where it has them; set as a table says so.
        self.guard: Guard | None = None
        self._by_name = {endpoint.name: endpoint for endpoint in self.endpoints}
        self._choose = _chooser(shape.balance, rng)
        self._key: KeyReader | None = None
        self._ring: Ring[Endpoint] | None = None
        if shape.balance == "hash" and len(self.endpoints) > 1:
            self._key = key_reader(shape.hash_on)
            pairs = zip(self.endpoints, shape.endpoints, strict=True)
            self._ring = Ring([(endpoint, endpoint.name, weight) for endpoint, (_, weight) in pairs])
        # Not `refresh`, for the endpoints may serve another table still.
        self.rotation = self._rotation()

    def succeed(self, former: "Upstream") -> None:
        """Go on from what is known of the same service with other settings."""
        self.guard = former.guard
        self.retry_budget = former.retry_budget

    def choose(self, tried: Sequence[Endpoint], exchange: Exchange | None = None) -> Endpoint:
        """The endpoint for the next attempt: one not tried yet, where there is one. exchange: only for balance hash."""
        candidates = self.rotation
        if tried:
            candidates = self._left(tried)
        if len(candidates) == 1:
            return candidates[0]
        if self._ring is not None and self._key is not None and exchange is not None:
            key = self._key(exchange)
            if key:
                return self._ring.choose(key, candidates)
        return self._choose(candidates)

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint of that name. Raises KeyError."""
        return self._by_name[name]

    def take_charge(self) -> None:
        """This one is in force: look after the endpoints by its rules."""
        for endpoint in self.endpoints:
            endpoint.standing.look_after(self.shape.care, self)
        self.refresh()

    def may_eject(self) -> bool:
        """Whether one more endpoint may be ejected."""
        rule = self.shape.care.eject
        if rule is None:
            return False
        ejected = sum(endpoint.standing.ejections.is_out for endpoint in self.endpoints)
        in_rotation = sum(endpoint.standing.is_in for endpoint in self.endpoints)
        return may_eject(len(self.endpoints), ejected, in_rotation, rule.at_most)

    def refresh(self) -> None:
        """Work out anew who gets requests, and what share."""
        is_failing = False
        is_panicking = True
        for endpoint, (_, weight) in zip(self.endpoints, self.shape.endpoints, strict=True):
            standing = endpoint.standing
            endpoint.weight = weight * standing.share
            endpoint.series.up.set(standing.is_in)
            is_failing = is_failing or standing.ejections.failures > 0
            is_panicking = is_panicking and standing.is_unwell
        self.is_failing = is_failing
        self.rotation = self._rotation()
        if is_panicking and not self.is_panicking:
            _log.warning("upstream %s: no endpoint is well, so all of them are tried", self.shape.name)
        self.is_panicking = is_panicking

    def _rotation(self) -> tuple[Endpoint, ...]:
        return (
            tuple([endpoint for endpoint in self.endpoints if endpoint.standing.is_in])
            or tuple([endpoint for endpoint in self.endpoints if not endpoint.standing.is_unwell])
            or self.endpoints
        )

    def _left(self, tried: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
        """Who has not been tried, of those that get requests, else of all; else those that get requests once more."""
        left = tuple([endpoint for endpoint in self.rotation if endpoint not in tried])
        return left or tuple([endpoint for endpoint in self.endpoints if endpoint not in tried]) or self.rotation

    def __repr__(self) -> str:
        return f"<Upstream {self.shape.name} {list(self.endpoints)!r}>"


def _chooser(balance: Balance, rng: random.Random) -> Callable[[Sequence[Endpoint]], Endpoint]:
    if balance == "least_requests":
        return lambda candidates: least_requests(candidates, rng)
    if balance == "random_two":
        return lambda candidates: random_two(candidates, rng)
    # Of hash as well, for requests that have no key.
    return SmoothRoundRobin({}).choose
