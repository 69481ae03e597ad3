"""Keyset pagination: `?limit=&after=`, newest first.

A cursor is the key of the last row of a page, so a page costs the same wherever it is, and a row that is added while
somebody turns pages neither repeats nor hides another. It is opaque to clients and holds nothing secret: (created_at,
id) of a row that they have just seen.
"""

import base64
import re
import struct
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, or_

from upstream_services.kit.errors import invalid
from upstream_services.kit.model import Row

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAYOUT = struct.Struct(">q16s")
_TEXT = re.compile(r"[A-Za-z0-9_-]{32}")  # 24 bytes in base64: no padding, and one text for each key


class Key(NamedTuple):
    """Where a row stands in the order of a list."""

    created_at: datetime
    id: uuid.UUID


def encode_cursor(key: Key) -> str:
    """The cursor of the page after `key`: 32 characters that need no escaping in a URL."""
    micros = (key.created_at - _EPOCH) // _MICROSECOND
    return base64.urlsafe_b64encode(_LAYOUT.pack(micros, key.id.bytes)).decode()


def decode_cursor(text: str) -> Key:
    """The key in a cursor. Raises ValueError for a text that `encode_cursor` did not make."""
    if not _TEXT.fullmatch(text):
        raise ValueError("not a cursor")
    micros, raw_id = _LAYOUT.unpack(base64.urlsafe_b64decode(text))
    try:
        return Key(_EPOCH + timedelta(microseconds=micros), uuid.UUID(bytes=raw_id))
    except OverflowError:
        raise ValueError("not a cursor") from None


class Page(NamedTuple):
    """What a client asked for: `limit` rows, after a key or from the start."""

    limit: int
    after: Key | None


def page_of(query: Mapping[str, str]) -> Page:
    """Reads `limit` and `after`. Raises a 422 problem that names the one at fault."""
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MAX_LIMIT):
        raise invalid("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    try:
        after = decode_cursor(query["after"]) if "after" in query else None
    except ValueError:
        raise invalid("after", "is not a cursor that this list gave") from None
    return Page(int(text), after)


def paginate(statement: Select[Any], table: type[Row], page: Page) -> Select[Any]:
    """Orders by `created_at desc, id` and reads one row more than the page, which tells whether there is a next one."""
    if page.after is not None:
        created_at, row_id = page.after
        # The first half bounds the index scan; `a < x or (a = x and b > y)` alone would read the index from its start.
        statement = statement.where(
            and_(table.created_at <= created_at, or_(table.created_at < created_at, table.id > row_id))
        )
    return statement.order_by(table.created_at.desc(), table.id).limit(page.limit + 1)
