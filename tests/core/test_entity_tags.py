import pytest

from gateway.core.entity_tags import is_entity_tag, is_matched, is_strong, parse_tags


@pytest.mark.parametrize("tag", [b'"a"', b'W/"a"', b'""', b'"\xe4!#~"', b'"a,b"'])
def test_rfc_9110_section_8_8_3_tags(tag: bytes) -> None:
    assert is_entity_tag(tag)


@pytest.mark.parametrize("tag", [b"", b"a", b'"a', b'w/"a"', b'W/ "a"', b'"a b"', b'"a"b"', b'"a"\n', b"*"])
def test_rfc_9110_section_8_8_3_what_is_no_tag(tag: bytes) -> None:
    assert not is_entity_tag(tag)


def test_rfc_9110_section_8_8_1_strength() -> None:
    assert is_strong(b'"a"') and not is_strong(b'W/"a"')


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'"a"', [b'"a"']),
        (b'"a", W/"b" ,"c"', [b'"a"', b'W/"b"', b'"c"']),
        (b', ,"a",,', [b'"a"']),
        (b'"a,b"', [b'"a,b"']),
        (b"", []),
        (b"a", []),
        (b'"a" "b"', []),
        (b'"a", b, "c"', [b'"a"']),
    ],
)
def test_lists_are_read_up_to_what_is_no_tag(value: bytes, expected: list[bytes]) -> None:
    assert parse_tags(value) == expected


@pytest.mark.parametrize(
    ("condition", "tag", "expected"),
    [
        (b'"a"', b'"a"', True),
        (b'W/"a"', b'"a"', True),
        (b'"a"', b'W/"a"', True),
        (b'W/"a"', b'W/"a"', True),
        (b'"b", "a"', b'"a"', True),
        (b'"b"', b'"a"', False),
        (b'"A"', b'"a"', False),
        (b"*", b'"a"', True),
        (b"*", None, True),
        (b'"a"', None, False),
        (b"a", b"a", False),
        (b'"a', b'"a', False),
    ],
)
def test_rfc_9110_section_13_1_2_compares_weakly(condition: bytes, tag: bytes | None, expected: bool) -> None:
    assert is_matched(condition, tag) is expected
