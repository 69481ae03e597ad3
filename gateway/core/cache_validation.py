"""Asking the upstream whether a stored reply still holds, and what its answer changes (RFC 9111 section 4.3). Pure."""

from typing import Final

from gateway.core.cache_control import read_reply
from gateway.core.cache_freshness import freshness_of
from gateway.core.cache_reply import CacheRules, Freshness, StoredReply
from gateway.core.cache_storing import storable_lines, valid_etag, valid_last_modified
from gateway.core.cache_variants import vary_names
from gateway.core.entity_tags import is_matched, is_strong, opaque, parse_tags
from gateway.core.headers import HeaderLine, Headers, add_to_vary

# RFC 9111 section 3.2: processed where it stands, never a property of the whole that is stored.
_NOT_UPDATED: Final = frozenset({b"content-range"})
# They hold for the bytes that the upstream sent, which are not these where the gateway compressed.
_NOT_UPDATED_IF_RECODED: Final = frozenset(
    {b"content-encoding", b"accept-ranges", b"content-digest", b"content-md5", b"repr-digest"}
)

CONDITIONS: Final = (b"if-none-match", b"if-modified-since")
"""What `conditional_lines` replaces in the request to the upstream."""


def conditional_lines(stored: StoredReply, request: Headers) -> list[HeaderLine]:
    """The lines that ask the upstream about a stored reply, instead of the client's `CONDITIONS`; empty where there is
    no validator, and the client's stay.

    The client's own tags are asked about with it (RFC 9111 section 4.3.2): where only they match, a 304 is all that the
    client needs. Its date is not: a match of a later one would say nothing about the stored reply.
    """
    lines: list[HeaderLine] = []
    if stored.etag is not None:
        own = opaque(stored.etag)
        others = [tag for tag in parse_tags(request.get_list(b"if-none-match") or b"") if opaque(tag) != own]
        lines.append((b"if-none-match", b", ".join([stored.etag, *others])))
    if stored.last_modified is not None:
        lines.append((b"if-modified-since", stored.last_modified))
    return lines


def client_has(request: Headers, reply_304: Headers) -> bool:
    """Whether a 304 that freshens nothing here is meant for the client: it names a tag that the client sent."""
    condition = request.get_list(b"if-none-match")
    return condition is not None and is_matched(condition, reply_304.get(b"etag"))


def freshen(
    stored: StoredReply,
    reply: Headers,
    rules: CacheRules,
    *,
    request_time_s: float,
    response_time_s: float,
) -> StoredReply | None:
    """The stored reply as a 304 updates it (RFC 9111 sections 3.2 and 4.3.4).

    reply: the header of the 304 as the upstream sent it. None where it is about another representation: then nothing
    stored may be updated or used by it. Times are wall clock.
    """
    if not _identifies(stored, reply, response_time_s):
        return None
    return _updated(stored, reply, rules, request_time_s, response_time_s)


def freshen_by_head(
    stored: StoredReply,
    reply: Headers,
    length: int | None,
    rules: CacheRules,
    *,
    request_time_s: float,
    response_time_s: float,
) -> StoredReply | None:
    """The stored reply to GET as a 200 to HEAD updates it, or None: they differ, it is to be dropped (section 4.3.5).

    length: the Content-Length of the reply, None where it has none; it says nothing of a body that was recoded.
    """
    etag, last_modified = valid_etag(reply), valid_last_modified(reply, response_time_s)
    if etag is not None and etag != stored.etag:
        return None
    if last_modified is not None and last_modified != stored.last_modified:
        return None
    if length is not None and length != len(stored.body) and not stored.is_recoded:
        return None
    return _updated(stored, reply, rules, request_time_s, response_time_s)


def _identifies(stored: StoredReply, reply: Headers, now_s: float) -> bool:
    etag = valid_etag(reply)
    if etag is not None:
        if stored.etag is None:
            return False
        # A strong tag identifies by strong comparison alone.
        return etag == stored.etag if is_strong(etag) else opaque(etag) == opaque(stored.etag)
    last_modified = valid_last_modified(reply, now_s)
    if last_modified is not None:
        return last_modified == stored.last_modified
    # Without a validator of its own it answers what was asked, which was about this one reply.
    return True


def _updated(
    stored: StoredReply, reply: Headers, rules: CacheRules, request_time_s: float, response_time_s: float
) -> StoredReply:
    brought = _brought_lines(stored, reply, response_time_s)
    replaced = {name for name, _ in brought}
    headers = Headers([line for line in stored.headers if line[0] not in replaced] + brought)
    if stored.is_recoded:
        add_to_vary(headers, b"Accept-Encoding")
    directives = read_reply(headers)
    # The Age that counts is that of this reply, which is not stored; a missing one is 0.
    timed = headers.copy()
    for value in reply.get_all(b"age"):
        timed.add(b"age", value)
    freshness = freshness_of(
        stored.status, timed, directives, rules, request_time_s=request_time_s, response_time_s=response_time_s
    ) or Freshness(lifetime_s=0.0, must_revalidate=directives.forbids_stale, no_cache=directives.no_cache)
    vary = vary_names(headers)
    return StoredReply(
        status=stored.status,
        headers=storable_lines(headers, directives, response_time_s),
        body=stored.body,
        response_time_s=response_time_s,
        initial_age_s=freshness.initial_age_s,
        lifetime_s=freshness.lifetime_s,
        must_revalidate=freshness.must_revalidate,
        # A `Vary: *` that comes late forbids the next use.
        no_cache=freshness.no_cache or vary is None,
        stale_s=freshness.stale_s,
        stale_if_error_s=freshness.stale_if_error_s,
        vary=stored.vary if vary is None else vary,
        etag=valid_etag(reply) or stored.etag,
        last_modified=valid_last_modified(reply, response_time_s) or stored.last_modified,
        is_recoded=stored.is_recoded,
        tags=stored.tags,
    )


def _brought_lines(stored: StoredReply, reply: Headers, response_time_s: float) -> list[HeaderLine]:
    lines: list[HeaderLine] = []
    for name, value in storable_lines(reply, read_reply(reply), response_time_s):
        if name in _NOT_UPDATED or (stored.is_recoded and name in _NOT_UPDATED_IF_RECODED):
            continue
        if name == b"etag" and stored.is_recoded and is_strong(value):
            value = b"W/" + value
        lines.append((name, value))
    return lines


def may_keep(freshened: StoredReply, rules: CacheRules) -> bool:
    """Whether a freshened reply may stay stored: what brought it up to date may also say that it may not."""
    directives = read_reply(Headers(freshened.headers))
    return not directives.no_store and (rules.override or not directives.private)
