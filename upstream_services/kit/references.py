"""What rows of a service say of each other: that which a row refers to exists, and that nothing refers to what goes."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.errors import conflict
from upstream_services.kit.model import Row
from upstream_services.kit.resource import Resource, require_reference
from upstream_services.kit.shapes import annotations_of, column_of


@cache
def tables_of(registry: Any) -> dict[str, Any]:
    """Name of a table -> its mapped class, of one service."""
    return {mapper.class_.__tablename__: mapper.class_ for mapper in registry.mappers}


def referrers_of(table: Any) -> tuple[tuple[Any, str], ...]:
    """The columns, each with its class, that refer to rows of a table and hold them where they are."""
    return tuple(
        (other, name)
        for other, name in all_referrers_of(table)
        if column_of(other, name).info["on_delete"] == "restrict"
    )


@cache
def all_referrers_of(table: Any) -> tuple[tuple[Any, str], ...]:
    """The columns, each with its class, that refer to rows of a table."""
    found = []
    for other in tables_of(table.registry).values():
        if not issubclass(other, Row):
            continue
        for name in annotations_of(other):
            info = column_of(other, name).info
            if info.get("references") == table.__tablename__:
                found.append((other, name))
    return tuple(found)


async def require_references(session: AsyncSession, resource: Resource[Any], values: Mapping[str, Any]) -> None:
    """Raises a 422 problem that names the first of the values that refers to a row that is not there."""
    tables = tables_of(resource.table.registry)
    for name, target in resource.references.items():
        if values.get(name) is not None:
            await require_reference(session, tables[target], values[name], name)


async def require_no_referrers(session: AsyncSession, row: Row) -> None:
    """Raises a 409 problem where rows that are not deleted refer to this one, which must be locked."""
    for other, name in referrers_of(inspect(row).mapper.class_):
        found = select(other.id).where(getattr(other, name) == row.id).limit(1)
        if await session.scalar(found) is not None:
            raise conflict(f"{other.__tablename__} refer to it", "in_use")
