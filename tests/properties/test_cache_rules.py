"""Hazard: a cached reply is older than anybody allowed, another client's, or another's bytes."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cache_control import DELTA_MAX, read_reply, read_request
from gateway.core.cache_encoding import decode, encode
from gateway.core.cache_freshness import Use, freshness_of, judge_use, may_use_on_error
from gateway.core.cache_ranges import Unsatisfiable, select_range
from gateway.core.cache_reply import CacheRules, StoredReply
from gateway.core.cache_serving import client_reply
from gateway.core.cache_variants import secondary_key, squeeze
from gateway.core.headers import Headers
from gateway.core.http_date import format_http_date, parse_http_date
from gateway.core.structured_fields import parse_dictionary

seconds = st.integers(0, 10_000).map(float)
names = st.from_regex(rb"\A[a-z][a-z0-9-]{0,8}\Z")
values = st.binary(max_size=12).map(lambda value: bytes(byte for byte in value if byte > 31 and byte != 127).strip())
lines = st.tuples(names, values)
times = st.floats(0, 4e9, allow_nan=False)
replies = st.builds(
    StoredReply,
    status=st.integers(200, 599),
    headers=st.lists(lines, max_size=5).map(tuple),
    body=st.binary(max_size=40),
    response_time_s=times,
    initial_age_s=seconds,
    lifetime_s=seconds,
    must_revalidate=st.booleans(),
    no_cache=st.booleans(),
    stale_s=seconds,
    stale_if_error_s=seconds,
    vary=st.lists(names, max_size=3).map(tuple),
    etag=st.sampled_from([None, b'"a"', b'W/"b"']),
    last_modified=st.sampled_from([None, b"Sun, 06 Nov 1994 08:49:37 GMT"]),
    is_recoded=st.booleans(),
    tags=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=3).map(tuple),
)
wishes = st.lists(
    st.sampled_from(
        [b"max-age=%d", b"max-stale=%d", b"min-fresh=%d", b"max-stale", b"no-cache", b"only-if-cached"]
    ).flatmap(lambda form: st.integers(0, 20_000).map(lambda number: form % number if b"%" in form else form)),
    max_size=3,
).map(b", ".join)


@given(reply=replies, wish=wishes, later_s=seconds)
def test_nothing_is_served_that_reply_and_client_do_not_both_allow(
    reply: StoredReply, wish: bytes, later_s: float
) -> None:
    now_s = reply.response_time_s + later_s
    request = Headers([(b"cache-control", wish)] if wish else [])
    use = judge_use(reply, request, now_s)
    asked = read_request(request)
    stale_for_s = reply.age_s(now_s) - reply.lifetime_s
    if use in (Use.MUST_VALIDATE, Use.GATEWAY_TIMEOUT):
        assert (use is Use.GATEWAY_TIMEOUT) is asked.only_if_cached
        return
    assert not reply.no_cache and not asked.no_cache
    assert asked.max_age_s is None or reply.age_s(now_s) <= asked.max_age_s
    if use is Use.FRESH:
        assert stale_for_s < 0
    else:
        assert stale_for_s >= 0 and not reply.must_revalidate
        assert stale_for_s < reply.stale_s or (asked.max_stale_s is not None and stale_for_s <= asked.max_stale_s)


@given(reply=replies, now_s=times, later_s=seconds)
def test_a_reply_only_ages(reply: StoredReply, now_s: float, later_s: float) -> None:
    """Once it may no longer be used, it may never be used again."""
    assert reply.age_s(now_s + later_s) >= reply.age_s(now_s) >= reply.initial_age_s
    nothing = Headers()
    if judge_use(reply, nothing, now_s) is Use.MUST_VALIDATE:
        assert judge_use(reply, nothing, now_s + later_s) is Use.MUST_VALIDATE
    if not may_use_on_error(reply, nothing, now_s):
        assert not may_use_on_error(reply, nothing, now_s + later_s)


@given(
    value=st.lists(
        st.sampled_from([b"max-age=%d", b"s-maxage=%d", b'max-age="%d"', b"max-age=%dx", b"stale-if-error=%d"]).flatmap(
            lambda form: st.integers(0, 1 << 40).map(lambda number: form % number)
        ),
        min_size=1,
        max_size=4,
    ),
    age=st.integers(0, 1 << 40),
    delay_s=seconds,
)
def test_freshness_is_never_negative_and_never_more_than_any_number_said(
    value: list[bytes], age: int, delay_s: float
) -> None:
    headers = Headers([(b"cache-control", b", ".join(value)), (b"age", b"%d" % age)])
    directives = read_reply(headers)
    found = freshness_of(200, headers, directives, CacheRules(), request_time_s=5e8 - delay_s, response_time_s=5e8)
    if found is None:
        assert directives.max_age_s is None and directives.s_maxage_s is None
        return
    ruling = [one for one in value if one.startswith(b"s-maxage")] or [
        one for one in value if one.startswith(b"max-age")
    ]
    for one in ruling:
        digits = one.partition(b"=")[2].strip(b'"')
        assert 0 <= found.lifetime_s <= (min(int(digits), DELTA_MAX) if digits.isdigit() else 0)
    assert found.initial_age_s == min(age, DELTA_MAX) + delay_s


@given(reply=replies)
def test_encoding_there_and_back(reply: StoredReply) -> None:
    assert decode(encode(reply)) == reply


@given(data=st.binary(max_size=200), reply=replies)
def test_decoding_anything_else_is_a_value_error_at_most(data: bytes, reply: StoredReply) -> None:
    for candidate in (data, bytes([1]) + data, encode(reply)[: len(data)] + data):
        try:
            decode(candidate)
        except ValueError:
            pass


@given(
    vary=st.lists(names, min_size=1, max_size=3, unique=True).map(sorted).map(tuple),
    one=st.lists(lines, max_size=4),
    other=st.lists(lines, max_size=4),
    data=st.data(),
)
def test_secondary_keys_are_equal_where_the_selecting_fields_are(
    vary: tuple[bytes, ...], one: list[tuple[bytes, bytes]], other: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    one = [(data.draw(st.sampled_from([*vary, name])), value) for name, value in one]
    other = [(data.draw(st.sampled_from([*vary, name])), value) for name, value in other]

    def selecting(request: Headers) -> list[bytes | None]:
        found = [request.get_list(name) for name in vary]
        return [None if value is None else squeeze(value) for value in found]

    first, second = Headers(one), Headers(other)
    are_equal = secondary_key(vary, first, {}) == secondary_key(vary, second, {})
    assert are_equal is (selecting(first) == selecting(second))


@given(length=st.integers(0, 50), first=st.integers(0, 60), last=st.none() | st.integers(0, 60))
def test_a_range_is_what_a_slice_says(length: int, first: int, last: int | None) -> None:
    body = bytes(range(length))
    value = b"bytes=%d-%b" % (first, b"" if last is None else b"%d" % last)
    try:
        selected = select_range(value, length)
    except Unsatisfiable:
        assert body[first:] == b""
        return
    if selected is None:
        assert last is not None and last < first
    else:
        assert body[selected[0] : selected[1]] == body[first : None if last is None else last + 1] != b""


@given(length=st.integers(0, 50), suffix=st.integers(0, 60))
def test_a_suffix_range_is_the_end(length: int, suffix: int) -> None:
    body = bytes(range(length))
    try:
        selected = select_range(b"bytes=-%d" % suffix, length)
    except Unsatisfiable:
        assert suffix == 0 or length == 0
        return
    assert selected is not None
    assert body[selected[0] : selected[1]] == body[-suffix:]


@given(value=st.binary(max_size=40), body=st.binary(max_size=20))
def test_no_range_makes_more_or_other_bytes_than_are_stored(value: bytes, body: bytes) -> None:
    reply = StoredReply(status=200, headers=(), body=body, response_time_s=0, initial_age_s=0, lifetime_s=1)
    answer = client_reply(reply, "GET", Headers([(b"range", b"bytes=" + value)]), 0.0)
    assert answer.status in (200, 206, 416)
    assert answer.body in body
    assert answer.status != 200 or answer.body == body


@given(second=st.integers(-(10**10), 10**11))
def test_dates_there_and_back(second: int) -> None:
    assert parse_http_date(format_http_date(second), 0.0) == second


@given(value=st.binary(max_size=40))
def test_no_bytes_from_outside_are_too_much(value: bytes) -> None:
    parse_http_date(value, 0.0)
    parse_dictionary(value)
    read_request(Headers([(b"cache-control", value)]))
    read_reply(Headers([(b"cache-control", value), (b"cdn-cache-control", value)]))
