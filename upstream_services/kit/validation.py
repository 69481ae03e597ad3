"""Input: request bodies and filters through pydantic, with every fault named by its field."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    create_model,
    field_validator,
)

from upstream_services.kit.errors import Problem

MAX_BODY_BYTES = 1024 * 1024


def _cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"))


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(max_length=5000)]
Email = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
]
Phone = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^\+?[0-9][0-9 ()-]{4,24}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
# Two places always, also for "12.5", so that a reply to a write reads as the row will from the database.
Money = Annotated[Decimal, Field(ge=0, le=1_000_000_000, decimal_places=2), AfterValidator(_cents)]
Moment = Annotated[AwareDatetime, AfterValidator(_utc)]


class Body(BaseModel):
    """A request body: unknown fields are faults, and no text holds NUL, which PostgreSQL cannot keep."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="after")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("must not contain NUL characters")
        return value


B = TypeVar("B", bound=BaseModel)


def partial(model: type[Body]) -> type[Body]:
    """The model of a PATCH: the same fields under the same rules, each of which may be left out."""
    fields: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        annotation = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        fields[name] = (annotation, None)  # a default is not validated: null stays a fault where it was one
    return create_model(f"{model.__name__}Patch", __base__=model, **fields)


def faults(error: ValidationError, root: str = "body") -> list[dict[str, str]]:
    """A pydantic error as `[{field, message}]`; `root` names a fault of the whole."""
    return [
        {"field": ".".join(map(str, item["loc"])) or root, "message": item["msg"]}
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def unprocessable(errors: list[dict[str, str]]) -> Problem:
    """422 for any number of faults."""
    first = errors[0]
    return Problem(422, "invalid", f"{first['field']}: {first['message']}", errors=errors)


async def read_body(request: web.Request, model: type[B]) -> B:
    """The JSON body as `model`. Raises problems: 400 no JSON, 413 over 1 MiB, 415 another media type, 422 faults."""
    media_type = request.content_type
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Problem(415, "not_json", f"the body must be application/json, not {media_type}")
    body = await request.read()
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise Problem(400, "malformed_json", error.errors()[0]["msg"]) from None
        raise unprocessable(faults(error)) from None
