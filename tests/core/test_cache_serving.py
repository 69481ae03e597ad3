import pytest

from gateway.core.cache_reply import StoredReply
from gateway.core.cache_serving import ClientReply, client_reply
from gateway.core.headers import HeaderLine, Headers

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = b"Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = b"Sun, 06 Nov 1994 08:49:38 GMT"
NOW_S = 1_785_000_000.0
LINES = (
    (b"cache-control", b"max-age=60"),
    (b"content-type", b"text/plain"),
    (b"etag", b'"a"'),
    (b"last-modified", DATE),
    (b"date", AFTER),
    (b"x-a", b"1"),
    (b"set-cookie", b"a=b"),
)


def stored(headers: tuple[HeaderLine, ...] = LINES, **changes: object) -> StoredReply:
    fields: dict[str, object] = {
        "status": 200,
        "headers": headers,
        "body": b"0123456789",
        "response_time_s": NOW_S,
        "initial_age_s": 0.0,
        "lifetime_s": 60.0,
    }
    return StoredReply(**(fields | changes))  # type: ignore[arg-type]


def asked(*request: HeaderLine, of: StoredReply | None = None, method: str = "GET", age_s: float = 5.9) -> ClientReply:
    return client_reply(of or stored(), method, Headers(request), age_s)


def test_rfc_9111_section_4_a_reply_from_the_store_has_its_age() -> None:
    reply = asked()
    assert (reply.status, reply.body, reply.length) == (200, b"0123456789", None)
    assert reply.headers == [*LINES, (b"age", b"5")]


def test_the_lines_of_a_reply_are_its_own() -> None:
    one = stored()
    asked(of=one).headers.clear()
    assert asked(of=one).headers[:1] == [LINES[0]]


def test_rfc_9110_section_9_3_2_head_has_the_length_and_no_body() -> None:
    reply = asked(method="HEAD")
    assert (reply.status, reply.body, reply.length) == (200, b"", 10)
    assert reply.headers == asked().headers


@pytest.mark.parametrize(
    ("request_lines", "expected"),
    [
        ([(b"if-none-match", b'"a"')], 304),
        ([(b"if-none-match", b'W/"a"')], 304),
        ([(b"if-none-match", b'"b", "a"')], 304),
        ([(b"if-none-match", b'"b"'), (b"if-none-match", b'"a"')], 304),
        ([(b"if-none-match", b"*")], 304),
        ([(b"if-none-match", b'"b"')], 200),
        ([(b"if-modified-since", DATE)], 304),
        ([(b"if-modified-since", AFTER)], 304),
        ([(b"if-modified-since", BEFORE)], 200),
        ([(b"if-modified-since", b"yesterday")], 200),
        ([(b"if-modified-since", DATE), (b"if-modified-since", DATE)], 200),
        # RFC 9110 section 13.2.2: the date does not count beside a tag.
        ([(b"if-none-match", b'"b"'), (b"if-modified-since", DATE)], 200),
        ([(b"if-none-match", b'"a"'), (b"if-modified-since", BEFORE)], 304),
        # RFC 9111 section 4.3.2: for origin servers.
        ([(b"if-match", b'"b"')], 200),
        ([(b"if-unmodified-since", BEFORE)], 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_rfc_9111_section_4_3_2_conditions(request_lines: list[HeaderLine], expected: int, method: str) -> None:
    reply = asked(*request_lines, method=method)
    assert reply.status == expected
    assert (reply.body == b"") is (expected == 304 or method == "HEAD")


def test_rfc_9111_section_4_3_2_without_last_modified_the_date_counts() -> None:
    headers = ((b"date", DATE),)
    assert asked((b"if-modified-since", DATE), of=stored(headers)).status == 304
    assert asked((b"if-modified-since", BEFORE), of=stored(headers)).status == 200


def test_rfc_9111_section_4_3_2_conditions_are_about_a_stored_200() -> None:
    assert asked((b"if-none-match", b'"a"'), of=stored(status=404)).status == 404


def test_rfc_9110_section_15_4_5_fields_of_a_304() -> None:
    reply = asked((b"if-none-match", b'"a"'))
    assert {name for name, _ in reply.headers} == {b"cache-control", b"etag", b"date", b"age"}
    without_tag = tuple(line for line in LINES if line[0] != b"etag")
    reply = asked((b"if-modified-since", DATE), of=stored(without_tag))
    assert (b"last-modified", DATE) in reply.headers


def test_rfc_9110_section_15_3_7_a_range_of_the_whole() -> None:
    reply = asked((b"range", b"bytes=2-4"))
    assert (reply.status, reply.body, reply.length) == (206, b"234", None)
    assert reply.headers == [*LINES, (b"age", b"5"), (b"content-range", b"bytes 2-4/10")]
    assert asked((b"range", b"bytes=-3")).body == b"789"


def test_rfc_9110_section_15_5_17_a_range_behind_the_end() -> None:
    reply = asked((b"range", b"bytes=10-"))
    assert (reply.status, reply.body, reply.headers) == (416, b"", [(b"content-range", b"bytes */10")])


@pytest.mark.parametrize(
    "request_lines",
    [
        [(b"range", b"bytes=0-1,3-4")],
        [(b"range", b"x")],
        [(b"range", b"bytes=0-1"), (b"range", b"bytes=0-1")],
        [(b"range", b"bytes=0-1"), (b"if-range", b'"b"')],
        [(b"range", b"bytes=0-1"), (b"if-range", b'W/"a"')],
    ],
)
def test_rfc_9110_section_14_2_ranges_that_are_answered_whole(request_lines: list[HeaderLine]) -> None:
    assert asked(*request_lines).status == 200


def test_rfc_9110_section_14_2_ranges_are_for_get_and_for_bytes_of_the_upstream() -> None:
    range_line = (b"range", b"bytes=0-1")
    assert asked(range_line, method="HEAD").status == 200
    assert asked(range_line, of=stored(is_recoded=True)).status == 200
    assert asked(range_line, of=stored(status=404)).status == 404


def test_rfc_9110_section_13_2_2_conditions_come_before_ranges() -> None:
    assert asked((b"range", b"bytes=0-1"), (b"if-none-match", b'"a"')).status == 304
    assert asked((b"range", b"bytes=0-1"), (b"if-none-match", b'"b"')).status == 206
    assert asked((b"range", b"bytes=0-1"), (b"if-range", b'"a"')).status == 206
