import pytest

from gateway.core.cache_variants import normalise_languages, secondary_key, vary_names
from gateway.core.headers import HeaderLine, Headers


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ()),
        ([b""], ()),
        ([b"Foo"], (b"foo",)),
        ([b"b, A ,b,,"], (b"a", b"b")),
        ([b"b", b"a"], (b"a", b"b")),
        ([b"*"], None),
        ([b"a, *"], None),
        ([b"a", b"*"], None),
        ([b"a b"], None),
        ([b'"a"'], None),
    ],
)
def test_rfc_9110_section_12_5_5_vary(values: list[bytes], expected: tuple[bytes, ...] | None) -> None:
    assert vary_names(Headers([(b"vary", value) for value in values])) == expected


def key(*lines: HeaderLine, vary: tuple[bytes, ...] = (b"foo",)) -> bytes:
    return secondary_key(vary, Headers(lines), {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([(b"foo", b"1, 2")], [(b"foo", b"1,2")]),
        ([(b"foo", b"1, 2")], [(b"foo", b"1"), (b"foo", b"2")]),
        ([(b"foo", b"1, 2")], [(b"foo", b"  1 ,\t2 ")]),
        ([(b"foo", b"1"), (b"bar", b"1")], [(b"bar", b"2"), (b"foo", b"1")]),
        ([], [(b"bar", b"2")]),
    ],
)
def test_rfc_9111_section_4_1_requests_that_match(one: list[HeaderLine], other: list[HeaderLine]) -> None:
    assert key(*one) == key(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([(b"foo", b"1")], [(b"foo", b"2")]),
        ([(b"foo", b"1")], []),
        ([(b"foo", b"")], []),
        ([(b"foo", b"1, 2")], [(b"foo", b"2, 1")]),
        ([(b"foo", b"1")], [(b"foo", b"1"), (b"foo", b"1")]),
        ([(b"foo", b"a")], [(b"foo", b"A")]),
        ([(b"foo", b'"1, 2"')], [(b"foo", b'"1,2"')]),
    ],
)
def test_rfc_9111_section_4_1_requests_that_do_not_match(one: list[HeaderLine], other: list[HeaderLine]) -> None:
    assert key(*one) != key(*other)


def test_no_value_passes_for_two() -> None:
    both = (b"a", b"b")
    assert key((b"a", b"1;b=1:2"), vary=both) != key((b"a", b"1"), (b"b", b"2"), vary=both)


def test_without_vary_there_is_one_variant() -> None:
    assert key((b"foo", b"1"), vary=()) == b""


def test_a_route_says_what_values_are_the_same() -> None:
    def coding(value: bytes | None) -> bytes:
        return b"br" if value and b"br" in value else b"identity"

    def of(*lines: HeaderLine) -> bytes:
        return secondary_key((b"accept-encoding",), Headers(lines), {b"accept-encoding": coding})

    assert of((b"accept-encoding", b"gzip, br")) == of((b"accept-encoding", b"br"))
    assert of() == of((b"accept-encoding", b"gzip"))
    assert of() != of((b"accept-encoding", b"br"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"en, de", b"EN , De"),
        (b"en;q=0.5, de", b"de,en;q=0.50"),
        (b"en;q=1.0, de;q=0.7", b"de; q=0.7, en"),
        (b"en;q=1.", b"en"),
    ],
)
def test_rfc_9110_section_12_5_4_languages_that_mean_the_same(one: bytes, other: bytes) -> None:
    assert normalise_languages(one) == normalise_languages(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # The order may tell a preference.
        (b"en, de", b"de, en"),
        (b"en;q=0.5, de", b"en, de;q=0.5"),
        (b"en", None),
        (b"", None),
        (b"en;q=0.12345", b"en;q=0.1234"),
        (b"en;x=1", b"en"),
    ],
)
def test_rfc_9110_section_12_5_4_languages_that_differ(one: bytes, other: bytes | None) -> None:
    assert normalise_languages(one) != normalise_languages(other)


def test_accept_language_is_normalised_without_being_told() -> None:
    vary = (b"accept-language",)
    assert key((b"accept-language", b"EN"), vary=vary) == key((b"accept-language", b"en"), vary=vary)
