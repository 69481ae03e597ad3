import pytest

from gateway.core.http_date import format_http_date, parse_http_date

NOW_S = 1_785_000_000.0  # in 2026


@pytest.mark.parametrize(
    "value",
    [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
        b"sun, 06 nov 1994 08:49:37 gmt",
        b"SUNDAY, 06-NOV-94 08:49:37 GMT",
    ],
)
def test_rfc_9110_section_5_6_7_has_three_forms_read_in_any_case(value: bytes) -> None:
    assert parse_http_date(value, NOW_S) == 784_111_777


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Thu, 01 Jan 1970 00:00:00 GMT", 0),
        (b"Wed, 31 Dec 1969 23:59:59 GMT", -1),
        (b"Tue, 29 Feb 2028 12:00:00 GMT", 1_835_438_400),
        (b"Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        (b"Thu Jan 01 00:00:00 1970", 0),
    ],
)
def test_dates_at_the_edges(value: bytes, expected: int) -> None:
    assert parse_http_date(value, NOW_S) == expected


def test_a_year_of_two_digits_is_never_more_than_fifty_years_ahead() -> None:
    in_2076 = parse_http_date(b"Thursday, 01-Oct-76 00:00:00 GMT", NOW_S)
    in_1977 = parse_http_date(b"Thursday, 01-Oct-77 00:00:00 GMT", NOW_S)
    assert in_2076 is not None and in_2076 > NOW_S
    assert in_1977 is not None and in_1977 < NOW_S


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"0",
        b"-1",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 06 Nov 1994 08:49:37 AEST",
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"Sun, 06 Nov 1994 08:49:37",
        b"Sun, 06 Nov 94 08:49:37 GMT",
        b"Sun 06 Nov 1994 08:49:37 GMT",
        b"Sun,  06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994  08:49:37 GMT",
        b"Sun, 06-Nov-1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08.49.37 GMT",
        b"Sun, 06 Nov 1994 8:49:37 GMT",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"Sun, 31 Feb 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 24:00:00 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Sun Nov 6 08:49:37 1994",
        b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT\n",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT".encode(),
    ],
)
def test_rfc_9111_section_5_3_what_is_no_date_is_none(value: bytes) -> None:
    assert parse_http_date(value, NOW_S) is None


def test_a_date_is_written_in_the_preferred_form() -> None:
    assert format_http_date(784_111_777.9) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    with pytest.raises(OverflowError):
        format_http_date(1e12)
