"""Which replies may be stored, and with which header fields (RFC 9111 section 3). Pure."""

from typing import Final

from gateway.core.cache_control import ReplyDirectives, read_reply, read_request
from gateway.core.cache_freshness import HEURISTICALLY_CACHEABLE, freshness_of
from gateway.core.cache_reply import CacheRules, Freshness, StoredReply
from gateway.core.cache_variants import vary_names
from gateway.core.entity_tags import is_entity_tag
from gateway.core.headers import HOP_BY_HOP, HeaderLine, Headers, connection_options
from gateway.core.http_date import format_http_date, parse_http_date

# Those of RFC 9110 whose replies need nothing beyond this file; 206 and 304 would.
_UNDERSTOOD: Final = frozenset(
    {200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 305, 307, 308}
    | {400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426}
    | {500, 501, 502, 503, 504, 505}
)
# RFC 9111 section 3.1: of a client's proxy configuration. Age is made anew for each use, Content-Length by the lane.
_NEVER_STORED: Final = HOP_BY_HOP | frozenset({b"proxy-authentication-info", b"age", b"content-length"})


class NotStorable:
    """Why a reply is not stored: one or two words, for logs and metrics."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason: Final = reason

    def __repr__(self) -> str:
        return f"<NotStorable {self.reason}>"


class Storable:
    """A reply that may be stored, once its body is there. Made of the upstream's head as it came."""

    __slots__ = ("coding", "directives", "etag", "freshness", "last_modified", "response_time_s")

    def __init__(
        self, headers: Headers, directives: ReplyDirectives, freshness: Freshness, response_time_s: float
    ) -> None:
        self.directives: Final = directives
        self.freshness: Final = freshness
        self.response_time_s: Final = response_time_s
        self.etag: Final = valid_etag(headers)
        self.last_modified: Final = valid_last_modified(headers, response_time_s)
        self.coding: Final = headers.get_list(b"content-encoding")

    def stored(
        self, status: int, headers: Headers, body: bytes, tags: tuple[str, ...] = ()
    ) -> "StoredReply | NotStorable":
        """What to store. headers: as the client gets them, after `compress` and before anything that is made for one
        client. body: whole, as the client gets it.
        """
        vary = vary_names(headers)
        if vary is None:
            return NotStorable("vary")
        freshness = self.freshness
        return StoredReply(
            status=status,
            headers=storable_lines(headers, self.directives, self.response_time_s),
            body=body,
            response_time_s=self.response_time_s,
            initial_age_s=freshness.initial_age_s,
            lifetime_s=freshness.lifetime_s,
            must_revalidate=freshness.must_revalidate,
            no_cache=freshness.no_cache,
            stale_s=freshness.stale_s,
            stale_if_error_s=freshness.stale_if_error_s,
            vary=vary,
            etag=self.etag,
            last_modified=self.last_modified,
            is_recoded=self.coding != headers.get_list(b"content-encoding"),
            tags=tags,
        )


def judge_store(
    method: str,
    request: Headers,
    status: int,
    reply: Headers,
    rules: CacheRules,
    *,
    request_time_s: float,
    response_time_s: float,
) -> Storable | NotStorable:
    """Whether the reply to a GET may be stored (RFC 9111 section 3).

    request: as the client sent it. reply: as the upstream sent it, before `compress`. Times are wall clock: when the
    request was sent, and when the reply's head was there.
    """
    if method != "GET":
        return NotStorable("method")
    if status < 200 or status in (206, 304):
        return NotStorable("status")
    if read_request(request).no_store:
        return NotStorable("request no-store")
    directives = read_reply(reply)
    forbidden = _forbidden(directives, request, status, rules)
    if forbidden:
        return NotStorable(forbidden)
    if vary_names(reply) is None:
        return NotStorable("vary")
    freshness = freshness_of(
        status, reply, directives, rules, request_time_s=request_time_s, response_time_s=response_time_s
    )
    if freshness is None:
        # Nobody says how long, so it is good for being validated at best.
        if status not in HEURISTICALLY_CACHEABLE and not directives.public:
            return NotStorable("status")
        freshness = Freshness(lifetime_s=0.0, must_revalidate=directives.forbids_stale, no_cache=directives.no_cache)
    if b"set-cookie" in reply and not _is_shared_knowingly(freshness):
        return NotStorable("set-cookie")
    storable = Storable(reply, directives, freshness, response_time_s)
    if storable.etag is None and storable.last_modified is None and not _is_ever_usable(freshness):
        return NotStorable("no freshness")
    return storable


def _forbidden(directives: ReplyDirectives, request: Headers, status: int, rules: CacheRules) -> str:
    is_understood = directives.must_understand and status in _UNDERSTOOD
    if directives.must_understand and not is_understood:
        return "must-understand"
    # RFC 9111 section 5.2.2.3: who understands the status goes by what else is said.
    if directives.no_store and not is_understood:
        return "no-store"
    if directives.private and not rules.override:
        return "private"
    # RFC 9111 section 3.5. No override: that says how long, not for whom.
    is_for_all = directives.public or directives.must_revalidate or directives.s_maxage_s is not None
    if b"authorization" in request and not is_for_all and not rules.has_scope:
        return "authorization"
    return ""


def _is_shared_knowingly(freshness: Freshness) -> bool:
    """Whether the upstream said that others may have this reply unasked: else its cookie is one client's, which even a
    reply that is always validated would give to the next one (RFC 9111 section 7.3 leaves it to the upstream to say).
    """
    return freshness.is_explicit and freshness.lifetime_s > 0 and not freshness.no_cache


def _is_ever_usable(freshness: Freshness) -> bool:
    if freshness.no_cache:
        return False
    stale_s = 0.0 if freshness.must_revalidate else max(freshness.stale_s, freshness.stale_if_error_s)
    return freshness.lifetime_s + stale_s > freshness.initial_age_s


def storable_lines(headers: Headers, directives: ReplyDirectives, response_time_s: float) -> tuple[HeaderLine, ...]:
    """The lines that are stored: all but those of the connection, of proxies and of Age, and those that `private` and
    `no-cache` name (RFC 9111 sections 3.1, 5.2.2.4, 5.2.2.7). A missing Date is added (RFC 9110 section 6.6.1).
    """
    left_out = _NEVER_STORED | connection_options(headers) | directives.private_fields | directives.no_cache_fields
    lines = [line for line in headers if line[0] not in left_out]
    if b"date" not in headers:
        lines.append((b"date", format_http_date(response_time_s)))
    return tuple(lines)


def valid_etag(headers: Headers) -> bytes | None:
    """The entity tag, where there is one that can be compared."""
    etag = headers.get(b"etag")
    if etag is None or headers.is_repeated(b"etag") or not is_entity_tag(etag):
        return None
    return etag


def valid_last_modified(headers: Headers, now_s: float) -> bytes | None:
    """The date of the last change as it came, where it is a date."""
    value = headers.get(b"last-modified")
    if value is None or headers.is_repeated(b"last-modified") or parse_http_date(value, now_s) is None:
        return None
    return value
