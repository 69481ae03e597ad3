"""Rows as JSON: every public column, money as a string (a float would lose paise), times in ISO 8601."""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web
from asyncpg.pgproto.pgproto import UUID
from pydantic import BaseModel

from upstream_services.kit.shapes import public_columns

_COMPACT = (",", ":")


def plain_view(row: Any) -> dict[str, Any]:
    """The public columns of a row."""
    return {name: getattr(row, name) for name in public_columns(row.__class__)}


# By exact type, as most are: one look-up where a chain of tests costs three times as much.
_FORMS: dict[type, Callable[[Any], Any]] = {
    Decimal: lambda value: format(value, "f"),
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    uuid.UUID: str,
    UUID: str,  # the driver's own
    timedelta: timedelta.total_seconds,
}


def _encode(value: Any) -> Any:
    form = _FORMS.get(type(value))
    if form is not None:
        return form(value)
    if isinstance(value, BaseModel):
        return dict(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")


def to_json(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, default=_encode, ensure_ascii=False, separators=_COMPACT).encode()


def json_reply(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON reply."""
    return web.Response(body=to_json(value), status=status, content_type="application/json", headers=headers)


NO_STORE = {"Cache-Control": "no-store"}


def tagged_reply(request: web.Request, value: Any, *, is_live: bool = False) -> web.Response:
    """A JSON reply whose ETag is of what it says; 304 where If-None-Match says that the client has it.

    `is_live`: no cache may keep it.
    """
    body = to_json(value)
    opaque = hashlib.blake2b(body, digest_size=12).hexdigest()
    headers = {"ETag": f'W/"{opaque}"'} | (NO_STORE if is_live else {})
    known: Iterable[Any] = request.if_none_match or ()
    if any(tag.value in ("*", opaque) for tag in known):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type="application/json", headers=headers)
