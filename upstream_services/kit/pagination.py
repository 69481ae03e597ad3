"""Keyset pagination: `?limit=&after=&sort=`, newest first unless told otherwise.

A cursor names the last row of a page by what the list is sorted by and its id, so a page costs the same wherever it is,
and a row that is added while somebody turns pages neither repeats nor hides another. It is opaque to clients and holds
nothing secret: two values of a row that they have just seen.
"""

import base64
import json
import uuid
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Select, and_, or_
from sqlalchemy.exc import ArgumentError

from upstream_services.kit.errors import invalid
from upstream_services.kit.shapes import annotations_of, may_be_none, plain_type

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
NEWEST_FIRST = "-created_at"
CURSOR_MAX = 1000


class Key(NamedTuple):
    """Where a row stands in a list: the name it is sorted by ("-value": from the largest), its value there, its id."""

    sort: str
    value: Any
    id: uuid.UUID


def _text(value: Any) -> Any:
    match value:
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case uuid.UUID():
            return value.hex
    return value


@cache  # there are as many as types of columns; made anew, one costs as much as the rest of a cursor
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)


def encode_cursor(key: Key) -> str:
    """The cursor of the page after `key`: characters that need no escaping in a URL."""
    packed = json.dumps([key.sort, _text(key.value), key.id.hex], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(packed.encode()).rstrip(b"=").decode()


def decode_cursor(text: str, types: Mapping[str, Any]) -> Key:
    """The key in a cursor, by the type of each column it may be sorted by.

    Raises ValueError for a text that `encode_cursor` did not make.
    """
    if len(text) > CURSOR_MAX:
        raise ValueError("not a cursor")
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        sort, value, row_id = json.loads(packed)
        hint = plain_type(types[sort.removeprefix("-")])
        key = Key(sort, _adapter(hint).validate_python(value), uuid.UUID(row_id))
        same = encode_cursor(key) == text  # one text for each key
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ArgumentError, ValidationError):
        raise ValueError("not a cursor") from None
    if not same:
        raise ValueError("not a cursor")
    return key


class Page(NamedTuple):
    """What a client asked for: `limit` rows in the order `sort`, after a key or from the start."""

    limit: int
    sort: str
    after: Key | None


def page_of(query: Mapping[str, str], table: Any, sortable: tuple[str, ...]) -> Page:
    """Reads `limit`, `sort` and `after`. Raises a 422 problem that names the one at fault."""
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MAX_LIMIT):
        raise invalid("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    sort = query.get("sort", NEWEST_FIRST)
    if sort.removeprefix("-") not in sortable:
        raise invalid("sort", f"must be one of {', '.join(sortable)}, or one with - before it for the reverse")
    if "after" not in query:
        return Page(int(text), sort, None)
    try:
        after = decode_cursor(query["after"], {name: annotations_of(table)[name] for name in sortable})
    except ValueError:
        raise invalid("after", "is not a cursor that this list gave") from None
    if after.sort != sort:
        raise invalid("after", "is a cursor of a list in another order")
    return Page(int(text), sort, after)


def paginate(statement: Select[Any], table: Any, page: Page) -> Select[Any]:
    """Orders by the page's `sort` and id, and reads one row more than the page, which tells whether there is a next."""
    return in_order(beyond(statement, table, page), table, page)


def beyond(statement: Select[Any], table: Any, page: Page) -> Select[Any]:
    """Leaves out what stands before the page."""
    if page.after is None:
        return statement
    name, is_falling = page.sort.removeprefix("-"), page.sort.startswith("-")
    is_nullable = may_be_none(annotations_of(table)[name])
    return statement.where(_beyond(getattr(table, name), table.id, page.after, is_falling, is_nullable))


def in_order(statement: Select[Any], table: Any, page: Page, rows: Any = None) -> Select[Any]:
    """Orders, and reads as much as `paginate` says; `rows` is what is read of the table, where it is not all."""
    name, is_falling = page.sort.removeprefix("-"), page.sort.startswith("-")
    column = getattr(rows or table, name)
    order = column.desc() if is_falling else column.asc()
    order = order.nulls_last() if may_be_none(annotations_of(table)[name]) else order
    return statement.order_by(order, (rows or table).id).limit(page.limit + 1)


def _beyond(column: Any, row_id: Any, after: Key, is_falling: bool, is_nullable: bool) -> Any:
    if after.value is None:  # what has no value stands last
        return and_(column.is_(None), row_id > after.id)
    further = column < after.value if is_falling else column > after.value
    if is_nullable:
        return or_(further, and_(column == after.value, row_id > after.id), column.is_(None))
    # The first half bounds the index scan; `a < x or (a = x and b > y)` alone would read the index from its start.
    bound = column <= after.value if is_falling else column >= after.value
    return and_(bound, or_(further, row_id > after.id))
