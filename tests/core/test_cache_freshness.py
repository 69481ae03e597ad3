import pytest

from gateway.core.cache_control import read_reply
from gateway.core.cache_freshness import Use, freshness_of, judge_use, may_use_on_error
from gateway.core.cache_reply import CacheRules, Freshness, StoredReply
from gateway.core.headers import HeaderLine, Headers
from gateway.core.http_date import format_http_date

NOW_S = 1_785_000_000.0


def date(offset_s: float) -> bytes:
    return format_http_date(NOW_S + offset_s)


def freshness(*lines: HeaderLine, status: int = 200, delay_s: float = 0.0, **rules: object) -> Freshness | None:
    headers = Headers(lines)
    return freshness_of(
        status,
        headers,
        read_reply(headers),
        CacheRules(**rules),  # type: ignore[arg-type]
        request_time_s=NOW_S - delay_s,
        response_time_s=NOW_S,
    )


def lifetime(*lines: HeaderLine, status: int = 200, **rules: object) -> float | None:
    found = freshness(*lines, status=status, **rules)
    return None if found is None else found.lifetime_s


CC = b"cache-control"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([(CC, b"max-age=60")], 60),
        ([(CC, b"max-age=60, s-maxage=10")], 10),
        ([(CC, b"s-maxage=10"), (CC, b"max-age=60")], 10),
        ([(CC, b"max-age=0, s-maxage=90"), (b"expires", date(-5))], 90),
        ([(CC, b"max-age=60"), (b"expires", date(-5))], 60),
        ([(CC, b"max-age=60"), (b"expires", b"0")], 60),
        ([(CC, b"max-age=0"), (b"expires", date(500))], 0),
        ([(b"expires", date(30)), (b"date", date(0))], 30),
        ([(b"expires", date(30))], 30),
        ([(b"expires", date(30)), (b"date", b"foo")], 30),
        ([(b"expires", date(-100)), (b"date", date(-200))], 100),
        ([(b"expires", date(100)), (b"date", date(200))], 0),
        ([(b"expires", date(0)), (b"date", date(0))], 0),
        ([(b"expires", b"0")], 0),
        ([(b"expires", date(30)), (b"expires", date(30))], 0),
        ([(b"cdn-cache-control", b"max-age=9"), (CC, b"max-age=60")], 9),
        ([(b"cdn-cache-control", b"public"), (b"expires", date(30))], None),
        ([], None),
        ([(b"last-modified", date(-1000))], None),
    ],
)
def test_rfc_9111_section_4_2_1_freshness_lifetime(lines: list[HeaderLine], expected: float | None) -> None:
    assert lifetime(*lines) == expected


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        ([b"7"], 7),
        ([b"0, 7"], 0),
        ([b"7, 0"], 7),
        ([b"7", b"0"], 7),
        ([b"0", b"7"], 0),
        ([b"x"], 0),
        ([b"-7"], 0),
        ([b"7.0"], 0),
        ([b"7;a=b"], 0),
        ([b"2147483649"], 2147483648),
        ([], 0),
    ],
)
def test_rfc_9111_section_5_1_the_first_age_counts_or_none(age: list[bytes], expected: float) -> None:
    found = freshness((CC, b"max-age=60"), *[(b"age", value) for value in age])
    assert found is not None and found.initial_age_s == expected


def test_rfc_9111_section_4_2_3_the_time_on_the_way_is_age() -> None:
    found = freshness((CC, b"max-age=60"), (b"age", b"3"), delay_s=2.5)
    assert found is not None and found.initial_age_s == 5.5


def test_rfc_9111_section_4_2_2_a_heuristic_is_used_if_asked_for_and_nobody_says_more() -> None:
    changed = (b"last-modified", date(-1000))
    made = (b"date", date(0))
    assert lifetime(changed, made, heuristic=True) == 100
    assert lifetime(changed, made, (CC, b"max-age=5"), heuristic=True) == 5
    assert lifetime(changed, made, ttl_s=7.0, heuristic=True) == 7
    assert lifetime((b"last-modified", date(-100_000_000)), heuristic=True) == 86_400
    assert lifetime((b"last-modified", date(1000)), heuristic=True) == 0
    assert lifetime((b"last-modified", b"x"), heuristic=True) is None
    assert lifetime(heuristic=True) is None
    assert lifetime(changed, made, status=404, heuristic=True) == 100
    assert lifetime(changed, made, status=201, heuristic=True) is None
    assert lifetime(changed, made, (CC, b"public"), status=599, heuristic=True) == 100


def test_the_ttl_of_a_route_is_for_successes_of_which_the_upstream_says_nothing() -> None:
    assert lifetime(ttl_s=30.0) == 30
    assert lifetime((CC, b"max-age=5"), ttl_s=30.0) == 5
    assert lifetime(status=301, ttl_s=30.0) == 30
    assert lifetime(status=404, ttl_s=30.0) is None
    assert lifetime(status=404, ttl_s=30.0, negative={404: 5.0}) == 5
    assert lifetime((CC, b"max-age=9"), status=404, negative={404: 5.0}) == 9


def test_override_rules_the_upstream() -> None:
    found = freshness(
        (CC, b"max-age=5, no-cache, must-revalidate, stale-if-error=1"),
        (b"age", b"3"),
        ttl_s=30.0,
        override=True,
        stale_s=4.0,
    )
    assert found is not None
    assert (found.lifetime_s, found.initial_age_s, found.stale_s, found.stale_if_error_s) == (30, 0, 4, 0)
    assert not found.no_cache and not found.must_revalidate and not found.is_explicit


def test_rfc_5861_the_upstream_says_how_long_stale_else_the_route() -> None:
    own = freshness((CC, b"max-age=5, stale-while-revalidate=0, stale-if-error=9"), stale_s=7.0, stale_if_error_s=8.0)
    routes = freshness((CC, b"max-age=5"), stale_s=7.0, stale_if_error_s=8.0)
    assert own is not None and (own.stale_s, own.stale_if_error_s) == (0, 9)
    assert routes is not None and (routes.stale_s, routes.stale_if_error_s) == (7, 8)


def stored(**changes: object) -> StoredReply:
    fields: dict[str, object] = {
        "status": 200,
        "headers": (),
        "body": b"",
        "response_time_s": NOW_S,
        "initial_age_s": 0.0,
        "lifetime_s": 60.0,
    }
    return StoredReply(**(fields | changes))  # type: ignore[arg-type]


def use(age_s: float, request: bytes | None = None, **changes: object) -> Use:
    headers = Headers() if request is None else Headers([(CC, request)])
    return judge_use(stored(**changes), headers, NOW_S + age_s)


def test_rfc_9111_section_4_2_fresh_is_younger_than_the_lifetime() -> None:
    assert use(59.9) is Use.FRESH
    assert use(60) is Use.MUST_VALIDATE
    assert use(58, initial_age_s=2.0) is Use.MUST_VALIDATE
    assert use(0, lifetime_s=0.0) is Use.MUST_VALIDATE


def test_rfc_5861_section_3_stale_while_revalidate() -> None:
    assert use(69.9, stale_s=10.0) is Use.STALE_WHILE_REVALIDATE
    assert use(70, stale_s=10.0) is Use.MUST_VALIDATE


@pytest.mark.parametrize("request_", [None, b"max-stale", b"max-stale=99999"])
def test_rfc_9111_section_5_2_2_2_must_revalidate_is_never_used_stale(request_: bytes | None) -> None:
    assert use(61, request_, must_revalidate=True, stale_s=10.0) is Use.MUST_VALIDATE
    assert use(59, request_, must_revalidate=True) is Use.FRESH


@pytest.mark.parametrize("request_", [None, b"max-stale", b"x"])
def test_rfc_9111_section_5_2_2_4_no_cache_is_never_used_unasked(request_: bytes | None) -> None:
    assert use(0, request_, no_cache=True, stale_s=10.0) is Use.MUST_VALIDATE


def test_rfc_9111_section_5_2_1_1_max_age() -> None:
    assert use(5, b"max-age=5") is Use.FRESH
    assert use(5.5, b"max-age=5") is Use.MUST_VALIDATE
    assert use(0.1, b"max-age=0") is Use.MUST_VALIDATE
    assert use(61, b"max-age=99", stale_s=10.0) is Use.MUST_VALIDATE
    assert use(61, b"max-age=99, max-stale=5") is Use.STALE_ALLOWED


def test_rfc_9111_section_5_2_1_2_max_stale() -> None:
    assert use(65, b"max-stale=5") is Use.STALE_ALLOWED
    assert use(65.5, b"max-stale=5") is Use.MUST_VALIDATE
    assert use(10_000, b"max-stale") is Use.STALE_ALLOWED


def test_rfc_9111_section_5_2_1_3_min_fresh() -> None:
    assert use(50, b"min-fresh=10") is Use.FRESH
    assert use(51, b"min-fresh=10") is Use.MUST_VALIDATE
    assert use(61, b"min-fresh=0", stale_s=10.0) is Use.MUST_VALIDATE


def test_rfc_9111_section_5_2_1_4_no_cache() -> None:
    assert use(0, b"no-cache") is Use.MUST_VALIDATE
    assert judge_use(stored(), Headers([(b"pragma", b"no-cache")]), NOW_S) is Use.MUST_VALIDATE


def test_rfc_9111_section_5_2_1_5_no_store_does_not_forbid_a_reply_that_is_stored() -> None:
    assert use(0, b"no-store") is Use.FRESH


def test_rfc_9111_section_5_2_1_7_only_if_cached() -> None:
    assert use(0, b"only-if-cached") is Use.FRESH
    assert use(61, b"only-if-cached") is Use.GATEWAY_TIMEOUT
    assert use(61, b"only-if-cached, max-stale") is Use.STALE_ALLOWED
    assert use(61, b"only-if-cached", stale_s=10.0) is Use.STALE_WHILE_REVALIDATE


def on_error(age_s: float, request: bytes | None = None, **changes: object) -> bool:
    headers = Headers() if request is None else Headers([(CC, request)])
    return may_use_on_error(stored(**changes), headers, NOW_S + age_s)


def test_rfc_5861_section_4_stale_if_error() -> None:
    assert on_error(69, stale_if_error_s=10.0)
    assert not on_error(70, stale_if_error_s=10.0)
    assert not on_error(61)
    assert on_error(61, b"stale-if-error=5")
    assert not on_error(65, b"stale-if-error=5")
    assert on_error(59)


def test_rfc_9111_section_4_2_4_what_must_be_asked_about_is_not_used_on_errors_either() -> None:
    assert not on_error(61, b"stale-if-error=99", must_revalidate=True, stale_if_error_s=10.0)
    assert not on_error(0, no_cache=True, stale_if_error_s=10.0)
    assert on_error(59, must_revalidate=True)
