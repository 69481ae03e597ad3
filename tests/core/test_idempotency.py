import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.idempotency import (
    UNKNOWN,
    Claim,
    Fingerprint,
    KeptReply,
    LostReply,
    claim_record,
    is_final,
    lost_record,
    parse_key,
    read_record,
    record_key,
    reply_record,
)

PRINT = bytes(range(32))


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b'"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (b"8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (b' "a b" ', "a b"),
        (rb'"a\"b\\"', 'a"b\\'),
        (b"x" * 255, "x" * 255),
        (b"a,b;c=1", "a,b;c=1"),
    ],
)
def test_a_key_is_a_string_of_rfc9651_or_bare(value: bytes, key: str) -> None:
    assert parse_key([value]) == key


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b"a", b"a"],
        [b""],
        [b'""'],
        [b'"a'],
        [b'a"'],
        [b"a b"],
        [b'"a";x=1'],
        [rb'"\a"'],
        [b"a\\"],
        [b"\xc3\xa9"],
        [b'"\xc3\xa9"'],
        [b"a\tb"],
        [b"x" * 256],
        [b'"' + b"x" * 256 + b'"'],
    ],
)
def test_anything_else_is_no_key(values: list[bytes]) -> None:
    with pytest.raises(ValueError):
        parse_key(values)


def test_each_part_of_where_a_record_is_kept_counts() -> None:
    places = [
        record_key(*parts)
        for parts in (
            ("tenant:a", "r", "POST", "k"),
            ("tenant:b", "r", "POST", "k"),
            ("tenant:a", "s", "POST", "k"),
            ("tenant:a", "r", "PATCH", "k"),
            ("tenant:a", "r", "POST", "l"),
            ("tenant:ar", "", "POST", "k"),
            ("tenant:a", "rPOST", "", "k"),
        )
    ]
    assert len(set(places)) == len(places)
    assert record_key("tenant:a", "r", "POST", "k") == places[0]


def fingerprint(user: str, method: str, target: str, *pieces: bytes) -> bytes:
    made = Fingerprint(user, method, target)
    for piece in pieces:
        made.update(piece)
    return made.digest()


def test_a_fingerprint_is_of_the_whole_request_however_its_body_came() -> None:
    first = fingerprint("u", "POST", "/a?b", b"body")
    assert fingerprint("u", "POST", "/a?b", b"bo", b"", b"dy") == first
    others = [
        fingerprint("v", "POST", "/a?b", b"body"),
        fingerprint("u", "PATCH", "/a?b", b"body"),
        fingerprint("u", "POST", "/a?c", b"body"),
        fingerprint("u", "POST", "/a?b", b"bod"),
        fingerprint("u", "POST", "/a?bbo", b"dy"),
    ]
    assert len({first, UNKNOWN, *others}) == 7


lines = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=5)


@given(st.binary(min_size=32, max_size=32), st.integers(200, 599), lines, st.binary(max_size=200))
def test_a_kept_reply_comes_back_as_it_was(
    print_: bytes, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    assert read_record(reply_record(print_, status, headers, body)) == KeptReply(print_, status, tuple(headers), body)


def test_the_other_records() -> None:
    assert read_record(claim_record(PRINT, b"token")) == Claim(PRINT)
    assert claim_record(PRINT, b"token") != claim_record(PRINT, b"other")
    assert read_record(lost_record(PRINT)) == LostReply(PRINT)


@given(st.binary(max_size=80))
def test_what_is_no_record_is_a_value_error(data: bytes) -> None:
    try:
        read_record(data)
    except ValueError:
        return
    assert data[:1] == b"\x01"


def test_a_record_that_is_cut_off_is_a_value_error() -> None:
    whole = reply_record(PRINT, 200, [(b"a", b"b")], b"")
    for size in range(len(whole)):
        with pytest.raises(ValueError):
            read_record(whole[:size])


@pytest.mark.parametrize("status", [200, 201, 204, 303, 400, 403, 404, 409, 422])
def test_what_is_said_for_good_is_kept(status: int) -> None:
    assert is_final(status)


@pytest.mark.parametrize("status", [401, 408, 425, 429, 500, 502, 503, 504])
def test_what_may_end_otherwise_the_next_time_is_not(status: int) -> None:
    assert not is_final(status)
