import pytest

from gateway.core.cache_reply import CacheRules, StoredReply
from gateway.core.cache_validation import client_has, conditional_lines, freshen, freshen_by_head, may_keep
from gateway.core.headers import HeaderLine, Headers
from gateway.core.http_date import format_http_date

THEN_S = 1_785_000_000.0
NOW_S = THEN_S + 100
CC = b"cache-control"
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
OTHER_DATE = b"Sun, 06 Nov 1994 08:49:38 GMT"


def stored(*lines: HeaderLine, **changes: object) -> StoredReply:
    fields: dict[str, object] = {
        "status": 200,
        "headers": ((CC, b"max-age=60"), (b"date", format_http_date(THEN_S)), (b"x-kept", b"1"), *lines),
        "body": b"body",
        "response_time_s": THEN_S,
        "initial_age_s": 7.0,
        "lifetime_s": 60.0,
        "etag": b'"a"',
        "last_modified": DATE,
        "tags": ("tag",),
    }
    return StoredReply(**(fields | changes))  # type: ignore[arg-type]


def by_304(old: StoredReply, *lines: HeaderLine, **rules: object) -> StoredReply | None:
    return freshen(
        old,
        Headers(lines),
        CacheRules(**rules),  # type: ignore[arg-type]
        request_time_s=NOW_S - 1,
        response_time_s=NOW_S,
    )


def freshened(old: StoredReply, *lines: HeaderLine, **rules: object) -> StoredReply:
    new = by_304(old, *lines, **rules)
    assert new is not None
    return new


def values(reply: StoredReply, name: bytes) -> list[bytes]:
    return Headers(reply.headers).get_all(name)


def test_rfc_9111_section_4_3_1_the_upstream_is_asked_by_its_own_validators() -> None:
    assert conditional_lines(stored((b"etag", b'W/"a"')), Headers()) == [
        (b"if-none-match", b'"a"'),
        (b"if-modified-since", DATE),
    ]
    assert conditional_lines(stored(etag=None), Headers()) == [(b"if-modified-since", DATE)]
    assert conditional_lines(stored(etag=None, last_modified=None), Headers()) == []


def test_rfc_9111_section_4_3_2_the_tags_of_the_client_are_asked_about_as_well() -> None:
    request = Headers([(b"if-none-match", b'"b", W/"a"'), (b"if-modified-since", OTHER_DATE)])
    assert conditional_lines(stored(), request) == [(b"if-none-match", b'"a", "b"'), (b"if-modified-since", DATE)]
    star = Headers([(b"if-none-match", b"*")])
    assert conditional_lines(stored(last_modified=None), star) == [(b"if-none-match", b'"a"')]


def test_rfc_9111_section_4_3_2_a_304_about_a_tag_of_the_client_is_the_clients() -> None:
    request = Headers([(b"if-none-match", b'"b"')])
    assert client_has(request, Headers([(b"etag", b'"b"')]))
    assert not client_has(request, Headers([(b"etag", b'"c"')]))
    assert not client_has(request, Headers())
    assert not client_has(Headers(), Headers([(b"etag", b'"b"')]))


@pytest.mark.parametrize(
    ("lines", "own_etag", "expected"),
    [
        ([(b"etag", b'"a"')], b'"a"', True),
        ([(b"etag", b'"b"')], b'"a"', False),
        ([(b"etag", b'"a"')], b'W/"a"', False),
        ([(b"etag", b'W/"a"')], b'W/"a"', True),
        ([(b"etag", b'W/"a"')], b'"a"', True),
        ([(b"etag", b'"a"')], None, False),
        ([(b"last-modified", DATE)], b'"a"', True),
        ([(b"last-modified", OTHER_DATE)], b'"a"', False),
        ([(b"etag", b'"a"'), (b"last-modified", OTHER_DATE)], b'"a"', True),
        ([], b'"a"', True),
    ],
)
def test_rfc_9111_section_4_3_4_what_a_304_is_about(
    lines: list[HeaderLine], own_etag: bytes | None, expected: bool
) -> None:
    assert (by_304(stored(etag=own_etag), *lines) is not None) is expected


def test_rfc_9111_section_3_2_fields_are_replaced_and_the_rest_stays() -> None:
    old = stored((b"set-cookie", b"a"), (b"set-cookie", b"b"), (b"content-type", b"text/plain"))
    new = freshened(old, (b"set-cookie", b"c"), (b"set-cookie", b"d"), (b"content-type", b"text/html"), (b"x", b"1"))
    assert values(new, b"set-cookie") == [b"c", b"d"]
    assert values(new, b"content-type") == [b"text/html"]
    assert values(new, b"x") == values(new, b"x-kept") == [b"1"]
    assert new.body == b"body" and new.tags == ("tag",) and new.status == 200


@pytest.mark.parametrize("name", [b"content-length", b"content-range", b"proxy-authenticate", b"x-hop", b"age"])
def test_rfc_9111_section_3_2_fields_that_are_not_updated(name: bytes) -> None:
    new = freshened(stored(), (name, b"9"), (b"connection", b"x-hop"))
    assert values(new, name) == []


def test_rfc_9111_section_3_2_what_depends_on_the_bytes_stays_where_the_gateway_made_them() -> None:
    lines = [(b"content-encoding", b"identity"), (b"etag", b'"a"'), (b"repr-digest", b"x"), (b"vary", b"origin")]
    old = stored((b"content-encoding", b"br"), (b"etag", b'W/"a"'), (b"vary", b"Accept-Encoding"), is_recoded=True)
    new = freshened(old, *lines)
    assert values(new, b"content-encoding") == [b"br"]
    assert values(new, b"etag") == [b'W/"a"'] and new.etag == b'"a"'
    assert values(new, b"repr-digest") == []
    assert new.is_recoded and new.vary == (b"accept-encoding", b"origin")
    plain = freshened(stored((b"content-encoding", b"br"), (b"etag", b'"a"')), *lines)
    assert values(plain, b"content-encoding") == [b"identity"] and values(plain, b"etag") == [b'"a"']


def test_rfc_9111_section_4_3_4_freshness_begins_anew() -> None:
    new = freshened(stored(), (CC, b"max-age=30, must-revalidate"), (b"age", b"4"))
    assert (new.response_time_s, new.initial_age_s, new.lifetime_s) == (NOW_S, 5, 30)
    assert new.must_revalidate
    assert values(new, b"date") == [format_http_date(NOW_S)]


def test_rfc_9111_section_4_3_4_a_304_that_says_nothing_renews_what_was_said() -> None:
    new = freshened(stored())
    assert (new.response_time_s, new.initial_age_s, new.lifetime_s) == (NOW_S, 1, 60)
    old = stored(headers=((b"expires", format_http_date(THEN_S + 60)), (b"date", format_http_date(THEN_S))))
    assert freshened(old).lifetime_s == 0
    assert freshened(old, (b"expires", format_http_date(NOW_S + 20))).lifetime_s == 20


def test_the_rules_of_the_route_count_for_a_304_as_well() -> None:
    plain = stored(headers=())
    assert freshened(plain).lifetime_s == 0
    assert freshened(plain, ttl_s=9.0, stale_s=3.0).lifetime_s == 9
    assert freshened(plain, ttl_s=9.0, stale_s=3.0).stale_s == 3


def test_a_304_may_bring_new_validators_and_a_new_vary() -> None:
    new = freshened(stored(etag=None), (b"last-modified", DATE), (b"vary", b"x-b, x-a"))
    assert new.vary == (b"x-a", b"x-b")
    assert freshened(stored(), (b"vary", b"*")).no_cache


@pytest.mark.parametrize(
    ("directive", "expected"), [(b"no-store", False), (b"private", False), (b"no-cache", True), (b"max-age=5", True)]
)
def test_a_304_may_withdraw_the_leave_to_store(directive: bytes, expected: bool) -> None:
    assert may_keep(freshened(stored(), (CC, directive)), CacheRules()) is expected


def by_head(old: StoredReply, *lines: HeaderLine, length: int | None = None) -> StoredReply | None:
    return freshen_by_head(old, Headers(lines), length, CacheRules(), request_time_s=NOW_S, response_time_s=NOW_S)


def test_rfc_9111_section_4_3_5_head_updates_what_it_matches() -> None:
    new = by_head(stored(), (b"etag", b'"a"'), (CC, b"max-age=5"), (b"x", b"1"), length=4)
    assert new is not None
    assert new.lifetime_s == 5 and values(new, b"x") == [b"1"] and values(new, b"x-kept") == [b"1"]
    assert new.body == b"body"
    assert by_head(stored()) is not None
    assert by_head(stored(is_recoded=True), length=99) is not None


@pytest.mark.parametrize(
    ("lines", "length"),
    [([(b"etag", b'"b"')], None), ([(b"etag", b'W/"a"')], None), ([(b"last-modified", OTHER_DATE)], None), ([], 5)],
)
def test_rfc_9111_section_4_3_5_head_that_differs_drops_the_stored_reply(
    lines: list[HeaderLine], length: int | None
) -> None:
    assert by_head(stored(), *lines, length=length) is None
