"""What stands in the section `auth`: apart from the plugin, since a compiled module takes no pydantic fields."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from gateway.core.headers import is_token
from gateway.core.keys import AlgorithmName
from gateway.core.scalars import Duration, Settings
from gateway.core.schema_hints import HEADER_NAME, SCOPE, exactly_one, written
from gateway.core.tokens import is_plain_text, is_scope


def _plain(value: str) -> str:
    if not is_plain_text(value):
        raise ValueError("write it without control characters and without spaces around it")
    return value


def _scope(value: str) -> str:
    if not is_scope(value):
        raise ValueError("a scope has no spaces, quotes or control characters")
    return value


def _field_name(value: str) -> str:
    if not is_token(value.encode()):
        raise ValueError("this is not the name of a header")
    return value


def _by_name(value: Any) -> Any:
    """The list form `[{name: ci, ...}]` -> `{ci: {...}}`."""
    if not isinstance(value, list):
        return value
    named: dict[str, Any] = {}
    for entry in value:
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if not isinstance(name, str):
            raise ValueError("each key of the list needs a name")
        if name in named:
            raise PydanticCustomError("duplicate_key", "the key {name} stands here twice; keep one", {"name": name})
        named[name] = {member: entry[member] for member in entry if member != "name"}
    return named


PlainText = Annotated[
    str, Field(min_length=1, max_length=255), AfterValidator(_plain), written(r"^\S(?:[^\x00-\x1f\x7f]*\S)?$", "t1")
]
Scope = Annotated[str, AfterValidator(_scope), written(SCOPE, "crm.read")]


class _SecretSettings(Settings):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NamedKey(_SecretSettings):
    """One key of several: the token's `kid` chooses it."""

    model_config = ConfigDict(json_schema_extra=exactly_one("secret", "public_key"))

    kid: str = Field(min_length=1, examples=["2026-11"], description="The name that tokens carry in their header")
    algorithm: AlgorithmName = Field(description="The one algorithm of this key")
    secret: SecretStr | None = Field(
        default=None, examples=["${env:JWT_SECRET}"], description="For HS256, HS384 and HS512"
    )
    public_key: str | None = Field(
        default=None, examples=["${file:public.pem}"], description="For all other algorithms: PEM text"
    )

    @model_validator(mode="after")
    def _check_one(self) -> "NamedKey":
        if (self.secret is None) == (self.public_key is None):
            raise ValueError("write either secret or public_key")
        return self


class JwtSettings(_SecretSettings):
    """How a profile's tokens are verified."""

    model_config = ConfigDict(json_schema_extra=exactly_one("secret", "public_key", "keys", "jwks"))

    algorithms: tuple[AlgorithmName, ...] = Field(min_length=1, description="All that are accepted, and no other")
    secret: SecretStr | None = Field(
        default=None, examples=["${env:JWT_SECRET}"], description="The shared secret, for HS256, HS384 and HS512"
    )
    public_key: str | None = Field(
        default=None, examples=["${file:public.pem}"], description="The public key as PEM text"
    )
    keys: tuple[NamedKey, ...] | None = Field(default=None, min_length=1, description="Several keys, chosen by kid")
    jwks: str | dict[str, Any] | None = Field(
        default=None, examples=["https://id.example/jwks.json"], description="The URL of a JWK set, or the set itself"
    )
    issuer: str | None = Field(
        default=None, examples=["https://id.example"], description="The iss that tokens must have"
    )
    audience: str | None = Field(
        default=None, examples=["api"], description="The aud that tokens must have; without it they have none"
    )
    leeway: Duration = Field(default=0.0, description="How far clocks may be apart")

    @model_validator(mode="after")
    def _check_one(self) -> "JwtSettings":
        given = [name for name in ("secret", "public_key", "keys", "jwks") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"write one of secret, public_key, keys, jwks; here: {', '.join(given) or 'none'}")
        return self


class ApiKey(_SecretSettings):
    """One API key and whose it is. The key itself is nowhere: only its hash."""

    sha256: str = Field(
        pattern="^[0-9a-fA-F]{64}$",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        description="SHA-256 of the key, in hex",
    )
    tenant: PlainText | None = Field(default=None, description="Whose key it is")
    user: PlainText | None = Field(default=None, description="The user it acts for")
    plan: PlainText | None = Field(default=None, description="The plan of its limits")
    scopes: tuple[Scope, ...] = Field(default=(), description="What it may")
    modules: tuple[PlainText, ...] = Field(default=(), description="The modules that its tenant has licensed")


class _ListedApiKey(ApiKey):
    """An entry of the list form."""

    name: PlainText = Field(description="The name of the key in logs")


class ApiKeySettings(_SecretSettings):
    """Where a profile's API keys come, and which there are."""

    header: Annotated[str, AfterValidator(_field_name), written(HEADER_NAME, "X-Api-Key")] = Field(
        default="X-Api-Key", description="The request header"
    )
    keys: Annotated[
        dict[PlainText, ApiKey],
        BeforeValidator(_by_name, json_schema_input_type=dict[PlainText, ApiKey] | list[_ListedApiKey]),
    ] = Field(examples=["${file:api_keys.yaml}"], description="The keys by name")


class Profile(Settings):
    """One way to know the caller."""

    model_config = ConfigDict(json_schema_extra=exactly_one("jwt", "api_key"))

    jwt: JwtSettings | None = Field(default=None, description="By a bearer token")
    api_key: ApiKeySettings | None = Field(default=None, description="By an API key")

    @model_validator(mode="after")
    def _check_one(self) -> "Profile":
        if (self.jwt is None) == (self.api_key is None):
            raise ValueError("write either jwt or api_key")
        return self


def profile_shape(profile: Profile) -> bytes:
    """A digest of all that a profile says, its secrets as well: another key is another shape."""

    def reveal(value: SecretStr) -> str:
        return value.get_secret_value()

    return hashlib.sha256(json.dumps(profile.model_dump(), default=reveal, sort_keys=True).encode()).digest()
