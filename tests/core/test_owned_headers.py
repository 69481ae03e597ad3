import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.core.headers import HOP_BY_HOP
from gateway.core.owned_headers import (
    HeaderValue,
    ReplyHeaderName,
    RequestHeaderName,
    is_part_of_message,
    is_set_by_gateway,
)


@pytest.mark.parametrize(
    "name",
    [
        "x-tenant-id",
        "x-user-id",
        "x-plan",
        "x-scopes",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-anything",
        "x-request-id",
    ],
)
def test_who_asks_and_whence_is_set_by_the_gateway_in_every_spelling(name: str) -> None:
    assert is_set_by_gateway(name.encode())
    assert is_set_by_gateway(name.replace("-", "_").encode())
    assert is_set_by_gateway(name.replace("-", "_", 1).encode())
    with pytest.raises(ValidationError, match="only the gateway sets it"):
        TypeAdapter(RequestHeaderName).validate_python(name.title())


def test_other_fields_are_free() -> None:
    for name in (b"x-tenant", b"accept", b"x-requested-with", b"x-forward"):
        assert not is_set_by_gateway(name)
        assert not is_part_of_message(name)
    assert TypeAdapter(RequestHeaderName).validate_python("X-Api-Version") == "x-api-version"
    assert TypeAdapter(ReplyHeaderName).validate_python("X-Request-Id") == "x-request-id"


@pytest.mark.parametrize("name", sorted({name.decode() for name in HOP_BY_HOP} | {"host", "content-length", "expect"}))
def test_connection_and_framing_are_nobodys_to_change(name: str) -> None:
    assert is_part_of_message(name.encode())
    for kind in (RequestHeaderName, ReplyHeaderName):
        with pytest.raises(ValidationError, match="the gateway's own"):
            TypeAdapter(kind).validate_python(name.upper())


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "a\r\n"])
def test_a_name_is_a_token(name: str) -> None:
    with pytest.raises(ValidationError, match="not a header name"):
        TypeAdapter(ReplyHeaderName).validate_python(name)


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0", " a", "a\t"])
def test_a_value_is_one_line(value: str) -> None:
    with pytest.raises(ValidationError, match="no line breaks"):
        TypeAdapter(HeaderValue).validate_python(value)
    assert TypeAdapter(HeaderValue).validate_python("a\tb é") == "a\tb é"
