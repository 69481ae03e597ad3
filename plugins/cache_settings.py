"""What stands under `cache` in routes.yaml."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from gateway.core.cache_reply import CacheRules
from gateway.core.headers import is_token
from gateway.core.scalars import Duration, Settings, Size
from gateway.core.schema_hints import HEADER_NAME, given, written
from plugins.cache_warming import Warm


def _field_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not name.isascii() or not is_token(name.encode()):
            raise ValueError(f'"{name}" is not a header name')
    return tuple(dict.fromkeys(name.lower() for name in names))


def _statuses(value: dict[int, float]) -> dict[int, float]:
    for status in value:
        if not 300 <= status <= 599:
            raise ValueError(f"{status} is no status of 300 to 599; ttl is for those that succeed")
    return value


class CacheSettings(Settings):
    """What may be kept. The short form is the time to live."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"required": ["override"], "properties": {"override": {"const": True}}},
            "then": given("ttl"),
        }
    )

    ttl: Duration | None = Field(
        default=None, description="How long a reply is fresh of which the upstream says nothing; left out: not kept"
    )
    override: bool = Field(default=False, description="The ttl counts whatever the upstream says, except no-store")
    scope: Literal["public", "tenant", "user"] | None = Field(
        default=None, description="Who shares a kept reply; has to be said where the route has auth"
    )
    vary: Annotated[
        tuple[Annotated[str, written(HEADER_NAME, "Accept-Language")], ...], AfterValidator(_field_names)
    ] = Field(
        default=(), description="Request headers that tell replies apart; x-plan and x-scopes are the verified ones"
    )
    stale: Duration = Field(default=0.0, description="How long after that it may be used while it is fetched anew")
    stale_if_error: Duration = Field(
        default=0.0, description="How long after that it may be used if the upstream fails"
    )
    negative: Annotated[
        dict[Annotated[int, WithJsonSchema({"type": "string", "pattern": r"^[345]\d\d$"})], Duration],
        AfterValidator(_statuses),
    ] = Field(
        default_factory=dict,
        examples=[{"404": "5s"}],
        description="How long errors and redirects are fresh, by status: {404: 5s}",
    )
    heuristic: bool = Field(default=False, description="Guess a ttl from Last-Modified where nobody says one")
    tags: tuple[str, ...] = Field(
        default=(), examples=[["crm:{tenant}"]], description="Names to invalidate it by; may have {tenant} and the like"
    )
    max_size: Size = Field(default=1 << 20, description="Larger replies pass and are not kept")
    layers: Annotated[tuple[Literal["l1", "l2"], ...], Field(min_length=1)] = Field(
        default=("l1", "l2"), description="Where: l1 is each worker's memory, l2 the store"
    )

    warm: Warm | None = Field(default=None, description="Paths to ask for before a client does")

    def rules(self) -> CacheRules:
        """For `core/cache_*.py`."""
        return CacheRules(
            ttl_s=self.ttl,
            override=self.override,
            stale_s=self.stale,
            stale_if_error_s=self.stale_if_error,
            negative=self.negative,
            heuristic=self.heuristic,
            has_scope=self.scope is not None,
        )

    @model_validator(mode="after")
    def _check(self) -> "CacheSettings":
        if self.override and self.ttl is None:
            raise ValueError("override needs a ttl to put in place of the upstream's")
        return self


def _read_short(value: Any) -> Any:
    return {"ttl": value} if isinstance(value, str) else value


Policy = Annotated[CacheSettings, BeforeValidator(_read_short, json_schema_input_type=Duration | CacheSettings)]
