"""What routes say of more than one upstream: `split` and `mirror`."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gateway.config.forms import invalid
from gateway.core.scalars import Percent, Settings


class SplitPart(Settings):
    """One upstream of a `split`, and its share."""

    to: str = Field(examples=["crm-v2"], description="The upstream.")
    weight: int = Field(
        ge=0, le=10_000, examples=[10], description="Its share of the callers, against the other weights; 0 for none."
    )


def _can_be_drawn(parts: tuple[SplitPart, ...]) -> tuple[SplitPart, ...]:
    names = [part.to for part in parts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise invalid(f'"{twice}" stands here twice; give it one weight', "invalid_split")
    if not any(part.weight for part in parts):
        raise invalid(
            "every weight is 0, so no upstream gets a request; give one a weight of 1 or more", "invalid_split"
        )
    return parts


Split = Annotated[tuple[SplitPart, ...], Field(min_length=1), AfterValidator(_can_be_drawn)]


class Mirror(Settings):
    """`mirror`: copies of requests for another upstream, whose replies nobody gets."""

    to: str = Field(examples=["crm-v2"], description="The upstream that gets the copies.")
    percent: Percent = Field(description="The share of the requests to be copied, by lot.")


def share_of(parts: tuple[SplitPart, ...], upstream: str) -> float:
    """The share of an upstream, 0 where it has none."""
    return sum(part.weight for part in parts if part.to == upstream) / sum(part.weight for part in parts)


def split_text(parts: tuple[SplitPart, ...]) -> str:
    """`crm 90%, crm-v2 10%`."""
    return ", ".join(f"{part.to} {percent_text(share_of(parts, part.to))}" for part in parts)


def percent_text(share: float) -> str:
    """`10%`, `0.5%`, `33.33%`."""
    return f"{share * 100:.4g}%"


def own_mirror(mirror: Mirror | None) -> dict[str, Any] | None:
    """In the table's words."""
    return None if mirror is None else {"to": mirror.to, "percent": percent_text(mirror.percent)}
