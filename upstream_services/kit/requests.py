"""What every handler does first: the request's tenant, transaction, row and preconditions."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.conditional import etag_header
from upstream_services.kit.errors import not_found
from upstream_services.kit.keys import DATABASE, PRIMARY_ONLY
from upstream_services.kit.resource import R, Resource
from upstream_services.kit.tenancy import WITH_DELETED, tenant_of, user_of
from upstream_services.kit.views import NO_STORE, json_reply


def transaction(request: web.Request) -> Any:
    """A transaction of the request's tenant and user on the primary: `async with transaction(request) as session`."""
    origin = {"request_id": request.headers.get("X-Request-Id"), "traceparent": request.headers.get("traceparent")}
    return request.app[DATABASE].transaction(tenant_of(request), user_of(request), **origin)


@asynccontextmanager
async def public_transaction(request: web.Request, table: Any, public_id: Any, noun: str) -> AsyncIterator[Any]:
    """A transaction of the tenant whose row of `table` has that public id, and of no user; for `is_open` operations.

    Raises a 404 problem. Of what the request says of a tenant, nothing is believed.
    """
    database = request.app[DATABASE]
    tenant = await database.tenant_of_public(table, public_id)
    if tenant is None:
        raise not_found(noun)
    origin = {"request_id": request.headers.get("X-Request-Id"), "traceparent": request.headers.get("traceparent")}
    async with database.transaction(tenant, None, **origin) as session:
        yield session


def reading(request: web.Request) -> Any:
    """The same for reading only, on a replica where there is one that is fresh enough for this tenant."""
    return request.app[DATABASE].reading(tenant_of(request), primary=PRIMARY_ONLY.get())


def path_id(request: web.Request, noun: str) -> uuid.UUID:
    """The `{id}` of the path. What is no id names no record: a 404 problem.

    An id has one spelling, so that a record has one path: who keeps replies by path finds all of the record's.
    """
    text = request.match_info["id"]
    try:
        row_id = uuid.UUID(text)
    except ValueError:
        raise not_found(noun) from None
    if str(row_id) != text:
        raise not_found(noun)
    return row_id


async def load(
    session: AsyncSession, resource: Resource[R], row_id: uuid.UUID, *, lock: bool = False, deleted: bool = False
) -> R:
    """The tenant's row of that id; `lock` it until the end of the transaction to write it. Raises a 404 problem.

    `deleted`: one that was deleted, and only such a one.
    """
    statement = select(resource.table).where(resource.table.id == row_id)
    if deleted:
        statement = statement.where(resource.table.deleted_at.is_not(None)).execution_options(**WITH_DELETED)
    row = await session.scalar(statement.with_for_update(of=resource.table) if lock else statement)
    if row is None:
        raise not_found(resource.noun)
    return row


def row_reply(resource: Resource[R], row: R, status: int = 200) -> web.Response:
    """A row as its resource shows it, with its ETag."""
    headers = {"ETag": etag_header(row)} | (NO_STORE if resource.is_live else {})
    return json_reply(resource.view(row), status=status, headers=headers)
