"""What routes and upstreams say of failures and overload: `breaker`, `overload`, `hedge`, `priority`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.forms import PositiveDuration, positive
from gateway.core.scalars import Percent, Settings, parse_duration
from gateway.core.schema_hints import POSITIVE_DURATION, written


def _hedge_after(value: Any) -> float | None:
    if value == "p95":
        return None
    try:
        return parse_duration(value)
    except PydanticCustomError:
        raise PydanticCustomError(
            "bad_duration", "{shown} is not p95 and no duration such as 50ms", {"shown": repr(value)}
        ) from None


Priority = Literal["critical", "high", "normal", "low"]


class Breaker(Settings):
    """`breaker`: giving an upstream a rest when too much of it fails."""

    error_rate: Percent = Field(0.5, description="The share of failures that opens it.")
    window: PositiveDuration = Field(10.0, description="Over which the share is counted.")
    min: int = Field(20, ge=1, description="Requests in the window below which it stays closed.")
    open: PositiveDuration = Field(10.0, description="How long it stays open before a few requests may try.")
    trials: int = Field(3, ge=1, le=100, description="How many may try then; it closes when all of them did well.")


class Overload(Settings):
    """`overload`: a limit on requests at once that follows the upstream's latency; for each worker."""

    max: int = Field(200, ge=1, description="The largest limit.")
    min: int = Field(10, ge=1, description="The least limit.")
    queue: int = Field(100, ge=0, le=100_000, description="How many requests may wait for a place; 0 for none.")
    wait: PositiveDuration = Field(1.0, description="How long one may wait; then 503.")

    @model_validator(mode="after")
    def _is_a_range(self) -> "Overload":
        if self.min > self.max:
            raise PydanticCustomError(
                "invalid_value",
                "min {least} is more than max {most}; write a min of {most} at most, or a larger max",
                {"least": self.min, "most": self.max},
            )
        return self


class Hedge(Settings):
    """`hedge`: asking another endpoint as well when the first is slow; safe methods only. A key that a route leaves out
    is as in `defaults`.
    """

    after: Annotated[
        float | None,
        BeforeValidator(_hedge_after, json_schema_input_type=str),
        AfterValidator(positive),
        written(rf"^p95$|{POSITIVE_DURATION}", "p95", "50ms"),
    ] = Field(None, description="How long the first may take: a duration, or p95 of what this route took lately.")
    at_most: Percent = Field(0.1, description="Hedges as a share of the requests; they count as retries as well.")
