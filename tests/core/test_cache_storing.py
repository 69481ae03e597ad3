import pytest

from gateway.core.cache_reply import CacheRules, StoredReply
from gateway.core.cache_storing import NotStorable, Storable, judge_store
from gateway.core.headers import HeaderLine, Headers
from gateway.core.http_date import format_http_date

NOW_S = 1_785_000_000.0
CC = b"cache-control"
FRESH = (CC, b"max-age=60")


def judge(
    *lines: HeaderLine,
    status: int = 200,
    method: str = "GET",
    request: tuple[HeaderLine, ...] = (),
    **rules: object,
) -> Storable | NotStorable:
    return judge_store(
        method,
        Headers(request),
        status,
        Headers(lines),
        CacheRules(**rules),  # type: ignore[arg-type]
        request_time_s=NOW_S,
        response_time_s=NOW_S,
    )


def why_not(*lines: HeaderLine, **how: object) -> str:
    """Empty where the reply is storable."""
    found = judge(*lines, **how)  # type: ignore[arg-type]
    return found.reason if isinstance(found, NotStorable) else ""


def stored(*lines: HeaderLine, **how: object) -> StoredReply:
    storable = judge(*lines, **how)  # type: ignore[arg-type]
    assert isinstance(storable, Storable)
    reply = storable.stored(200, Headers(lines), b"body", ("tag",))
    assert isinstance(reply, StoredReply)
    return reply


def test_rfc_9111_section_3_a_fresh_reply_to_get_is_storable() -> None:
    assert why_not(FRESH) == ""
    assert why_not((b"expires", format_http_date(NOW_S + 60))) == ""


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS", "get"])
def test_rfc_9111_section_3_only_the_method_that_is_understood(method: str) -> None:
    assert why_not(FRESH, method=method) == "method"


@pytest.mark.parametrize("status", [206, 304, 100, 103])
def test_rfc_9111_section_3_parts_and_interim_replies_are_not_stored(status: int) -> None:
    assert why_not(FRESH, status=status) == "status"


@pytest.mark.parametrize("status", [200, 203, 204, 299, 301, 302, 404, 410, 500, 503, 599])
def test_rfc_9111_section_3_explicit_freshness_is_enough_for_any_other_status(status: int) -> None:
    assert why_not(FRESH, status=status) == ""


@pytest.mark.parametrize(("status", "expected"), [(200, "no freshness"), (201, "status"), (299, "status")])
def test_rfc_9111_section_3_without_freshness_the_status_has_to_allow_it(status: int, expected: str) -> None:
    assert why_not(status=status) == expected
    assert why_not((CC, b"public"), status=status) == "no freshness"


@pytest.mark.parametrize("validator", [(b"etag", b'"a"'), (b"last-modified", b"Sun, 06 Nov 1994 08:49:37 GMT")])
def test_rfc_9111_section_4_3_a_stale_reply_with_a_validator_is_worth_storing(validator: HeaderLine) -> None:
    for line in ((CC, b"max-age=0"), (CC, b"no-cache"), (b"expires", b"0"), (b"x", b"y")):
        assert why_not(line, validator) == ""
        assert why_not(line) == "no freshness"


@pytest.mark.parametrize("useless", [(b"etag", b"a"), (b"last-modified", b"yesterday")])
def test_a_validator_that_cannot_be_read_is_none(useless: HeaderLine) -> None:
    assert why_not((CC, b"no-cache"), useless) == "no freshness"
    assert why_not((CC, b"no-cache"), (b"etag", b'"a"'), (b"etag", b'"b"')) == "no freshness"


def test_rfc_9111_section_5_1_what_comes_too_old_is_not_stored() -> None:
    assert why_not(FRESH, (b"age", b"60")) == "no freshness"
    assert why_not(FRESH, (b"age", b"59")) == ""
    assert why_not((CC, b"max-age=60, stale-if-error=1"), (b"age", b"60")) == ""
    assert why_not((CC, b"max-age=60, stale-if-error=1, must-revalidate"), (b"age", b"60")) == "no freshness"


def test_rfc_9111_section_5_2_2_5_no_store() -> None:
    assert why_not((CC, b"max-age=60, no-store")) == "no-store"
    assert why_not((CC, b"max-age=60, no-store"), ttl_s=5.0, override=True) == "no-store"


def test_rfc_9111_section_5_2_1_5_request_no_store() -> None:
    assert why_not(FRESH, request=((CC, b"no-store"),)) == "request no-store"


def test_rfc_9111_section_5_2_2_3_must_understand() -> None:
    assert why_not((CC, b"max-age=60, no-store, must-understand")) == ""
    assert why_not((CC, b"max-age=60, no-store, must-understand"), status=299) == "must-understand"
    assert why_not((CC, b"max-age=60, must-understand"), status=299) == "must-understand"


def test_rfc_9111_section_5_2_2_7_private() -> None:
    assert why_not((CC, b"max-age=60, private")) == "private"
    assert why_not((CC, b"max-age=60, private"), ttl_s=5.0, override=True) == ""


def test_rfc_9111_sections_5_2_2_4_and_5_2_2_7_leave_the_named_fields_out() -> None:
    reply = stored((CC, b'max-age=60, private="X-A", no-cache="Set-Cookie"'), (b"x-a", b"1"), (b"set-cookie", b"a=b"))
    assert {name for name, _ in reply.headers} == {CC, b"date"}
    assert not reply.no_cache


@pytest.mark.parametrize("leave", [b"public", b"must-revalidate", b"s-maxage=60"])
def test_rfc_9111_section_3_5_authorization_needs_leave(leave: bytes) -> None:
    request = ((b"authorization", b"Bearer x"),)
    assert why_not((CC, b"max-age=60"), request=request) == "authorization"
    assert why_not((CC, b"max-age=60, " + leave), request=request) == ""
    assert why_not((CC, b"max-age=60"), request=request, has_scope=True) == ""
    assert why_not((CC, b"max-age=60"), request=request, ttl_s=5.0, override=True) == "authorization"


@pytest.mark.parametrize("value", [b"*", b"*, *", b", *", b"foo, *", b"*, foo", b"foo bar"])
def test_rfc_9111_section_4_1_vary_star_never_matches(value: bytes) -> None:
    assert why_not(FRESH, (b"vary", value)) == "vary"
    assert why_not(FRESH, (b"vary", b""), (b"vary", value)) == "vary"


def test_a_vary_star_that_the_gateway_adds_counts_as_well() -> None:
    storable = judge(FRESH)
    assert isinstance(storable, Storable)
    assert isinstance(storable.stored(200, Headers([(b"vary", b"*")]), b""), NotStorable)


def test_rfc_9111_section_7_3_a_cookie_is_only_shared_if_the_upstream_says_how_long() -> None:
    cookie = (b"set-cookie", b"a=b")
    for said in (b"max-age=0", b"no-cache, max-age=60", b"public", b"x"):
        assert why_not((CC, said), cookie, (b"etag", b'"a"')) == "set-cookie"
    assert why_not(FRESH, cookie) == ""
    assert why_not(cookie, ttl_s=5.0) == "set-cookie"
    assert why_not(FRESH, cookie, ttl_s=5.0, override=True) == "set-cookie"
    assert why_not(FRESH, ttl_s=5.0, override=True) == ""


def test_rfc_9111_section_3_1_fields_of_connections_and_proxies_are_not_stored() -> None:
    reply = stored(
        FRESH,
        (b"connection", b"X-Hop, close"),
        (b"x-hop", b"1"),
        (b"keep-alive", b"1"),
        (b"proxy-authenticate", b"1"),
        (b"proxy-authentication-info", b"1"),
        (b"proxy-authorization", b"1"),
        (b"transfer-encoding", b"chunked"),
        (b"age", b"3"),
        (b"x-kept", b"1"),
        (b"set-cookie", b"a"),
        (b"set-cookie", b"b"),
    )
    kept = [line for line in reply.headers if line[0] != b"date"]
    assert kept == [FRESH, (b"x-kept", b"1"), (b"set-cookie", b"a"), (b"set-cookie", b"b")]
    assert reply.initial_age_s == 3


def test_rfc_9110_section_6_6_1_a_date_is_added_and_never_changed() -> None:
    assert (b"date", format_http_date(NOW_S)) in stored(FRESH).headers
    own = (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")
    assert [line for line in stored(FRESH, own).headers if line[0] == b"date"] == [own]


def test_what_is_stored_is_what_the_client_gets_and_what_validates_is_what_the_upstream_sent() -> None:
    storable = judge(FRESH, (b"etag", b'"a"'), (b"last-modified", b"Sun, 06 Nov 1994 08:49:37 GMT"))
    assert isinstance(storable, Storable)
    sent = Headers([FRESH, (b"etag", b'W/"a"'), (b"content-encoding", b"br"), (b"vary", b"Accept-Encoding, X-b, x-B")])
    reply = storable.stored(200, sent, b"packed", ("tag",))
    assert isinstance(reply, StoredReply)
    assert reply.etag == b'"a"' and (b"etag", b'W/"a"') in reply.headers
    assert reply.last_modified == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert reply.is_recoded and reply.vary == (b"accept-encoding", b"x-b")
    assert (reply.body, reply.tags) == (b"packed", ("tag",))
    assert not stored(FRESH, (b"content-encoding", b"gzip")).is_recoded


def test_reasons_are_shown() -> None:
    assert repr(NotStorable("vary")) == "<NotStorable vary>"
