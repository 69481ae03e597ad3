"""`Resource`: one resource in one short declaration. What it answers is in `endpoints.py`."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.errors import invalid
from upstream_services.kit.idempotency import IdempotentCreate
from upstream_services.kit.model import Row
from upstream_services.kit.validation import Body, partial
from upstream_services.kit.views import plain_view

R = TypeVar("R", bound=Row)

Action = Callable[[AsyncSession, R], Awaitable[None]]
Rules = Callable[[AsyncSession, R, Mapping[str, Any]], Awaitable[None]]


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


@dataclass(kw_only=True)
class Resource(Generic[R]):
    """A resource: its name in the path, its table, its input, and the rules that only it has.

    `rules(session, row, values)` runs before a write, on the row as it would become, with the fields that the client
    sent (those that are no columns, such as an invoice's lines, are its to store); it raises problems. `parents` maps
    another resource of the service to the column that refers to it, which gives `/{parent}/{id}/{name}`.
    """

    name: str
    table: type[R]
    create: type[Body]
    filters: tuple[str, ...] = ()
    parents: Mapping[str, str] = field(default_factory=dict)
    rules: Rules[R] = _no_rules
    may_delete: Callable[[R], None] = _may_delete
    view: Callable[[R], dict[str, Any]] = plain_view
    actions: dict[str, Action[R]] = field(default_factory=dict)

    @cached_property
    def patch(self) -> type[Body]:
        """The model of a PATCH body: that of a create with every field optional."""
        return partial(self.create)

    @cached_property
    def noun(self) -> str:
        """One of them, for messages."""
        return self.name.removesuffix("s")

    @cached_property
    def filter_types(self) -> dict[str, TypeAdapter[Any]]:
        """How the text of each filter is read: by the rule of the field of its name, else by the column's type."""
        fields: Mapping[str, Any] = self.create.model_fields
        return {
            name: TypeAdapter(
                fields[name].annotation if name in fields else inspect(self.table).columns[name].type.python_type
            )
            for name in self.filters
        }

    @cached_property
    def is_idempotent(self) -> bool:
        """Whether a create honours Idempotency-Key."""
        return issubclass(self.table, IdempotentCreate)

    def action(self, name: str) -> Callable[[Action[R]], Action[R]]:
        """Declares `POST /things/{id}/<name>`: the function changes the locked row, the kit commits and replies."""

        def declare(function: Action[R]) -> Action[R]:
            self.actions[name] = function
            return function

        return declare
