"""What a table says about JSON: the body that creates a row, the row as a reply shows it, the type of each field."""

import types
import typing
from functools import cache
from typing import Annotated, Any, Union

from pydantic import BaseModel, Field, create_model
from sqlalchemy import Column, inspect
from sqlalchemy.orm import Mapped, MappedColumn

from upstream_services.kit.model import Row
from upstream_services.kit.validation import Body

OWN_COLUMNS = frozenset(("tenant_id", *(name for name in vars(Row) if not name.startswith("_")), "deleted_at"))


@cache
def annotations_of(table: Any) -> dict[str, Any]:
    """Column -> its Python type with its rules, as `Mapped[...]` says it."""
    found = {}
    for name, hint in typing.get_type_hints(table, include_extras=True).items():
        if typing.get_origin(hint) is Mapped and name in inspect(table).column_attrs:
            found[name] = _without_columns(typing.get_args(hint)[0])
    return found


def _without_columns(hint: Any) -> Any:
    """The annotation without what is SQLAlchemy's in it, which would only confuse pydantic's schemas."""
    if typing.get_origin(hint) is Annotated:
        base, *rules = typing.get_args(hint)
        kept = tuple(rule for rule in rules if not isinstance(rule, MappedColumn))
        return Annotated[(base, *kept)] if kept else base
    if typing.get_origin(hint) in (Union, types.UnionType):
        return Union[tuple(map(_without_columns, typing.get_args(hint)))]  # noqa: UP007 - made of a tuple
    return hint


def without_none(hint: Any) -> Any:
    """The type of what is there, of one that may be None."""
    if typing.get_origin(hint) in (Union, types.UnionType):
        return Union[tuple(part for part in typing.get_args(hint) if part is not type(None))]  # noqa: UP007
    return hint


def may_be_none(hint: Any) -> bool:
    """Whether None is among its values."""
    return typing.get_origin(hint) in (Union, types.UnionType) and type(None) in typing.get_args(hint)


def column_of(table: Any, name: str) -> Column[Any]:
    """The table's column of an attribute."""
    column: Column[Any] = inspect(table).column_attrs[name].columns[0]
    return column


@cache
def public_columns(table: Any) -> tuple[str, ...]:
    """The attributes of a mapped class that clients see: all columns but the tenant and the private ones."""
    names = inspect(table).column_attrs.keys()
    return tuple(name for name in names if name != "tenant_id" and not column_of(table, name).info.get("private"))


def _default(column: Column[Any], hint: Any) -> Any:
    made: Any = column.default
    if made is not None and made.is_scalar:
        return made.arg
    if made is not None and made.is_callable:
        return Field(default_factory=lambda: made.arg(None))
    return None if may_be_none(hint) else ...


@cache
def body_of(table: Any) -> type[Body]:
    """The body of a create: every column that is neither the kit's own nor private or read-only."""
    fields: dict[str, Any] = {}
    for name, hint in annotations_of(table).items():
        column = column_of(table, name)
        if name in OWN_COLUMNS or column.info.get("private") or column.info.get("read_only"):
            continue
        fields[name] = (hint, _default(column, hint))
    return create_model(f"{table.__name__}Create", __base__=Body, __doc__=table.__doc__, **fields)


@cache
def shape_of(table: Any, extra: type[BaseModel] | None = None) -> type[BaseModel]:
    """A row as replies show it, for the OpenAPI document; `extra` has what a resource's own view adds."""
    hints = annotations_of(table)
    fields: dict[str, Any] = {name: (plain_type(hints[name]), ...) for name in public_columns(table)}
    return create_model(table.__name__, __base__=extra or BaseModel, __doc__=table.__doc__, **fields)


def plain_type(hint: Any) -> Any:
    """A type without the rules of its input: what was kept is not judged again."""
    if typing.get_origin(hint) is Annotated:
        return typing.get_args(hint)[0]
    if typing.get_origin(hint) in (Union, types.UnionType):
        return Union[tuple(map(plain_type, typing.get_args(hint)))]  # noqa: UP007
    return hint


@cache
def part_of(model: type[BaseModel]) -> type[BaseModel]:
    """A row of a list, of which `fields` may have left out anything but the id."""
    fields: dict[str, Any] = {
        name: (info.annotation, ... if name == "id" else None) for name, info in model.model_fields.items()
    }
    return create_model(f"{model.__name__}Part", **fields)


@cache
def page_of_shape(model: type[BaseModel]) -> type[BaseModel]:
    """A page of a list of rows."""
    after = Annotated[str | None, Field(description="`after` of the next page")]
    return create_model(f"{model.__name__}Page", items=(list[part_of(model)], ...), next=(after, ...))  # type: ignore[misc]
