import pytest

from gateway.core.cache_ranges import Unsatisfiable, may_use_range, select_range
from gateway.core.headers import Headers

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
NEXT_SECOND = b"Sun, 06 Nov 1994 08:49:38 GMT"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"bytes=0-0", (0, 1)),
        (b"bytes=2-4", (2, 5)),
        (b"bytes=2-", (2, 10)),
        (b"bytes=9-99999999999999999999999999", (9, 10)),
        (b"bytes=-3", (7, 10)),
        (b"bytes=-99", (0, 10)),
        (b"bytes=-99999999999999999999999999", (0, 10)),
        (b"bytes=00000000000000000000000000002-4", (2, 5)),
        (b"BYTES = ,2-4 ,", (2, 5)),
    ],
)
def test_rfc_9110_section_14_1_2_one_range(value: bytes, expected: tuple[int, int]) -> None:
    assert select_range(value, 10) == expected


@pytest.mark.parametrize(
    "value",
    [b"", b"bytes", b"bytes=", b"bytes=-", b"bytes=4-2", b"bytes=a-b", b"lines=0-1", b"bytes=0-1,3-4", b"bytes=1 -2"],
)
def test_rfc_9110_section_14_2_what_cannot_be_read_and_several_ranges_are_answered_whole(value: bytes) -> None:
    assert select_range(value, 10) is None


@pytest.mark.parametrize(
    ("value", "length"), [(b"bytes=10-", 10), (b"bytes=-0", 10), (b"bytes=0-", 0), (b"bytes=-1", 0)]
)
def test_rfc_9110_section_15_5_17_unsatisfiable(value: bytes, length: int) -> None:
    with pytest.raises(Unsatisfiable):
        select_range(value, length)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (b'"a"', True),
        (b'"b"', False),
        (b'W/"a"', False),
        (DATE, True),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", True),
        (NEXT_SECOND, False),
        (b"a", False),
    ],
)
def test_rfc_9110_section_13_1_5_if_range(condition: bytes, expected: bool) -> None:
    reply = Headers([(b"etag", b'"a"'), (b"last-modified", DATE), (b"date", NEXT_SECOND)])
    assert may_use_range(Headers([(b"if-range", condition)]), reply, 0.0) is expected


def test_rfc_9110_section_13_1_5_a_weak_validator_never_does() -> None:
    weak = Headers([(b"etag", b'W/"a"'), (b"last-modified", DATE), (b"date", DATE)])
    assert not may_use_range(Headers([(b"if-range", b'W/"a"')]), weak, 0.0)
    assert not may_use_range(Headers([(b"if-range", DATE)]), weak, 0.0)
    assert not may_use_range(Headers([(b"if-range", DATE)]), Headers([(b"last-modified", DATE)]), 0.0)


def test_without_if_range_any_reply_does() -> None:
    assert may_use_range(Headers(), Headers(), 0.0)
    two = Headers([(b"if-range", b'"a"'), (b"if-range", b'"a"')])
    assert not may_use_range(two, Headers([(b"etag", b'"a"')]), 0.0)
