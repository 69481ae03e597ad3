"""The endpoints of a declared resource: list, create, get, patch, delete, nested lists and actions."""

import uuid
from collections.abc import Mapping
from typing import Any, Generic

from aiohttp import web
from pydantic import ValidationError
from sqlalchemy import Select, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit import idempotency
from upstream_services.kit.conditional import etag_header, is_not_modified, require_match
from upstream_services.kit.errors import not_found
from upstream_services.kit.keys import DATABASE
from upstream_services.kit.model import utc_now
from upstream_services.kit.pagination import Key, encode_cursor, page_of, paginate
from upstream_services.kit.resource import R, Resource
from upstream_services.kit.tenancy import tenant_of
from upstream_services.kit.validation import faults, read_body, unprocessable
from upstream_services.kit.views import json_reply


def transaction(request: web.Request) -> Any:
    """The database transaction of the request's tenant, an async context manager that gives the session."""
    return request.app[DATABASE].transaction(tenant_of(request))


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


async def load(session: AsyncSession, resource: Resource[R], row_id: uuid.UUID, *, lock: bool = False) -> R:
    """The tenant's row of that id; `lock` it until the end of the transaction to write it. Raises a 404 problem."""
    statement = select(resource.table).where(resource.table.id == row_id)
    row = await session.scalar(statement.with_for_update() if lock else statement)
    if row is None:
        raise not_found(resource.noun)
    return row


def row_reply(resource: Resource[R], row: R, status: int = 200) -> web.Response:
    """A row as its resource shows it, with its ETag."""
    return json_reply(resource.view(row), status=status, headers={"ETag": etag_header(row)})


class Endpoints(Generic[R]):
    """The handlers of one resource, under the path prefix of its service."""

    def __init__(self, resource: Resource[R], siblings: Mapping[str, Resource[Any]], prefix: str) -> None:
        self.resource, self.siblings = resource, siblings
        self.path = f"{prefix}/{resource.name}"
        self.prefix = prefix
        self.columns = frozenset(inspect(resource.table).column_attrs.keys())

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application's router."""
        one = self.path + "/{id}"
        return [
            web.get(self.path, self.list),
            web.post(self.path, self.create),
            web.get(one, self.get),
            web.patch(one, self.patch),
            web.delete(one, self.delete),
            *(
                web.get(f"{self.prefix}/{parent}/{{id}}/{self.resource.name}", self._nested(parent))
                for parent in self.resource.parents
            ),
            *(web.post(f"{one}/{name}", self._action(name)) for name in self.resource.actions),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """`GET /things?limit=&after=&<filter>=`: `{"items": [...], "next": cursor or null}`."""
        statement = self._filtered(request)
        async with transaction(request) as session:
            return await self._page(session, request, statement)

    def _nested(self, parent: str) -> Any:
        owner, column = self.siblings[parent], getattr(self.resource.table, self.resource.parents[parent])

        async def nested(request: web.Request) -> web.Response:
            parent_id = path_id(request, owner.noun)
            statement = self._filtered(request).where(column == parent_id)
            async with transaction(request) as session:
                await load(session, owner, parent_id)
                return await self._page(session, request, statement)

        return nested

    def _filtered(self, request: web.Request) -> Select[Any]:
        errors, statement = [], select(self.resource.table)
        for name, text in request.query.items():
            if name in ("limit", "after"):
                continue
            if name not in self.resource.filters:
                errors.append({"field": name, "message": "is not a parameter of this list"})
                continue
            try:
                value = self.resource.filter_types[name].validate_python(text)
            except ValidationError as error:
                errors += faults(error, root=name)
            else:
                statement = statement.where(getattr(self.resource.table, name) == value)
        if errors:
            raise unprocessable(errors)
        return statement

    async def _page(self, session: AsyncSession, request: web.Request, statement: Select[Any]) -> web.Response:
        page = page_of(request.query)
        rows = (await session.scalars(paginate(statement, self.resource.table, page))).all()
        shown = rows[: page.limit]
        has_next = len(rows) > page.limit
        cursor = encode_cursor(Key(shown[-1].created_at, shown[-1].id)) if has_next else None
        return json_reply({"items": [self.resource.view(row) for row in shown], "next": cursor})

    async def get(self, request: web.Request) -> web.Response:
        """`GET /things/{id}`; 304 where If-None-Match names this version."""
        async with transaction(request) as session:
            row = await load(session, self.resource, path_id(request, self.resource.noun))
        if is_not_modified(request, row):
            return web.Response(status=304, headers={"ETag": etag_header(row)})
        return row_reply(self.resource, row)

    async def create(self, request: web.Request) -> web.Response:
        """`POST /things`: 201 with Location; 200 with the first record where an Idempotency-Key comes again."""
        key = idempotency.key_of(request) if self.resource.is_idempotent else None
        body = await read_body(request, self.resource.create)
        try:
            async with transaction(request) as session:
                if key is not None and (made := await self._made_before(session, key, idempotency.hash_of(body))):
                    return row_reply(self.resource, made)
                row: Any = self.resource.table()
                if key is not None:
                    row.idempotency_key, row.idempotency_hash = key, idempotency.hash_of(body)
                session.add(row)
                await self._write(session, row, body.model_dump())
        except IntegrityError as error:
            if key is None or idempotency.CONSTRAINT_SUFFIX not in str(error.orig):
                raise
            # A request with the same key was faster; its row is committed, or the constraint would still be waiting.
            async with transaction(request) as session:
                row = await self._made_before(session, key, idempotency.hash_of(body))
            if row is None:
                raise
            return row_reply(self.resource, row)
        reply = row_reply(self.resource, row, status=201)
        reply.headers["Location"] = f"{self.path}/{row.id}"
        return reply

    async def _made_before(self, session: AsyncSession, key: str, body_hash: bytes) -> R | None:
        table: Any = self.resource.table
        row = await session.scalar(select(table).where(table.idempotency_key == key))
        if row is not None:
            idempotency.require_same(row.idempotency_hash, body_hash)
        return row

    async def patch(self, request: web.Request) -> web.Response:
        """`PATCH /things/{id}`: changes the fields sent; 412 where If-Match names another version."""
        row_id = path_id(request, self.resource.noun)
        body = await read_body(request, self.resource.patch)
        async with transaction(request) as session:
            row = await load(session, self.resource, row_id, lock=True)
            require_match(request, row)
            if body.model_fields_set:
                await self._write(session, row, body.model_dump(exclude_unset=True))
        return row_reply(self.resource, row)

    async def _write(self, session: AsyncSession, row: R, values: dict[str, Any]) -> None:
        for name in values.keys() & self.columns:
            setattr(row, name, values[name])
        await self.resource.rules(session, row, values)
        await _flush(session, row)

    async def delete(self, request: web.Request) -> web.Response:
        """`DELETE /things/{id}`: 204; 409 where others refer to it or its state forbids it."""
        async with transaction(request) as session:
            row = await load(session, self.resource, path_id(request, self.resource.noun), lock=True)
            require_match(request, row)
            self.resource.may_delete(row)
            await session.delete(row)
        return web.Response(status=204)

    def _action(self, name: str) -> Any:
        function = self.resource.actions[name]

        async def action(request: web.Request) -> web.Response:
            async with transaction(request) as session:
                row = await load(session, self.resource, path_id(request, self.resource.noun), lock=True)
                require_match(request, row)
                await function(session, row)
                await _flush(session, row)
            return row_reply(self.resource, row)

        return action


async def _flush(session: AsyncSession, row: Any) -> None:
    # `updated_at` changes always, so the version does also where only a part of the row (a line) changed.
    row.updated_at = utc_now()
    await session.flush()
