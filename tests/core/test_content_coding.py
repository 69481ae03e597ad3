import pytest

from gateway.core.content_coding import COMPRESSIBLE_TYPES, choose_coding, compile_media_types

OFFERED = ("zstd", "br", "gzip")


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        (None, "identity"),
        (b"", "identity"),
        (b"gzip", "gzip"),
        (b"gzip, deflate, br, zstd", "zstd"),
        (b"gzip, deflate, br", "br"),
        (b"GZIP", "gzip"),
        (b"x-gzip", "gzip"),
        (b"deflate", "identity"),
        (b"*", "zstd"),
        (b"*;q=0.5, gzip", "gzip"),
        (b"zstd;q=0, *", "br"),
        (b"br;q=0.9, zstd;q=0.8", "br"),
        (b"br;q=0.8, zstd;q=0.8", "zstd"),
        (b"gzip;q=0.001", "gzip"),
        (b"gzip;q=0", "identity"),
        (b"gzip;q=0.000", "identity"),
        (b"identity", "identity"),
        (b"identity, gzip", "gzip"),
        (b"identity, gzip;q=0.5", "identity"),
        (b"identity;q=0.5, gzip;q=0.5", "gzip"),
        (b"*;q=0.5, gzip;q=0.2", "zstd"),
        (b"gzip \t;\t Q = 0.5 , br", "br"),
        (b"identity;q=0", None),
        (b"*;q=0", None),
        (b"gzip;q=0, identity;q=0", None),
        (b"*;q=0, identity", "identity"),
        (b"*;q=0, gzip", "gzip"),
        (b"deflate, identity;q=0", None),
        (b",, gzip ,", "gzip"),
        (b"gzip;q=2, br;q=0.1", "br"),
        (b"gzip;q=, br;q=-1", "identity"),
        (b"gzip;q=0.1234", "identity"),
        (b"gzip;level=3", "identity"),
        (b";q=1", "identity"),
        (b"\xff\xfe;q=1, br", "br"),
        (b"gzip;q=0, gzip", "gzip"),
        (b"a" * 1000 + b", br", "br"),
    ],
)
def test_rfc_9110_section_12_5_3(accept_encoding: bytes | None, expected: str | None) -> None:
    assert choose_coding(accept_encoding, OFFERED) == expected


def test_without_an_offer_only_identity_is_left() -> None:
    assert choose_coding(b"gzip", ()) == "identity"
    assert choose_coding(b"*;q=0", ()) is None


def test_media_types_worth_compressing() -> None:
    is_compressible = compile_media_types(COMPRESSIBLE_TYPES)
    for content_type in (
        b"application/json",
        b"Application/JSON; charset=utf-8",
        b"application/problem+json",
        b"text/csv ;header=present",
        b"image/svg+xml",
    ):
        assert is_compressible(content_type), content_type
    for content_type in (b"", b"image/png", b"application/zip", b"xtext/html", b"application/jsonp", b"text"):
        assert not is_compressible(content_type), content_type
    assert not is_compressible(b"text/html;" + b"x" * 1000)


@pytest.mark.parametrize("text", ["json", "text/", "text/html; q=1", "Text/HTML", "a/b/c", ""])
def test_a_type_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it like text/html"):
        compile_media_types([text])
