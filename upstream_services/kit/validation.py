"""Input: request bodies and parameters through pydantic, with every fault named by its field."""

from functools import cache
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator

from upstream_services.kit.errors import Problem

MAX_BODY_BYTES = 1024 * 1024
BULK_MAX = 500  # rows of a bulk create


class Body(BaseModel):
    """A request body: unknown fields are faults, types are strict, no text holds NUL, which PostgreSQL cannot keep."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @field_validator("*", mode="after")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        if _has_nul(value):
            raise ValueError("must not contain NUL characters")
        return value


def _has_nul(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case list():
            return any(map(_has_nul, value))
        case dict():
            return any(map(_has_nul, (*value, *value.values())))
    return False


class Query(BaseModel):
    """The parameters of a report: text that is read as what the fields say; unknown ones are faults."""

    model_config = ConfigDict(extra="forbid")


B = TypeVar("B", bound=BaseModel)


def partial(model: type[Body]) -> type[Body]:
    """The model of a PATCH: the same fields under the same rules, each of which may be left out."""
    fields: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        annotation = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        fields[name] = (annotation, None)  # a default is not validated: null stays a fault where it was one
    name = f"{model.__name__.removesuffix('Create')}Patch"
    return create_model(name, __base__=model, __doc__=model.__doc__, **fields)


@cache
def bulk_of(model: type[Body]) -> type[Body]:
    """The model of a bulk create: `{"items": [...]}`, 1 to 500 of them."""
    items = (Annotated[list[model], Field(min_length=1, max_length=BULK_MAX)], ...)  # type: ignore[valid-type]
    return create_model(f"{model.__name__}Bulk", __base__=Body, items=items)


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


def read_query(request: web.Request, model: type[B]) -> B:
    """The parameters of the request as `model`. Raises a 422 problem that names each that is at fault."""
    given = dict(request.query)
    if any("\0" in value for value in given.values()):
        raise unprocessable(
            [{"field": name, "message": "must not contain NUL"} for name, v in given.items() if "\0" in v]
        )
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise unprocessable(faults(error, root="query")) from None
