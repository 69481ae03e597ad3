"""Rows as JSON: every public column, money as a string (a float would lose paise), times in ISO 8601."""

import json
import uuid
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from aiohttp import web
from sqlalchemy import inspect

_COMPACT = (",", ":")


@cache
def public_columns(table: Any) -> tuple[str, ...]:
    """The attributes of a mapped class that clients see: all columns but the tenant and the private ones."""
    attributes = inspect(table).column_attrs
    return tuple(a.key for a in attributes if a.key != "tenant_id" and not a.columns[0].info.get("private"))


def plain_view(row: Any) -> dict[str, Any]:
    """The public columns of a row."""
    return {name: getattr(row, name) for name in public_columns(row.__class__)}


def _encode(value: Any) -> str:
    match value:
        case Decimal():
            return format(value, "f")
        case date():  # and datetime, which is one
            return value.isoformat()
        case uuid.UUID():
            return str(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")


def to_json(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, default=_encode, ensure_ascii=False, separators=_COMPACT).encode()


def json_reply(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON reply."""
    return web.Response(body=to_json(value), status=status, content_type="application/json", headers=headers)
