"""`Resource`: one resource in one short declaration. What it answers is in `lists.py` and `endpoints.py`."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, TypeAdapter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.errors import invalid
from upstream_services.kit.idempotency import IdempotentCreate
from upstream_services.kit.model import Row
from upstream_services.kit.shapes import (
    annotations_of,
    body_of,
    column_of,
    page_of_shape,
    plain_type,
    shape_of,
    without_none,
)
from upstream_services.kit.validation import Body, partial
from upstream_services.kit.views import plain_view

R = TypeVar("R", bound=Row)

ActionFunction = Callable[..., Awaitable[BaseModel | Mapping[str, Any] | None]]
Rules = Callable[[AsyncSession, R, Mapping[str, Any]], Awaitable[None]]

ALWAYS_SORTABLE = ("created_at", "updated_at")
# The types that have an order that people think in, and how a bound of each is read.
RANGES: dict[Any, Any] = {
    int: int, Decimal: Decimal, date: date, datetime: AwareDatetime, AwareDatetime: AwareDatetime,
}  # fmt: skip


async def require_reference(session: AsyncSession, table: type[Row], row_id: uuid.UUID, field_name: str) -> None:
    """Raises a 422 problem that names the field unless the tenant has such a row. For `rules`.

    The row is locked against deletion until the end of the transaction, so what was true stays true when it is written.
    """
    statement = select(table.id).where(table.id == row_id).with_for_update(read=True, key_share=True)
    if await session.scalar(statement) is None:
        raise invalid(field_name, f"there is no such {table.__name__.lower()}")


async def _no_rules(_session: AsyncSession, _row: Any, _values: Mapping[str, Any]) -> None:
    return


def _may_delete(_row: Any) -> None:
    return


@dataclass(frozen=True, kw_only=True)
class Action:
    """`POST /things/{id}/<name>`: a function that changes the locked row of that id, in one transaction.

    `body` is the model of its input, None for an action without; `reply` that of what it returns, None where it returns
    None, which shows the row.
    """

    name: str
    function: ActionFunction
    body: type[Body] | None = None
    reply: type[BaseModel] | None = None

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or self.name).strip().partition("\n")[0]


@dataclass(kw_only=True)
class Resource(Generic[R]):
    """A resource: its name in the path, its table, and only what is not the same for all.

    - `filters`: columns that a list may be narrowed by: `?stage=won`, again for any of several (`&stage=lost`), and
      `?value_min=&value_max=` for numbers, dates and moments.
    - `sortable`: columns for `?sort=`, beside created_at and updated_at. Each has to have an index (`by` in model.py).
    - `nested_in`: columns that refer to another resource: "contact_id" gives `/contacts/{id}/deals`.
    - `create`: the body of a create, where it is more than the table's own columns (lines of an invoice).
    - `rules(session, row, values)` runs before a write, on the row as it would become, with the fields that the client
      sent (those that are no columns are its to store); it raises problems. References are checked by the kit.
    - `may_delete(row)` raises a problem for a row that must stay.
    - `view(row)` and `extra`: what a reply shows beyond the columns, and its model for the document.
    - `read_only`: it has no create, patch, delete, restore and bulk: its rows come of actions.
    - `is_live`: its rows change by themselves, so no cache on the way may keep a reply.
    """

    name: str
    table: type[R]
    filters: tuple[str, ...] = ()
    sortable: tuple[str, ...] = ()
    nested_in: tuple[str, ...] = ()
    create: type[Body] = None  # type: ignore[assignment] - made of the table unless given
    rules: Rules[R] = _no_rules
    may_delete: Callable[[R], None] = _may_delete
    view: Callable[[R], dict[str, Any]] = plain_view
    extra: type[BaseModel] | None = None
    read_only: bool = False
    is_live: bool = False
    actions: dict[str, Action] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = annotations_of(self.table)
        for name in (*self.filters, *self.sortable, *self.nested_in):
            if name not in known:
                raise ValueError(f"{self.name}: {self.table.__name__} has no column {name}")
        for name in self.nested_in:
            if name not in self.references:
                raise ValueError(f"{self.name}: {name} refers to nothing; declare it with `reference`")
        if self.create is None:
            self.create = body_of(self.table)

    @cached_property
    def patch(self) -> type[Body]:
        """The model of a PATCH body: that of a create with every field optional."""
        return partial(self.create)

    @cached_property
    def noun(self) -> str:
        """One of them, for messages."""
        words = self.name.replace("-", " ")
        return words[:-3] + "y" if words.endswith("ies") else words.removesuffix("s")

    @cached_property
    def shape(self) -> type[BaseModel]:
        """The model of a row in a reply."""
        return shape_of(self.table, self.extra)

    @cached_property
    def page_shape(self) -> type[BaseModel]:
        """The model of a page of its list."""
        return page_of_shape(self.shape)

    @cached_property
    def references(self) -> dict[str, str]:
        """Column -> table it refers to."""
        columns = {name: column_of(self.table, name).info for name in annotations_of(self.table)}
        return {name: info["references"] for name, info in columns.items() if "references" in info}

    @cached_property
    def all_sortable(self) -> tuple[str, ...]:
        """What `sort` may name."""
        return (*ALWAYS_SORTABLE, *self.sortable)

    @cached_property
    def is_plain(self) -> bool:
        """Whether a reply shows the columns and nothing else, so that a list can read just these."""
        return self.view is plain_view

    @cached_property
    def filter_types(self) -> dict[str, TypeAdapter[Any]]:
        """How the text of each filter is read: by the rule of its column."""
        known = annotations_of(self.table)
        return {name: TypeAdapter(without_none(known[name])) for name in self.filters}

    @cached_property
    def range_types(self) -> dict[str, TypeAdapter[Any]]:
        """Of the filters and times, those that have `_min` and `_max`: how their bounds are read."""
        known, found = annotations_of(self.table), {}
        for name in dict.fromkeys((*self.filters, *ALWAYS_SORTABLE)):
            kind = plain_type(without_none(known[name]))
            if kind in RANGES:
                found[name] = TypeAdapter(RANGES[kind])
        return found

    @cached_property
    def is_idempotent(self) -> bool:
        """Whether a create honours Idempotency-Key."""
        return issubclass(self.table, IdempotentCreate)

    def action(
        self, name: str, *, body: type[Body] | None = None, reply: type[BaseModel] | None = None
    ) -> Callable[[ActionFunction], ActionFunction]:
        """Declares `POST /things/{id}/<name>`: `async def win(session, deal)`, or `(session, deal, body)`.

        The kit locks the row, honours If-Match, commits, and replies with the row or with what the function returned.
        """

        def declare(function: ActionFunction) -> ActionFunction:
            self.actions[name] = Action(name=name, function=function, body=body, reply=reply)
            return function

        return declare
