"""What stands under the keys of routes.yaml, less than a mapping: each form with its check, and as a schema says it."""

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from gateway.core import schema_hints
from gateway.core.explain_token import KEY_SIZE_MIN
from gateway.core.headers import is_token
from gateway.core.paths import PathNotCanonical, normal_form, parse_pattern
from gateway.core.scalars import Duration, DurationOrNone, Size
from gateway.core.schema_hints import written
from gateway.core.store_url import parse_store_url

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_HASH_ON = re.compile(r"tenant|user|ip|(header|cookie):[A-Za-z0-9_-]+")
_REGEX = re.compile(r"[\^$\\()|+\[\]]|\.\*")
_RETRY_ON = ("connect", "reset", "timeout")


def invalid(message: str, code: str = "invalid_value") -> PydanticCustomError:
    """For validators: a fault with its code and its sentence."""
    # Through the context, because the template itself may hold no braces.
    return PydanticCustomError(code, "{message}", {"message": message})


def listed(value: Any) -> Any:
    """One text for a list of it."""
    return [value] if isinstance(value, str) else value


def positive(value: float | None) -> float | None:
    """A time that is not over at once."""
    if value == 0:
        raise invalid("0 would be over at once; write none where there is to be no limit")
    return value


def _positive_size(value: int) -> int:
    if value == 0:
        raise invalid("0B would refuse every request")
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise invalid(f'"{value}" is not a network: write it like 10.0.0.0/8, 127.0.0.1/32 or ::1/128') from None
    return value


def _pattern(value: str) -> str:
    try:
        parse_pattern(value)
    except ValueError as error:
        hint = (
            "; a path is no regular expression: write {id}, {id:int}, or /* at the end" if _REGEX.search(value) else ""
        )
        raise invalid(f"{error}{hint}", "bad_path") from None
    return value


def _plain_path(value: str) -> str:
    if not value.startswith("/") or value.endswith("/"):
        raise invalid(f'"{value}" must start with / and not end with it, like /api/v1', "bad_path")
    try:
        is_normal = normal_form(value) == value and not set("{}*") & set(value)
    except PathNotCanonical as error:
        raise invalid(f'"{value}" has {error.reason}', "bad_path") from None
    if not is_normal:
        raise invalid(f'"{value}" must be plain text, without parameters and as it stands in a URL', "bad_path")
    return value


def _template(value: str) -> str:
    if value.endswith("*"):
        raise invalid(f'"{value}": a path template has no *; use strip and prefix to keep the rest', "bad_path")
    if ":int}" in value:
        raise invalid(f'"{value}": a path template names parameters only, like {{id}}', "bad_path")
    return _pattern(value)


def _method(value: str) -> str:
    if value not in METHODS:
        hint = f'write "{value.upper()}"' if value.upper() in METHODS else f"known: {', '.join(METHODS)}"
        raise invalid(f'"{value}" is not a method; {hint}', "unknown_method")
    return value


def _host(value: str) -> str:
    host = value.lower()
    if not _HOST.fullmatch(host):
        raise invalid(f'"{value}" is not a host: write it like api.example.com or *.example.com, without a port')
    return host


def _header_name(value: str) -> str:
    if not value.isascii() or not is_token(value.encode()):
        raise invalid(f'"{value}" is not a header name')
    return value.lower()


def _hash_on(value: str) -> str:
    if not _HASH_ON.fullmatch(value):
        raise invalid(f'"{value}" is not one of tenant, user, ip, header:NAME, cookie:NAME')
    return value


def _store(value: str) -> str:
    try:
        parse_store_url(value)
    except ValueError as error:
        raise invalid(str(error)) from None
    return value


def _explain_key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < KEY_SIZE_MIN:
        raise invalid(f"the key needs {KEY_SIZE_MIN} characters at least, such as those of openssl rand -hex 16")
    return value


def _retry_cause(value: Any) -> str:
    cause = str(value)
    if cause not in _RETRY_ON and not re.fullmatch(r"5\d\d", cause):
        raise invalid(f'"{cause}" is not a cause to retry; write connect, reset, timeout or a status of 500 to 599')
    return cause


PositiveDuration = Annotated[Duration, AfterValidator(positive), written(schema_hints.POSITIVE_DURATION, "30s")]
PositiveSize = Annotated[Size, AfterValidator(_positive_size), written(schema_hints.POSITIVE_SIZE, "32KiB")]
PositiveDurationOrNone = Annotated[
    DurationOrNone, AfterValidator(positive), written(rf"^none$|{schema_hints.POSITIVE_DURATION}", "30s", "none")
]
Network = Annotated[str, AfterValidator(_network), written(schema_hints.NETWORK, "10.0.0.0/8")]
PatternText = Annotated[
    str, AfterValidator(_pattern), written(schema_hints.PATTERN, "/api/v1/crm/*", "/api/v1/crm/{id}")
]
PlainPath = Annotated[str, AfterValidator(_plain_path), written(schema_hints.PLAIN_PATH, "/api/v1")]
TemplateText = Annotated[str, AfterValidator(_template), written(schema_hints.TEMPLATE, "/contacts/{id}")]
Method = Annotated[str, AfterValidator(_method), WithJsonSchema({"enum": list(METHODS)})]
HeaderName = Annotated[str, AfterValidator(_header_name), written(schema_hints.HEADER_NAME, "x-version")]
Predicate = Annotated[
    str | None,
    BeforeValidator(
        lambda value: None if value == "*" else value if isinstance(value, str) else str(value),
        json_schema_input_type=Annotated[Any, WithJsonSchema({"examples": ["2", "*"]})],
    ),
]
OriginUrl = Annotated[str, written(schema_hints.ORIGIN, "http://127.0.0.1:8101")]
RetryCause = Annotated[
    str,
    BeforeValidator(_retry_cause),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(_RETRY_ON)},
                {"type": "integer", "minimum": 500, "maximum": 599},
                {"type": "string", "pattern": r"^5\d\d$"},
            ]
        }
    ),
]
StoreText = Annotated[
    str,
    AfterValidator(_store),
    written(r"^(?:memory://|rediss?://.+|redis\+(?:sentinel|cluster)://.+)$", "${env:REDIS_URL:-memory://}"),
]
HashOn = Annotated[str, AfterValidator(_hash_on), written(f"^(?:{_HASH_ON.pattern})$", "tenant")]
HostText = Annotated[
    str, AfterValidator(_host), written(f"^{_HOST.pattern}$".replace("a-z", "A-Za-z"), "api.example.com")
]
ExplainKey = Annotated[
    SecretStr,
    AfterValidator(_explain_key),
    Field(json_schema_extra={"minLength": KEY_SIZE_MIN, "examples": ["${env:EXPLAIN_KEY}"]}),
]
