"""The Cache-Status header field (RFC 9211). Pure."""

from typing import Final

NAME: Final = b"gateway"

FORWARD_REASONS: Final = frozenset(
    {b"bypass", b"method", b"uri-miss", b"vary-miss", b"miss", b"request", b"stale", b"partial"}
)
"""Why a request went to the upstream (section 2.2)."""


def hit_status(ttl_s: float, detail: bytes = b"") -> bytes:
    """Answered from the cache; ttl_s: how long it is still fresh, negative when stale (section 2.4)."""
    value = b"%b; hit; ttl=%d" % (NAME, _whole(ttl_s))
    return value + b"; detail=" + detail if detail else value


def forward_status(
    reason: bytes,
    *,
    status: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    ttl_s: float | None = None,
) -> bytes:
    """Went to the upstream. status: of its reply, where the client gets another one, as after a 304 (section 2.3).
    collapsed: it waited for the request of another client (section 2.6). ttl_s: of what was stored.

    Raises ValueError for a reason that the RFC does not have.
    """
    if reason not in FORWARD_REASONS:
        raise ValueError(f"{reason!r} is no reason to forward; those of RFC 9211 are {sorted(FORWARD_REASONS)}")
    value = b"%b; fwd=%b" % (NAME, reason)
    if status is not None:
        value += b"; fwd-status=%d" % status
    if ttl_s is not None:
        value += b"; ttl=%d" % _whole(ttl_s)
    if stored:
        value += b"; stored"
    if collapsed:
        value += b"; collapsed"
    return value


def _whole(seconds: float) -> int:
    """An Integer of structured fields has 15 digits at most."""
    return int(max(-1e15 + 1, min(1e15 - 1, seconds)))
