"""The endpoints of a resource that write or show single rows: create, bulk, get, patch, delete, restore, actions."""

from functools import cached_property
from typing import Any, Generic

from aiohttp import web
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit import idempotency
from upstream_services.kit.conditional import etag_header, is_not_modified, require_match
from upstream_services.kit.errors import within
from upstream_services.kit.model import utc_now
from upstream_services.kit.references import require_no_referrers, require_references
from upstream_services.kit.requests import load, path_id, reading, row_reply, transaction
from upstream_services.kit.resource import Action, R, Resource
from upstream_services.kit.shapes import annotations_of
from upstream_services.kit.validation import Body, bulk_of, read_body
from upstream_services.kit.views import json_reply


class Endpoints(Generic[R]):
    """The handlers of one resource; `path` is where it is, such as "/crm/contacts"."""

    def __init__(self, resource: Resource[R], path: str) -> None:
        self.resource, self.path = resource, path
        self.columns = frozenset(annotations_of(resource.table))

    @cached_property
    def bulk_body(self) -> type[Body]:
        """`{"items": [...]}` of bodies of a create."""
        return bulk_of(self.resource.create)

    async def get(self, request: web.Request) -> web.Response:
        """`GET /things/{id}`; 304 where If-None-Match names this version."""
        async with reading(request) as session:
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
                session.add(row)
                if key is not None:
                    row.idempotency_key, row.idempotency_hash = key, idempotency.hash_of(body)
                await self.write(session, row, body.model_dump())
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

    async def _made_before(self, session: AsyncSession, key: str, body_hash: bytes) -> Any:
        return await idempotency.made_before(session, self.resource.table, key, body_hash)

    async def bulk(self, request: web.Request) -> web.Response:
        """`POST /things/bulk`: 201 with `{"items": [...]}`, all of them or, where one is at fault, none."""
        body: Any = await read_body(request, self.bulk_body)
        async with transaction(request) as session:
            rows: list[Any] = [self.resource.table() for _ in body.items]
            session.add_all(rows)
            for number, (row, item) in enumerate(zip(rows, body.items, strict=True)):
                with within(f"items.{number}"):
                    await self.prepare(session, row, item.model_dump())
            await session.flush()
        return json_reply({"items": [self.resource.view(row) for row in rows]}, status=201)

    async def patch(self, request: web.Request) -> web.Response:
        """`PATCH /things/{id}`: changes the fields sent; 412 where If-Match names another version."""
        row_id = path_id(request, self.resource.noun)
        body = await read_body(request, self.resource.patch)
        async with transaction(request) as session:
            row = await load(session, self.resource, row_id, lock=True)
            require_match(request, row)
            if body.model_fields_set:
                await self.write(session, row, body.model_dump(exclude_unset=True))
        return row_reply(self.resource, row)

    async def write(self, session: AsyncSession, row: Any, values: dict[str, Any]) -> None:
        """Sets the values on a row under all its rules, and flushes it."""
        await self.prepare(session, row, values)
        await session.flush()

    async def prepare(self, session: AsyncSession, row: Any, values: dict[str, Any]) -> None:
        """The same without the flush."""
        for name in values.keys() & self.columns:
            setattr(row, name, values[name])
        await require_references(session, self.resource, values)
        await self.resource.rules(session, row, values)
        # Changes always, so the version does also where only a part of the row (a line) changed.
        row.updated_at = utc_now()

    async def delete(self, request: web.Request) -> web.Response:
        """`DELETE /things/{id}`: 204; 409 where others refer to it or its state forbids it. It can be restored."""
        async with transaction(request) as session:
            row: Any = await load(session, self.resource, path_id(request, self.resource.noun), lock=True)
            require_match(request, row)
            self.resource.may_delete(row)
            await require_no_referrers(session, row)
            row.deleted_at = row.updated_at = utc_now()
            await session.flush()
        return web.Response(status=204)

    async def restore(self, request: web.Request) -> web.Response:
        """`POST /things/{id}/restore`: the row as it was; 404 for one that was not deleted."""
        async with transaction(request) as session:
            row_id = path_id(request, self.resource.noun)
            row: Any = await load(session, self.resource, row_id, lock=True, deleted=True)
            require_match(request, row)
            held = {name: getattr(row, name) for name in self.resource.references}
            await require_references(session, self.resource, held)
            row.deleted_at, row.updated_at = None, utc_now()
            await session.flush()
        return row_reply(self.resource, row)

    def action(self, action: Action) -> Any:
        """`POST /things/{id}/<name>`."""

        async def run(request: web.Request) -> web.Response:
            row_id = path_id(request, self.resource.noun)
            body = (await read_body(request, action.body),) if action.body is not None else ()
            async with transaction(request) as session:
                row: Any = await load(session, self.resource, row_id, lock=True)
                require_match(request, row)
                told = await action.function(session, row, *body)
                row.updated_at = utc_now()
                await session.flush()
            return row_reply(self.resource, row) if told is None else json_reply(told)

        return run
