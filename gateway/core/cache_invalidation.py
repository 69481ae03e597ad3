"""What an unsafe request makes invalid (RFC 9111 section 4.4). Pure."""

from typing import Final
from urllib.parse import urljoin, urlsplit

from gateway.core.headers import Headers

# RFC 9110 section 9.2.1. A method of which it is not known counts as unsafe.
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def invalidated_targets(
    method: str, status: int, scheme: str, authority: str, target: str, reply: Headers
) -> list[str]:
    """The targets (origin form) of this origin whose stored replies are invalid now: the request's own, and those that
    Location and Content-Location name. Empty for safe methods and for errors.

    scheme, authority: of the request, as the client named them. target: its path and query.
    """
    if method in SAFE_METHODS or not 200 <= status < 400:
        return []
    targets = [target]
    base = f"{scheme}://{authority}{target}"
    for name in (b"location", b"content-location"):
        value = reply.get(name)
        if value is not None:
            other = _same_origin_target(base, value.decode("latin-1"))
            if other is not None and other not in targets:
                targets.append(other)
    return targets


def _same_origin_target(base: str, reference: str) -> str | None:
    try:
        own, other = urlsplit(base), urlsplit(urljoin(base, reference))
        # Of another origin nothing may be invalidated: it could be anybody's.
        if (own.scheme, own.hostname, _port(own.scheme, own.port)) != (
            other.scheme,
            other.hostname,
            _port(other.scheme, other.port),
        ):
            return None
    except ValueError:
        return None
    path = other.path or "/"
    return f"{path}?{other.query}" if other.query else path


def _port(scheme: str, port: int | None) -> int | None:
    return _DEFAULT_PORTS.get(scheme) if port is None else port
