"""The reply to a client from a stored one: whole, 304, a range, or for HEAD. Pure."""

from typing import Final

from gateway.core.cache_freshness import date_s
from gateway.core.cache_ranges import Unsatisfiable, may_use_range, select_range
from gateway.core.cache_reply import StoredReply
from gateway.core.entity_tags import is_matched
from gateway.core.headers import HeaderLine, Headers
from gateway.core.http_date import parse_http_date

# RFC 9110 section 15.4.5 names them; Last-Modified is for clients that have no tag to go by.
_OF_304: Final = frozenset(
    {b"cache-control", b"cdn-cache-control", b"content-location", b"date", b"etag", b"expires", b"vary"}
)


class ClientReply:
    """Status, header lines and body for the client. length: the Content-Length where there is no body to count (HEAD,
    304), else None. headers: a list of its own, which the caller may change.
    """

    __slots__ = ("body", "headers", "length", "status")

    def __init__(self, status: int, headers: list[HeaderLine], body: bytes, length: int | None) -> None:
        self.status: Final = status
        self.headers: Final = headers
        self.body: Final = body
        self.length: Final = length


def client_reply(stored: StoredReply, method: str, request: Headers, age_s: float) -> ClientReply:
    """What the client gets of a stored reply; method is GET or HEAD.

    Conditions are evaluated for a stored 200 only (RFC 9111 section 4.3.2), a range after them (RFC 9110 section
    13.2.2) and for GET. age_s: its current age, which becomes Age (RFC 9111 section 4).
    """
    lines = list(stored.headers)
    lines.append((b"age", b"%d" % int(age_s)))
    if stored.status == 200 and _has_conditions(request):
        if is_not_modified(stored, request):
            has_etag = any(name == b"etag" for name, _ in lines)
            kept = [
                line
                for line in lines
                if line[0] in _OF_304 or line[0] == b"age" or (line[0] == b"last-modified" and not has_etag)
            ]
            return ClientReply(304, kept, b"", None)
        if method == "GET" and b"range" in request and not stored.is_recoded:
            part = _range_reply(stored, request, lines)
            if part is not None:
                return part
    if method == "HEAD":
        return ClientReply(stored.status, lines, b"", len(stored.body))
    return ClientReply(stored.status, lines, stored.body, None)


def is_not_modified(stored: StoredReply, request: Headers) -> bool:
    """Whether the client has the stored reply already: by If-None-Match, and only without it by If-Modified-Since
    (RFC 9110 section 13.2.2, RFC 9111 section 4.3.2).
    """
    headers = Headers(stored.headers)
    condition = request.get_list(b"if-none-match")
    if condition is not None:
        return is_matched(condition, headers.get(b"etag"))
    since = request.get(b"if-modified-since")
    if since is None or request.is_repeated(b"if-modified-since"):
        return False
    now_s = stored.response_time_s
    since_s = parse_http_date(since, now_s)
    if since_s is None:
        return False
    changed = headers.get(b"last-modified")
    changed_s = None if changed is None else parse_http_date(changed, now_s)
    return (date_s(headers, now_s) if changed_s is None else changed_s) <= since_s


def _has_conditions(request: Headers) -> bool:
    return b"if-none-match" in request or b"if-modified-since" in request or b"range" in request


def _range_reply(stored: StoredReply, request: Headers, lines: list[HeaderLine]) -> ClientReply | None:
    value = request.get(b"range")
    headers = Headers(stored.headers)
    if value is None or request.is_repeated(b"range") or not may_use_range(request, headers, stored.response_time_s):
        return None
    length = len(stored.body)
    try:
        selected = select_range(value, length)
    except Unsatisfiable:
        return ClientReply(416, [(b"content-range", b"bytes */%d" % length)], b"", None)
    if selected is None:
        return None
    first, end = selected
    lines.append((b"content-range", b"bytes %d-%d/%d" % (first, end - 1, length)))
    return ClientReply(206, lines, stored.body[first:end], None)
