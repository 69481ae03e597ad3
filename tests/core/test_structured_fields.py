import pytest

from gateway.core.structured_fields import SfItem, parse_dictionary


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", {}),
        (b"  ", {}),
        (b"max-age=60", {b"max-age": 60}),
        (b"  max-age=60, no-store  ", {b"max-age": 60, b"no-store": True}),
        (b"a=?1, b=?0, c", {b"a": True, b"b": False, b"c": True}),
        (b"a=1,b=2\t,\tc=3", {b"a": 1, b"b": 2, b"c": 3}),
        (b"a=1, a=2", {b"a": 2}),
        (b"a=-7, b=007", {b"a": -7, b"b": 7}),
        (b'a="x \\"y\\\\"', {b"a": b'x "y\\'}),
        (b"a=1.5, b=foo/bar, c=:AQ==:, d=@1659578233", {b"a": None, b"b": None, b"c": None, b"d": None}),
        (b'a=%"f%c3%bc"', {b"a": None}),
        (b'a=(1 "x";p  foo);q=1, b', {b"a": None, b"b": True}),
        (b"a=(), b", {b"a": None, b"b": True}),
        (b"a;x;y=2, b=1; z=?0", {b"a": True, b"b": 1}),
        (b"*a_b-c.d*=1", {b"*a_b-c.d*": 1}),
        (b"a=999999999999999", {b"a": 999_999_999_999_999}),
    ],
)
def test_rfc_9651_section_4_2_2_dictionaries(value: bytes, expected: dict[bytes, SfItem]) -> None:
    assert parse_dictionary(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"max-age=60, &&&&&",
        b"Max-Age=60",
        b"a=1,",
        b"a=1 b=2",
        b",a=1",
        b"a=1,,b=2",
        b"a =1",
        b"a= 1",
        b"a=",
        b'a="x',
        b'a="\\x"',
        b'a="\xc3\xa4"',
        b"a=1.",
        b"a=1.2345",
        b"a=1000000000000000",
        b"a=1.2.3",
        b"a=?2",
        b"a=:?:",
        b"a=(1 2",
        b'a=("x""y")',
        b"a=1;",
        b"a=1;B",
        b"a=--1",
        b"\ta=1",
        b"a=@1.5",
    ],
)
def test_rfc_9651_section_4_2_one_wrong_byte_and_the_field_is_none(value: bytes) -> None:
    assert parse_dictionary(value) is None
