"""Under what a reply is kept: whose it is, and the name of a variant. Pure."""

from collections.abc import Callable, Sequence
from typing import Final

from gateway.core.cache_variants import Normaliser, secondary_key
from gateway.core.content_coding import choose_coding
from gateway.core.headers import Headers
from gateway.core.identity import IDENTITY_HEADERS, Identity
from gateway.core.kept_replies import CacheKey, scope_text
from gateway.core.paths import PathNotCanonical, normal_form

_NAMES_MAX: Final = 1_024

# Fields by which some servers choose another resource or method than the request line says: what they would put in
# place of it must not be kept under that line's key.
_HIJACKING: Final = (
    *(b"x-http-method-override", b"x-http-method", b"x-method-override"),
    *(b"x-original-url", b"x-rewrite-url", b"x-forwarded-prefix"),
)

ScopeOf = Callable[[Identity | None], str | None]


def choose_scope(scope: str) -> ScopeOf:
    """What the key begins with, for "public", "tenant" or "user"; None for a caller who is none of that, and then
    nothing is kept: whom a credential does not name is nobody's tenant.
    """
    return {"public": _public, "tenant": _tenant, "user": _user}[scope]


def _public(identity: Identity | None) -> str | None:
    return ""


def _tenant(identity: Identity | None) -> str | None:
    return None if identity is None or not identity.tenant else scope_text(identity.tenant)


def _user(identity: Identity | None) -> str | None:
    if identity is None or not identity.tenant or not identity.user:
        return None
    return scope_text(identity.tenant, identity.user)


def origin_of(scheme: str, authority: str, request: Headers, *, is_trusted: bool) -> tuple[str, str]:
    """The scheme and authority that were asked for. A trusted proxy says for which ones it asks, and the upstream hears
    it (`proxy/heads.py`), so the reply is under these.
    """
    if is_trusted:
        sent = request.get(b"x-forwarded-proto")
        scheme = scheme if sent is None else sent.decode("latin-1")
        sent = request.get(b"x-forwarded-host")
        authority = authority if sent is None else sent.decode("latin-1")
    return scheme, authority


def keys_of_target(identity: Identity | None, scheme: str, authority: str, target: str) -> list[CacheKey]:
    """Where replies for a target may be kept that this caller gets: for all, for the tenant, for the user."""
    raw_path, _, query = target.partition("?")
    try:
        path = normal_form(raw_path)
    except PathNotCanonical:
        # Nothing is served under such a path, so nothing is kept.
        return []
    scopes = [scope for of in (_public, _tenant, _user) if (scope := of(identity)) is not None]
    return [(scope, scheme, authority, path, query) for scope in scopes]


def may_fill(method: str, request: Headers) -> bool:
    """Whether the reply to a request may be kept for others: it is the whole of what its request line names."""
    return method == "GET" and b"range" not in request and not any(name in request for name in _HIJACKING)


def takes(request: Headers, coding: str) -> bool:
    """Whether the client takes a coding that the upstream chose for another one."""
    return choose_coding(request.get_list(b"accept-encoding"), (coding,)) == coding


class Names:
    """The names of a route's variants. group: of the route and its upstream, so that what two of them keep under one
    URL is told apart. vary: request fields that count whatever the reply says, identity fields as verified. codings:
    those that the gateway compresses with, the best first.
    """

    __slots__ = ("_by_coding", "_normalise", "_prefix", "_vary")

    def __init__(self, group: str, vary: Sequence[str], codings: tuple[str, ...]) -> None:
        self._prefix: Final = group.encode() + b"|"
        self._vary: Final = tuple(sorted(name.encode() for name in vary))
        self._normalise: Final[dict[bytes, Normaliser]] = {}
        if codings:
            self._normalise[b"accept-encoding"] = lambda value: (choose_coding(value, codings) or "none").encode()
        self._by_coding: Final[dict[bytes | None, bytes]] = {}

    def of(self, vary: tuple[bytes, ...], request: Headers, identity: Identity | None) -> bytes:
        """The name of the variant for a request where the reply was chosen by the fields `vary`."""
        if self._vary:
            vary = (*self._vary, *vary)
        elif not vary:
            return self._prefix
        elif vary == _ACCEPT_ENCODING and not request.is_repeated(b"accept-encoding"):
            # Nearly all of them, and few different values.
            value = request.get(b"accept-encoding")
            name = self._by_coding.get(value)
            if name is None:
                name = self._prefix + secondary_key(vary, request, self._normalise)
                if len(self._by_coding) < _NAMES_MAX and len(value or b"") <= 256:
                    self._by_coding[value] = name
            return name
        if not IDENTITY_HEADERS.isdisjoint(vary):
            # What a client says of itself is not what the upstream chose by.
            lines = [line for line in request if line[0] not in IDENTITY_HEADERS]
            request = Headers([*lines, *(() if identity is None else identity.upstream_headers)])
        return self._prefix + secondary_key(vary, request, self._normalise)


_ACCEPT_ENCODING: Final = (b"accept-encoding",)
