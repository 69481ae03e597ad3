"""Request fields that only the gateway sets, and header lines as they stand in routes.yaml."""

from typing import Annotated

from pydantic import AfterValidator

from gateway.core.headers import HOP_BY_HOP, MIRROR_HEADER, is_field_value, is_token
from gateway.core.identity import IDENTITY_HEADERS
from gateway.core.schema_hints import HEADER_NAME, written

_SET_BY_GATEWAY = IDENTITY_HEADERS | {b"forwarded", b"x-real-ip", b"x-request-id", MIRROR_HEADER}
# Framing, and where the request goes.
_PART_OF_MESSAGE = HOP_BY_HOP | {b"content-length", b"host", b"expect"}


def is_set_by_gateway(name: bytes) -> bool:
    """Whether a request field says who asks or whence, which only the gateway may.

    name: lower case. `x_tenant_id` counts as well: application servers map `-` and `_` to the same variable.
    """
    spelled = name.replace(b"_", b"-")
    return spelled in _SET_BY_GATEWAY or spelled.startswith(b"x-forwarded-")


def is_part_of_message(name: bytes) -> bool:
    """Whether a field (lower case) is about the connection, the framing or the host: no policy may touch it."""
    return name in _PART_OF_MESSAGE


def _check_name(name: str) -> str:
    if not name.isascii() or not is_token(name.encode()):
        raise ValueError(f'"{name}" is not a header name')
    lower = name.lower().encode()
    if is_part_of_message(lower) or lower == b"date":
        raise ValueError(f"{name} is the gateway's own: it belongs to the connection or the message")
    return name.lower()


def _check_request_name(name: str) -> str:
    lower = _check_name(name)
    if is_set_by_gateway(lower.encode()):
        raise ValueError(f"{name} says who asks or whence: only the gateway sets it")
    return lower


def _check_value(value: str) -> str:
    if not is_field_value(value.encode()):
        raise ValueError("a header value has no line breaks, control characters or blanks at its ends")
    return value


RequestHeaderName = Annotated[str, AfterValidator(_check_request_name), written(HEADER_NAME, "X-Area")]
"""A request field that a policy may change; read in any case, held in lower case."""
ReplyHeaderName = Annotated[str, AfterValidator(_check_name), written(HEADER_NAME, "X-Frame-Options")]
"""A reply field that a policy may change; read in any case, held in lower case."""
HeaderValue = Annotated[
    str,
    AfterValidator(_check_value),
    written(r"^$|^[^\x00-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?$", "crm"),
]
"""A field value; sent as UTF-8."""
