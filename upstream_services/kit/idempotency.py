"""`Idempotency-Key` on create: a request that is sent again finds the record that it made the first time.

The key is kept in the record itself, under a unique constraint by tenant, so key and record are written in one
transaction and the database decides between two requests that arrive together.
"""

import hashlib
import re
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from sqlalchemy import String, UniqueConstraint, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from upstream_services.kit.errors import Problem, invalid
from upstream_services.kit.model import PRIVATE
from upstream_services.kit.tenancy import WITH_DELETED

HEADER = "Idempotency-Key"
CONSTRAINT_SUFFIX = "_unique_idempotency_key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class IdempotentCreate:
    """The columns of a table whose POST honours the key. Rows made without a key have none."""

    idempotency_key: Mapped[str | None] = mapped_column(String(255), info=PRIVATE)
    idempotency_hash: Mapped[bytes | None] = mapped_column(info=PRIVATE)


def unique_key(table_name: str) -> UniqueConstraint:
    """The constraint that an idempotent table lists in its `constraints()`."""
    return UniqueConstraint("tenant_id", "idempotency_key", name=table_name + CONSTRAINT_SUFFIX)


def key_of(request: web.Request) -> str | None:
    """The request's key, or None. Raises a 422 problem for one that is empty, too long or not printable ASCII."""
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise invalid(HEADER, "must be 1 to 255 printable ASCII characters")
    return key


def hash_of(body: BaseModel) -> bytes:
    """What two equal bodies share, however they were spaced and ordered."""
    return hashlib.sha256(body.model_dump_json().encode()).digest()


async def made_before(session: AsyncSession, table: Any, key: str, body_hash: bytes) -> Any:
    """The row that a create with this key made, deleted or not; None where there is none."""
    statement = select(table).where(table.idempotency_key == key).execution_options(**WITH_DELETED)
    row = await session.scalar(statement)
    if row is not None:
        require_same(row.idempotency_hash, body_hash)
    return row


def require_same(first: bytes | None, again: bytes) -> None:
    """Raises a 422 problem where a key is used for another body than its first."""
    if first != again:
        raise Problem(
            422,
            "idempotency_key_reused",
            "this key was used with another body",
            errors=[{"field": HEADER, "message": "was used with another body"}],
        )
