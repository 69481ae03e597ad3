"""The endpoints of a resource that show many rows: its list, the lists nested in other resources, the CSV export."""

from collections.abc import AsyncIterator
from typing import Any, Generic

from aiohttp import web
from multidict import MultiMapping
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.documents import cell, csv_lines
from upstream_services.kit.errors import problem_of
from upstream_services.kit.listing import Wish, plain_rows, read_wish
from upstream_services.kit.pagination import Key, Page, encode_cursor, paginate
from upstream_services.kit.requests import load, path_id, reading
from upstream_services.kit.resource import R, Resource
from upstream_services.kit.tenancy import tenant_of
from upstream_services.kit.views import NO_STORE, tagged_reply

EXPORT_PAGE = 1000


class Lists(Generic[R]):
    """The handlers of one resource's lists."""

    def __init__(self, resource: Resource[R]) -> None:
        self.resource = resource

    async def whole(self, request: web.Request) -> web.Response:
        """`GET /things`: `{"items": [...], "next": cursor or null}`."""
        wish = read_wish(self.resource, tenant_of(request), request.query)
        async with reading(request) as session:
            return await self._page(session, request, wish)

    async def show(
        self, session: AsyncSession, request: web.Request, query: MultiMapping[str], *conditions: Any
    ) -> web.Response:
        """The page that the parameters `query` ask for, which need not be the request's own, of what is true of all."""
        wish = read_wish(self.resource, tenant_of(request), query)
        return await self._page(session, request, wish.where(*conditions))

    def nested(self, owner: Resource[Any], column_name: str) -> Any:
        """`GET /{owners}/{id}/things`: the list of those that refer to one of them."""
        column = getattr(self.resource.table, column_name)

        async def nested(request: web.Request) -> web.Response:
            parent_id = path_id(request, owner.noun)
            wish = read_wish(self.resource, tenant_of(request), request.query)
            narrowed = wish.where(column == parent_id)
            async with reading(request) as session:
                await load(session, owner, parent_id)
                return await self._page(session, request, narrowed)

        return nested

    async def _page(self, session: AsyncSession, request: web.Request, wish: Wish) -> web.Response:
        rows = await self._rows(session, wish, wish.page)
        shown = rows[: wish.page.limit]
        if wish.ids:
            place = {row_id: number for number, row_id in enumerate(wish.ids)}
            shown.sort(key=lambda row: place[row.id])
        cursor = encode_cursor(self._key(wish, shown[-1])) if len(rows) > wish.page.limit else None
        page = {"items": [self._view(row, wish) for row in shown], "next": cursor}
        return tagged_reply(request, page, is_live=self.resource.is_live)

    async def _rows(self, session: AsyncSession, wish: Wish, page: Page) -> list[Any]:
        table = self.resource.table
        if self.resource.is_plain:
            return await plain_rows(session, table, wish, page)
        return list((await session.scalars(paginate(wish.whole, table, page))).all())

    def _view(self, row: Any, wish: Wish) -> dict[str, Any]:
        if self.resource.is_plain:
            return dict(zip(wish.names, row, strict=False))  # the columns that are shown come first
        shown = self.resource.view(row)
        return {name: shown[name] if name in shown else getattr(row, name) for name in wish.names}

    @staticmethod
    def _key(wish: Wish, row: Any) -> Key:
        return Key(wish.page.sort, getattr(row, wish.page.sort.removeprefix("-")), row.id)

    async def export(self, request: web.Request) -> web.StreamResponse:
        """`GET /things.csv`: every row that the list would have, streamed page by page, none of them held."""
        wish = read_wish(self.resource, tenant_of(request), request.query)
        pages = self._pages(request, wish)
        first = await anext(pages)  # what is wrong with the request or the database is said before the head
        disposition = f'attachment; filename="{self.resource.name}.csv"'
        headers = {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": disposition, **NO_STORE}
        reply = web.StreamResponse(headers=headers)
        await reply.prepare(request)
        await reply.write(csv_lines([wish.names]))
        await reply.write(first)
        try:
            async for page in pages:
                await reply.write(page)
        except Exception as error:
            if problem_of(error) is None:
                raise
            if request.transport is not None:
                request.transport.abort()  # a file that looks whole and is not would be worse
        return reply

    async def page_of_rows(self, session: AsyncSession, wish: Wish, page: Page) -> tuple[list[list[Any]], Key | None]:
        """The rows of a page, each the values of the wish's names, and the key that the next page is after."""
        rows = await self._rows(session, wish, page)
        shown = rows[: page.limit]
        values = [[self._view(row, wish)[name] for name in wish.names] for row in shown]
        return values, self._key(wish, shown[-1]) if len(rows) > page.limit else None

    async def _pages(self, request: web.Request, wish: Wish) -> AsyncIterator[bytes]:
        page = wish.page._replace(limit=EXPORT_PAGE)
        while True:
            # A transaction a page: a slow reader must not hold one open, and the keyset finds the place again.
            async with reading(request) as session:
                rows, after = await self.page_of_rows(session, wish, page)
            yield csv_lines([cell(value) for value in row] for row in rows)
            if after is None:
                return
            page = page._replace(after=after)
