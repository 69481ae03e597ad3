"""The parameters of a list: what a query string asks of a resource's rows, as a statement."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from multidict import MultiMapping
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Select, false, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from upstream_services.kit.errors import invalid
from upstream_services.kit.model import Row
from upstream_services.kit.pagination import MAX_LIMIT, Page, beyond, in_order, page_of, paginate
from upstream_services.kit.resource import Resource
from upstream_services.kit.search import MATCH, search_query, sought
from upstream_services.kit.tenancy import BY_WORDS, WITH_DELETED
from upstream_services.kit.validation import faults, unprocessable

FEW = 1000
"""So many rows are read and sorted for a search; where more have its words, it goes through the list's own order."""
PAGING = ("limit", "after", "sort", "fields", "deleted")


@dataclass(frozen=True)
class Wish:
    """What a client asked of a list. `names`: the fields to show, in their order; `ids`: the rows, in theirs.

    `statement` has every condition but that of a full-text search, `words`; None without one.
    """

    statement: Select[Any]
    page: Page
    names: tuple[str, ...]
    ids: tuple[uuid.UUID, ...]
    words: Any = None
    sought: Mapping[str, str] | None = None  # the values in `words`

    @property
    def whole(self) -> Select[Any]:
        """The statement with all its conditions."""
        return self.statement if self.words is None else _with_words(self.statement, self.words)

    def where(self, *conditions: Any) -> "Wish":
        """The same under further conditions."""
        return replace(self, statement=self.statement.where(*conditions))


def _read(adapter: TypeAdapter[Any], name: str, text: str, errors: list[dict[str, str]]) -> Any:
    if "\0" in text:
        errors.append({"field": name, "message": "must not contain NUL characters"})
        return None
    try:
        return adapter.validate_python(text)
    except ValidationError as error:
        errors += faults(error, root=name)
        return None


def read_wish(resource: Resource[Any], tenant: str, query: MultiMapping[str]) -> Wish:
    """Reads every parameter of a list. Raises a 422 problem that names all that are at fault."""
    table, errors = resource.table, []
    conditions: list[Any] = []
    words: Any = None
    values: dict[str, str] | None = None
    for name in dict.fromkeys(query):
        texts = query.getall(name)
        base, bound = name[:-4], name[-4:]
        if name in PAGING:
            continue
        if name == "q" and table.__search__:
            values = sought(tenant, texts[-1])
            words = table.__table__.c.search_lexemes.op("@@")(search_query(tenant, texts[-1]))
        elif name in resource.filters:
            wanted = [_read(resource.filter_types[name], name, text, errors) for text in texts]
            column = getattr(table, name)
            conditions.append(column == wanted[0] if len(wanted) == 1 else column.in_(wanted))
        elif bound in ("_min", "_max") and base in resource.range_types:
            value = _read(resource.range_types[base], name, texts[-1], errors)
            if value is not None:
                conditions.append(getattr(table, base) >= value if bound == "_min" else getattr(table, base) <= value)
        elif name != "ids":
            errors.append({"field": name, "message": "is not a parameter of this list"})
    ids = _ids(query, errors)
    if ids:
        conditions.append(table.id.in_(ids))
    if errors:
        raise unprocessable(errors)
    statement = select(table).where(*conditions)
    names = _names(resource, query)
    if query.get("deleted", "false") == "true":
        statement = statement.where(table.deleted_at.is_not(None)).execution_options(**WITH_DELETED)
        names = (*names, "deleted_at")
    elif query.get("deleted", "false") != "false":
        raise invalid("deleted", "must be true or false")
    page = page_of(query, table, resource.all_sortable)
    return Wish(statement, page if not ids else page._replace(limit=MAX_LIMIT), names, ids, words, values)


def _ids(query: Mapping[str, str], errors: list[dict[str, str]]) -> tuple[uuid.UUID, ...]:
    if "ids" not in query:
        return ()
    texts = query["ids"].split(",")
    if len(texts) > MAX_LIMIT:
        errors.append({"field": "ids", "message": f"at most {MAX_LIMIT} ids, with commas between them"})
        return ()
    try:
        return tuple(dict.fromkeys(map(uuid.UUID, texts)))
    except ValueError:
        errors.append({"field": "ids", "message": "must be ids with commas between them"})
        return ()


def _names(resource: Resource[Any], query: Mapping[str, str]) -> tuple[str, ...]:
    shown = tuple(resource.shape.model_fields)
    if "fields" not in query:
        return shown
    wanted = query["fields"].split(",")
    for name in wanted:
        if name not in shown:
            raise invalid("fields", f"{name!r} is no field of a {resource.noun}; there are {', '.join(shown)}")
    return tuple(name for name in shown if name == "id" or name in wanted)


def _with_words(statement: Select[Any], words: Any) -> Select[Any]:
    return statement.where(words).execution_options(**BY_WORDS)


async def plain_rows(session: AsyncSession, table: type[Row], wish: Wish, page: Page) -> list[Any]:
    """A page, and one row more, as plain rows: the values of the wish's names, in their order, and then others.

    Objects of the mapper would cost several times as much, and what the index has, PostgreSQL need not read from the
    table.
    """
    names = (*wish.names, "id", page.sort.removeprefix("-"))
    if wish.words is not None:
        if wish.statement.whereclause is None and page.after is None:
            statement, values = _few_of_all(table, page, wish.names), wish.sought
        else:
            statement, values = _few(table, wish, page, names), None
        rows = (await session.execute(statement, values)).all()
        if not rows or rows[0].found <= FEW:
            return list(rows)
    statement = _of_columns(table, tuple(dict.fromkeys(names)), wish)
    if wish.words is not None:
        statement = statement.where(func.coalesce(wish.words, false()))  # so that no index is read for the words
    return list((await session.execute(paginate(statement, table, page))).all())


def _few(table: type[Row], wish: Wish, page: Page, names: tuple[str, ...]) -> Select[Any]:
    """What is found by its words, sorted, with its number in each row: right where that is FEW or less.

    The index of the words has no order. Where most rows have them, as with a part of every address, to read and sort
    all takes a hundred times as long as to go through the rows in order until a page is full (333 ms, seen at 98,000
    contacts of a tenant); and where few have them, the reverse. Which it is, the planner cannot know beforehand.
    """
    read = tuple(dict.fromkeys((*names, "tenant_id", "deleted_at")))  # the last two for the session's own filters
    found = _with_words(beyond(_of_columns(table, read, wish), table, page), wish.words).limit(FEW + 1).subquery()
    rows = aliased(table, found)
    shown = (getattr(rows, name) for name in dict.fromkeys(names))
    statement = select(*shown, func.count().over().label("found")).execution_options(**BY_WORDS)
    return in_order(statement.execution_options(**wish.statement.get_execution_options()), table, page, rows)


@lru_cache(maxsize=1000)  # to make it costs as much as all else that a search costs here
def _few_of_all(table: type[Row], page: Page, names: tuple[str, ...]) -> Select[Any]:
    """`_few` of the first page under no other condition, which is what is asked for most; it takes its values later."""
    words = table.__table__.c.search_lexemes.op("@@")(MATCH)
    wish = Wish(select(table), page, names, (), words)
    return _few(table, wish, page, (*names, "id", page.sort.removeprefix("-")))


def _of_columns(table: type[Row], names: tuple[str, ...], wish: Wish) -> Select[Any]:
    statement, condition = _columns(table, names), wish.statement.whereclause
    if condition is not None:
        statement = statement.where(condition)
    return statement.execution_options(**wish.statement.get_execution_options())


@lru_cache(maxsize=1000)  # SQLAlchemy takes as long to look at each column as to run what it has looked at before
def _columns(table: type[Row], names: tuple[str, ...]) -> Select[Any]:
    return select(*(getattr(table, name) for name in names))
