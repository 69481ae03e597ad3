"""What several parts of the table's model have in common."""

from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from gateway.core.headers import is_token

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def invalid(message: str, code: str = "invalid_value") -> PydanticCustomError:
    """An error of that code with that very sentence."""
    # Through the context, because the template itself may hold no braces.
    return PydanticCustomError(code, "{message}", {"message": message})


def _header_name(value: str) -> str:
    if not value.isascii() or not is_token(value.encode()):
        raise invalid(f'"{value}" is not a header name')
    return value.lower()


HeaderName = Annotated[str, AfterValidator(_header_name)]
