"""Whether a stored reply may be used: freshness, age, staleness, wishes (RFC 9111 section 4.2, RFC 5861). Pure."""

from enum import IntEnum
from typing import Final

from gateway.core.cache_control import NO_WISHES, ReplyDirectives, RequestDirectives, parse_delta, read_request
from gateway.core.cache_reply import CacheRules, Freshness, StoredReply
from gateway.core.headers import Headers
from gateway.core.http_date import parse_http_date

# RFC 9110 section 15.1. 206 is one of them too, but ranges are not stored here.
HEURISTICALLY_CACHEABLE: Final = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
# What a route's ttl is for; how long errors are kept is said one by one.
_KEPT_BY_TTL: Final = frozenset({200, 203, 204, 300, 301, 308})

_HEURISTIC_FRACTION: Final = 0.1
_HEURISTIC_MAX_S: Final = 86_400.0


class Use(IntEnum):
    """What to do with a stored reply."""

    FRESH = 1
    """Answer with it."""
    STALE_ALLOWED = 2
    """Answer with it: the client takes stale replies."""
    STALE_WHILE_REVALIDATE = 3
    """Answer with it and ask the upstream in the background."""
    MUST_VALIDATE = 4
    """Ask the upstream first."""
    GATEWAY_TIMEOUT = 5
    """It cannot be used and the client wants the upstream left alone: 504 (RFC 9111 section 5.2.1.7)."""


def freshness_of(
    status: int,
    headers: Headers,
    directives: ReplyDirectives,
    rules: CacheRules,
    *,
    request_time_s: float,
    response_time_s: float,
) -> Freshness | None:
    """How long a reply is good for, or None where nobody says: neither upstream nor operator nor heuristic.

    headers: with Date, as `storable_lines` makes sure. Times are wall clock: when the request was sent, and when the
    reply's head was there.
    """
    initial_age_s = age_value(headers) + max(0.0, response_time_s - request_time_s)
    ruled = rules.negative.get(status, rules.ttl_s if status in _KEPT_BY_TTL else None)
    if rules.override and ruled is not None:
        return Freshness(
            lifetime_s=ruled,
            # The operator counts from when the gateway got it.
            is_explicit=False,
            stale_s=rules.stale_s,
            stale_if_error_s=rules.stale_if_error_s,
        )
    lifetime_s = explicit_lifetime_s(headers, directives, response_time_s)
    is_explicit = lifetime_s is not None
    if lifetime_s is None:
        lifetime_s = ruled
    if lifetime_s is None and rules.heuristic and (status in HEURISTICALLY_CACHEABLE or directives.public):
        lifetime_s = heuristic_lifetime_s(headers, response_time_s)
    if lifetime_s is None:
        return None
    stale_s = directives.stale_while_revalidate_s
    stale_if_error_s = directives.stale_if_error_s
    return Freshness(
        lifetime_s=lifetime_s,
        initial_age_s=initial_age_s,
        is_explicit=is_explicit,
        must_revalidate=directives.forbids_stale,
        no_cache=directives.no_cache,
        stale_s=rules.stale_s if stale_s is None else float(stale_s),
        stale_if_error_s=rules.stale_if_error_s if stale_if_error_s is None else float(stale_if_error_s),
    )


def explicit_lifetime_s(headers: Headers, directives: ReplyDirectives, response_time_s: float) -> float | None:
    """RFC 9111 section 4.2.1: s-maxage, max-age, Expires less Date, in this order; None where there is none of them.

    A date that cannot be read, or an Expires of several lines, is in the past (section 5.3). Beside a targeted field
    Expires does not count (RFC 9213 section 2.2).
    """
    if directives.s_maxage_s is not None:
        return float(directives.s_maxage_s)
    if directives.max_age_s is not None:
        return float(directives.max_age_s)
    if directives.is_targeted:
        return None
    expires = headers.get_list(b"expires")
    if expires is None:
        return None
    expires_s = parse_http_date(expires, response_time_s)
    if expires_s is None:
        return 0.0
    return max(0.0, expires_s - date_s(headers, response_time_s))


def heuristic_lifetime_s(headers: Headers, response_time_s: float) -> float | None:
    """A tenth of the time since the last change, a day at most (RFC 9111 section 4.2.2); None without Last-Modified."""
    last_modified = headers.get(b"last-modified")
    if last_modified is None:
        return None
    changed_s = parse_http_date(last_modified, response_time_s)
    if changed_s is None:
        return None
    unchanged_s = date_s(headers, response_time_s) - changed_s
    return min(_HEURISTIC_MAX_S, max(0.0, unchanged_s * _HEURISTIC_FRACTION))


def age_value(headers: Headers) -> float:
    """The Age that came with a reply: the first member of the first line, 0 where that is no number (section 5.1)."""
    if b"age" not in headers:
        return 0.0
    first = headers.get_all(b"age")[0].partition(b",")[0].strip(b" \t")
    return float(parse_delta(first) or 0)


def date_s(headers: Headers, response_time_s: float) -> float:
    """When the upstream made the reply; when it came, where Date says nothing that can be read (section 4.2.1)."""
    date = headers.get(b"date")
    made_s = None if date is None else parse_http_date(date, response_time_s)
    return response_time_s if made_s is None else float(made_s)


def judge_use(stored: StoredReply, request: Headers, now_s: float) -> Use:
    """What to do with a stored reply that the request selected. now_s: wall clock."""
    age_s = stored.age_s(now_s)
    if b"cache-control" not in request and b"pragma" not in request:
        # Nearly all requests, and all that such a one needs.
        if stored.lifetime_s > age_s and not stored.no_cache:
            return Use.FRESH
        return _judge(stored, NO_WISHES, age_s)
    wishes = read_request(request)
    use = _judge(stored, wishes, age_s)
    return Use.GATEWAY_TIMEOUT if use is Use.MUST_VALIDATE and wishes.only_if_cached else use


def _judge(stored: StoredReply, wishes: RequestDirectives, age_s: float) -> Use:
    if stored.no_cache or wishes.no_cache:
        return Use.MUST_VALIDATE
    if wishes.max_age_s is not None and age_s > wishes.max_age_s:
        return Use.MUST_VALIDATE
    stale_for_s = age_s - stored.lifetime_s
    if wishes.min_fresh_s is not None and -stale_for_s < wishes.min_fresh_s:
        return Use.MUST_VALIDATE
    if stale_for_s < 0:
        return Use.FRESH
    if stored.must_revalidate:
        return Use.MUST_VALIDATE
    if wishes.max_stale_s is not None and stale_for_s <= wishes.max_stale_s:
        return Use.STALE_ALLOWED
    # A client that names an age wants nothing stale, unless it says so too (section 5.2.1.1).
    if stale_for_s < stored.stale_s and wishes.max_age_s is None:
        return Use.STALE_WHILE_REVALIDATE
    return Use.MUST_VALIDATE


def may_use_on_error(stored: StoredReply, request: Headers, now_s: float) -> bool:
    """Whether the reply may stand in for an upstream that does not answer, or answers 500, 502, 503 or 504.

    The window is the reply's or the client's stale-if-error (RFC 5861 section 4). What must be revalidated is never
    used (RFC 9111 section 5.2.2.2), nor what may not be used without asking.
    """
    if stored.no_cache:
        return False
    stale_for_s = stored.age_s(now_s) - stored.lifetime_s
    if stale_for_s < 0:
        return True
    if stored.must_revalidate:
        return False
    window_s = stored.stale_if_error_s
    wished_s = read_request(request).stale_if_error_s
    return stale_for_s < (window_s if wished_s is None else max(window_s, float(wished_s)))
