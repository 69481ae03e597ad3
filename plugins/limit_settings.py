"""What stands under `limit` and `plans`: apart from the plugin, since a compiled module takes no pydantic fields."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonValue

from gateway.core.scalars import Rate, Settings
from gateway.core.schema_hints import given

_WINDOWS: list[JsonValue] = [
    given("rate"),
    given("rates"),
    {"required": ["plan"], "properties": {"plan": {"const": True}}},
]
_CONCURRENT = given("concurrent")


class LimitSettings(Settings):
    """How often, and who is counted. The short form is a rate."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [*_WINDOWS, {"allOf": [_CONCURRENT], "not": {"anyOf": _WINDOWS}}],
            "not": {"allOf": [_WINDOWS[2], _CONCURRENT]},
        }
    )

    rate: Rate | None = Field(default=None, description="One rate of this route itself")
    rates: tuple[Rate, ...] | None = Field(default=None, min_length=1, description="Several, all of which must hold")
    plan: bool = Field(default=False, description="The rates of the caller's plan, over all routes together")
    by: Literal["tenant", "user", "ip", "key", "route"] = Field(default="tenant", description="Who is counted")
    on_store_down: Literal["local", "open", "closed"] = Field(
        default="local", description="Without the store: count in each worker, let all pass, or answer 503"
    )
    cost: int = Field(default=1, ge=1, strict=True, description="Tokens of one request")
    concurrent: int | None = Field(default=None, ge=1, strict=True, description="Requests that may be under way")
    mode: Literal["enforce", "shadow"] = Field(default="enforce", description="shadow: count and log, never refuse")

    @model_validator(mode="after")
    def _check_one(self) -> "LimitSettings":
        rates = (self.rate is not None) + (self.rates is not None) + self.plan
        if rates > 1 or (rates == 0 and self.concurrent is None):
            raise ValueError("write one of rate, rates, plan: true; or concurrent, alone or with rate or rates")
        if self.plan and self.concurrent is not None:
            raise ValueError(
                "the plan says how many at once: write concurrent into the plans, or rates instead of plan"
            )
        return self


class PlanSettings(Settings):
    """The token buckets of one plan, and how many of its requests may be under way."""

    limits: tuple[Rate, ...] = Field(
        min_length=1, examples=[["60/min", "1000/h"]], description="A request passes only if every one has a token"
    )
    concurrent: int | None = Field(default=None, ge=1, strict=True, description="Requests that may be under way")


def _read_short(value: Any) -> Any:
    return {"rate": value} if isinstance(value, str) else value


LimitPolicy = Annotated[LimitSettings, BeforeValidator(_read_short, json_schema_input_type=Rate | LimitSettings)]
