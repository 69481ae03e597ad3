"""What a checked type tells editors: the form that its check takes, as far as a JSON Schema can say it, and examples.

The checks themselves stand beside the types; a test proves that both agree (tests/config/test_schema_agrees.py).
"""

from typing import Any

from pydantic import Field
from pydantic.config import JsonDict

_TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 section 5.6.2
_LITERAL = r"(?!\.{1,2}(?:/|$))(?:[A-Za-z0-9._~!$&'()+,=:@-]|%(?:2[0235]|3[BCEF]|5[BDE]|60|7[BCD]))+"
_PARAMETER = r"\{[a-z_][a-z0-9_]*(?::int)?\}"
HEADER_NAME = f"^{_TOKEN}$"
PATTERN = rf"^(?:/|(?:/(?:{_LITERAL}|{_PARAMETER}))*/\*|(?:/(?:{_LITERAL}|{_PARAMETER}))+)$"
PLAIN_PATH = rf"^(?:/{_LITERAL})+$"
TEMPLATE = rf"^(?:/|(?:/(?:{_LITERAL}|\{{[a-z_][a-z0-9_]*\}}))+)$"
ORIGIN = r"^https?://[^/?#\s@]+/?$"
SCOPE = r"^[\x21\x23-\x5b\x5d-\x7e]+$"
MEDIA_TYPE = r"^[a-z0-9!#$&^_.+*-]+/[a-z0-9!#$&^_.+*-]+$"
POSITIVE_DURATION = r"^0*[1-9]\d*(?:ms|s|m|h|d)$"
POSITIVE_SIZE = r"^0*[1-9]\d*(?:B|KiB|MiB|GiB)$"
NETWORK = (
    r"^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?:/(?:3[0-2]|[12]?\d))?"
    r"|(?=.*:)[0-9A-Fa-f:]{2,39}(?:/(?:12[0-8]|1[01]\d|\d{1,2}))?)$"
)


def written(pattern: str, *examples: str) -> Any:
    """For `Annotated[str, AfterValidator(check), written(...)]`."""
    return Field(json_schema_extra={"pattern": pattern, "examples": list(examples)})


def given(name: str) -> JsonDict:
    """A key that is there and says something."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def filled(name: str) -> JsonDict:
    """A key with a list or a mapping that is not empty."""
    return {"required": [name], "properties": {name: {"minItems": 1, "minProperties": 1}}}


def exactly_one(*names: str) -> JsonDict:
    """For `ConfigDict(json_schema_extra=...)`: one of these keys, and no other of them."""
    return {"oneOf": [given(name) for name in names]}


def at_least_one(*names: str) -> JsonDict:
    """For `ConfigDict(json_schema_extra=...)`: one of these keys or more."""
    return {"anyOf": [given(name) for name in names]}
