import pytest

from gateway.core.cache_invalidation import invalidated_targets
from gateway.core.headers import HeaderLine, Headers


def invalid(*reply: HeaderLine, method: str = "POST", status: int = 200, target: str = "/a?b=1") -> list[str]:
    return invalidated_targets(method, status, "https", "api.example", target, Headers(reply))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH", "post", "get"])
@pytest.mark.parametrize("status", [200, 201, 204, 302, 304, 399])
def test_rfc_9111_section_4_4_an_unsafe_request_that_succeeds_invalidates_its_target(method: str, status: int) -> None:
    assert invalid(method=method, status=status) == ["/a?b=1"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_rfc_9110_section_9_2_1_safe_methods_change_nothing(method: str) -> None:
    assert invalid((b"location", b"/c"), method=method) == []


@pytest.mark.parametrize("status", [400, 404, 500, 503, 199])
def test_rfc_9111_section_4_4_errors_invalidate_nothing(status: int) -> None:
    assert invalid((b"location", b"/c"), status=status) == []


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (b"/c", "/c"),
        (b"c?d=2", "/c?d=2"),
        (b"https://api.example/c#part", "/c"),
        (b"https://api.example", "/"),
        (b"HTTPS://API.example:443/c", "/c"),
        (b"//api.example/c", "/c"),
        (b"?d=2", "/a?d=2"),
    ],
)
@pytest.mark.parametrize("name", [b"location", b"content-location"])
def test_rfc_9111_section_4_4_locations_of_the_same_origin(name: bytes, reference: bytes, expected: str) -> None:
    assert invalid((name, reference)) == ["/a?b=1", expected]


@pytest.mark.parametrize(
    "reference",
    [
        b"https://other.example/c",
        b"http://api.example/c",
        b"https://api.example:8443/c",
        b"https://api.example.evil/c",
        b"https://user@evil/c",
        b"mailto:a@api.example",
        b"https://[::1/c",
        b"https://api.example:x/c",
    ],
)
def test_rfc_9111_section_4_4_locations_of_other_origins_stay(reference: bytes) -> None:
    assert invalid((b"location", reference)) == ["/a?b=1"]


def test_both_locations_and_each_target_once() -> None:
    assert invalid((b"location", b"/c"), (b"content-location", b"/d")) == ["/a?b=1", "/c", "/d"]
    assert invalid((b"location", b"/a?b=1")) == ["/a?b=1"]
