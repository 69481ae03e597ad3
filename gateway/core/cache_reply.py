"""The words of the cache: the rules of a route, and a stored reply. Pure."""

from collections.abc import Mapping
from typing import Final

from gateway.core.headers import HeaderLine

_NO_STATUSES: Final[Mapping[int, float]] = {}


class CacheRules:
    """How a route keeps replies, resolved at load.

    ttl_s: how long a successful reply or permanent redirect is fresh of which the upstream says nothing; None: it is
    not kept. override: the ttl counts whatever the upstream says; only `no-store` is still obeyed. stale_s,
    stale_if_error_s: how long a stale reply may be used while it is fetched anew, and where fetching fails, if the
    upstream says neither how long nor that it may not be. negative: status -> ttl of replies that the ttl is not for.
    heuristic: guess a ttl from Last-Modified (RFC 9111 section 4.2.2). has_scope: the operator said who shares the
    replies to requests with Authorization, so they are kept without the upstream's leave (RFC 9111 section 3.5).
    """

    __slots__ = ("has_scope", "heuristic", "negative", "override", "stale_if_error_s", "stale_s", "ttl_s")

    def __init__(
        self,
        *,
        ttl_s: float | None = None,
        override: bool = False,
        stale_s: float = 0.0,
        stale_if_error_s: float = 0.0,
        negative: Mapping[int, float] = _NO_STATUSES,
        heuristic: bool = False,
        has_scope: bool = False,
    ) -> None:
        self.ttl_s: float | None = ttl_s
        self.override: bool = override
        self.stale_s: float = stale_s
        self.stale_if_error_s: float = stale_if_error_s
        self.negative: Mapping[int, float] = negative
        self.heuristic: bool = heuristic
        self.has_scope: bool = has_scope


class Freshness:
    """How long a reply is good for, in seconds; `initial_age_s` is its age when it was received."""

    __slots__ = (
        "initial_age_s",
        "is_explicit",
        "lifetime_s",
        "must_revalidate",
        "no_cache",
        "stale_if_error_s",
        "stale_s",
    )

    def __init__(
        self,
        *,
        lifetime_s: float,
        initial_age_s: float = 0.0,
        is_explicit: bool = True,
        must_revalidate: bool = False,
        no_cache: bool = False,
        stale_s: float = 0.0,
        stale_if_error_s: float = 0.0,
    ) -> None:
        self.lifetime_s: float = lifetime_s
        self.initial_age_s: float = initial_age_s
        self.is_explicit: bool = is_explicit
        """Whether the upstream gave the lifetime."""
        self.must_revalidate: bool = must_revalidate
        self.no_cache: bool = no_cache
        self.stale_s: float = stale_s
        self.stale_if_error_s: float = stale_if_error_s


class StoredReply:
    """A whole reply as its next client gets it, less Age. Never changed: freshening makes another one.

    response_time_s, initial_age_s, lifetime_s, stale_s, stale_if_error_s: as of RFC 9111 section 4.2; times are wall
    clock. must_revalidate: never to be used stale. no_cache: never to be used without asking. vary: the request fields
    it was chosen by, sorted, lower case. etag, last_modified: the upstream's own validators; the ETag among the headers
    may be a weak form of it. is_recoded: the gateway compressed the body, so what the upstream says of the bytes does
    not hold for these.
    """

    __slots__ = (
        "body",
        "etag",
        "headers",
        "initial_age_s",
        "is_recoded",
        "last_modified",
        "lifetime_s",
        "must_revalidate",
        "no_cache",
        "response_time_s",
        "stale_if_error_s",
        "stale_s",
        "status",
        "tags",
        "vary",
    )

    def __init__(
        self,
        *,
        status: int,
        headers: tuple[HeaderLine, ...],
        body: bytes,
        response_time_s: float,
        initial_age_s: float,
        lifetime_s: float,
        must_revalidate: bool = False,
        no_cache: bool = False,
        stale_s: float = 0.0,
        stale_if_error_s: float = 0.0,
        vary: tuple[bytes, ...] = (),
        etag: bytes | None = None,
        last_modified: bytes | None = None,
        is_recoded: bool = False,
        tags: tuple[str, ...] = (),
    ) -> None:
        self.status: Final = status
        self.headers: Final = headers
        self.body: Final = body
        self.response_time_s: Final = response_time_s
        self.initial_age_s: Final = initial_age_s
        self.lifetime_s: Final = lifetime_s
        self.must_revalidate: Final = must_revalidate
        self.no_cache: Final = no_cache
        self.stale_s: Final = stale_s
        self.stale_if_error_s: Final = stale_if_error_s
        self.vary: Final = vary
        self.etag: Final = etag
        self.last_modified: Final = last_modified
        self.is_recoded: Final = is_recoded
        self.tags: Final = tags

    @property
    def has_validator(self) -> bool:
        """Whether the upstream can be asked if the reply still holds."""
        return self.etag is not None or self.last_modified is not None

    def age_s(self, now_s: float) -> float:
        """Its current age (RFC 9111 section 4.2.3); a clock that was set back makes nothing younger than it came."""
        return self.initial_age_s + max(0.0, now_s - self.response_time_s)

    def useful_until_s(self) -> float:
        """Wall clock after which the reply could at best be validated: how long a store should keep it at least."""
        left_s = self.lifetime_s - self.initial_age_s + max(self.stale_s, self.stale_if_error_s)
        return self.response_time_s + max(0.0, left_s)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StoredReply):
            return False
        return self._all() == other._all()

    __hash__ = None  # type: ignore[assignment]

    def _all(self) -> tuple[object, ...]:
        return (
            self.status,
            self.headers,
            self.body,
            self.response_time_s,
            self.initial_age_s,
            self.lifetime_s,
            self.must_revalidate,
            self.no_cache,
            self.stale_s,
            self.stale_if_error_s,
            self.vary,
            self.etag,
            self.last_modified,
            self.is_recoded,
            self.tags,
        )

    def __repr__(self) -> str:
        return f"<StoredReply {self.status} {len(self.body)} bytes, {self.lifetime_s - self.initial_age_s:g} s>"
