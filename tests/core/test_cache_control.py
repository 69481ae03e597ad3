import time

import pytest

from gateway.core.cache_control import DELTA_MAX, NO_WISHES, parse_delta, read_reply, read_request, split_list
from gateway.core.headers import Headers


def reply(*values: bytes) -> Headers:
    return Headers([(b"cache-control", value) for value in values])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"0", 0),
        (b"3600", 3600),
        (b"003600", 3600),
        (b"2147483647", 2147483647),
        (b"2147483648", DELTA_MAX),
        (b"99999999999", DELTA_MAX),
        (b"9" * 10_000, DELTA_MAX),
        (b"0" * 10_000, 0),
        (b"", None),
        (b"-1", None),
        (b"1.0", None),
        (b"a1", None),
        (b"1a", None),
        (b" 1", None),
        ("٣".encode(), None),
    ],
)
def test_rfc_9111_section_1_2_2_delta_seconds(value: bytes, expected: int | None) -> None:
    assert parse_delta(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a, b ,,c", [b"a", b"b", b"c"]),
        (b'a="x,y", b', [b'a="x,y"', b"b"]),
        (b'a="x\\",y", b', [b'a="x\\",y"', b"b"]),
        (b'a="x, b, c', [b'a="x', b"b", b"c"]),
        (b'"x\\', [b'"x\\']),
        (b", ,", []),
    ],
)
def test_rfc_9110_section_5_6_1_lists(value: bytes, expected: list[bytes]) -> None:
    assert split_list(value) == expected


def test_a_hostile_list_is_split_in_linear_time() -> None:
    started_s = time.process_time()
    split_list(b'\\"' * 100_000)
    split_list(b'"' + b'\\"' * 100_000)
    assert time.process_time() - started_s < 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((b"max-age=60",), 60),
        ((b"MaX-AgE=60",), 60),
        ((b'max-age="60"',), 60),
        ((b'max-age="6\\0"',), 60),
        ((b"max-age=60, max-age=30",), 30),
        ((b"max-age=30, max-age=60",), 30),
        ((b"max-age=60", b"max-age=30"), 30),
        ((b"max-age=99999999999",), DELTA_MAX),
        ((b"max-age=-1",), 0),
        ((b"max-age=a60",), 0),
        ((b"max-age=60a",), 0),
        ((b"max-age='60'",), 0),
        ((b"max-age=60.0",), 0),
        ((b"max-age",), 0),
        ((b"max-age=",), 0),
        ((b"max-age =60",), 0),
        ((b"max-age= 60",), 0),
        ((b'ext="max-age=60", max-age=1',), 1),
        ((b'max-age=1, ext="max-age=60"',), 1),
        ((b'ext="max-age=60"',), None),
        ((b"public, x=y, max-age=60",), 60),
        ((), None),
    ],
)
def test_rfc_9111_section_4_2_1_max_age_or_stale(values: tuple[bytes, ...], expected: int | None) -> None:
    assert read_reply(reply(*values)).max_age_s == expected


def test_rfc_9111_section_5_2_2_directives_in_any_case() -> None:
    found = read_reply(reply(b"No-Store, PRIVATE, s-MAXAGE=5, Proxy-Revalidate", b"must-understand, public"))
    assert found.no_store and found.private and found.s_maxage_s == 5 and found.proxy_revalidate
    assert found.must_understand and found.public and not found.no_cache and not found.must_revalidate


def test_rfc_9111_section_5_2_2_what_forbids_counts_in_any_form_and_what_permits_does_not() -> None:
    found = read_reply(reply(b"no-store=x, must-revalidate=1, public=x, must-understand=x"))
    assert found.no_store and found.must_revalidate
    assert not found.public and not found.must_understand


def test_a_directive_behind_an_open_quote_still_forbids() -> None:
    assert read_reply(reply(b'ext="x, no-store')).no_store


@pytest.mark.parametrize("name", [b"no-cache", b"private"])
def test_rfc_9111_sections_5_2_2_4_and_5_2_2_7_name_fields(name: bytes) -> None:
    found = read_reply(reply(name + b'="Set-Cookie, X-A"', name + b"=x-b"))
    fields = found.no_cache_fields if name == b"no-cache" else found.private_fields
    assert fields == {b"set-cookie", b"x-a", b"x-b"}
    assert not found.no_cache and not found.private


@pytest.mark.parametrize("argument", [b"", b'=""', b"=", b'="a b"', b'=" , "', b'="a'])
def test_rfc_9111_sections_5_2_2_4_and_5_2_2_7_without_a_field_mean_the_whole_reply(argument: bytes) -> None:
    assert read_reply(reply(b"no-cache" + argument)).no_cache
    assert read_reply(reply(b"private" + argument)).private


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"must-revalidate", True), (b"proxy-revalidate", True), (b"s-maxage=9", True), (b"max-age=9, public", False)],
)
def test_rfc_9111_section_4_2_4_who_forbids_stale(value: bytes, expected: bool) -> None:
    assert read_reply(reply(value)).forbids_stale is expected


def test_rfc_5861_extensions() -> None:
    found = read_reply(reply(b"stale-while-revalidate=30, stale-if-error=x"))
    assert found.stale_while_revalidate_s == 30
    assert found.stale_if_error_s == 0


def targeted(value: bytes) -> Headers:
    return Headers([(b"cache-control", b"max-age=1, no-store"), (b"cdn-cache-control", value)])


def test_rfc_9213_section_2_2_a_targeted_field_counts_alone() -> None:
    found = read_reply(targeted(b'max-age=60;x=1, private="a", stale-while-revalidate=5, unknown'))
    assert found.is_targeted and found.max_age_s == 60 and not found.no_store
    assert found.private_fields == {b"a"} and found.stale_while_revalidate_s == 5


@pytest.mark.parametrize("value", [b"", b"max-age=60, &&&", b"MAX-AGE=60", b"max-age =60", b'max-age="60'])
def test_rfc_9213_section_2_1_a_field_that_does_not_parse_is_ignored(value: bytes) -> None:
    found = read_reply(targeted(value))
    assert found.no_store and found.max_age_s == 1 and not found.is_targeted


@pytest.mark.parametrize("value", [b'max-age="60"', b"max-age", b"max-age=6.5", b"max-age=-6", b"max-age=foo"])
def test_rfc_9213_section_2_1_an_age_of_another_type_is_stale(value: bytes) -> None:
    assert read_reply(targeted(value)).max_age_s == 0


def test_rfc_9213_a_boolean_that_is_false_says_nothing() -> None:
    assert not read_reply(targeted(b"no-store=?0, max-age=5")).no_store


def request(value: bytes) -> Headers:
    return Headers([(b"cache-control", value)])


def test_rfc_9111_section_5_2_1_wishes() -> None:
    wishes = read_request(request(b"No-Cache, no-store, only-if-cached, max-age=5, min-fresh=6, max-stale=7"))
    assert wishes.no_cache and wishes.no_store and wishes.only_if_cached
    assert (wishes.max_age_s, wishes.min_fresh_s, wishes.max_stale_s) == (5, 6, 7)


def test_rfc_9111_section_5_2_1_2_max_stale_without_an_argument_takes_any_age() -> None:
    assert read_request(request(b"max-stale")).max_stale_s == DELTA_MAX
    assert read_request(request(b"max-stale=x")).max_stale_s == 0
    assert read_request(request(b"max-stale, max-stale=4")).max_stale_s == 4


def test_the_more_restrictive_of_two_wishes_counts() -> None:
    wishes = read_request(request(b"max-age=9, max-age=5, min-fresh=2, min-fresh=8"))
    assert (wishes.max_age_s, wishes.min_fresh_s) == (5, 8)


def test_rfc_9111_section_5_4_pragma_only_counts_without_cache_control() -> None:
    assert read_request(Headers([(b"pragma", b"No-Cache")])).no_cache
    assert not read_request(Headers([(b"pragma", b"no-cache"), (b"cache-control", b"max-stale")])).no_cache
    assert not read_request(Headers([(b"pragma", b"foo")])).no_cache
    assert read_request(Headers()) is NO_WISHES
