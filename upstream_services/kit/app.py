"""A service as an aiohttp application."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from sqlalchemy import MetaData
from sqlalchemy.exc import SQLAlchemyError

from upstream_services.kit.database import Database
from upstream_services.kit.endpoints import Endpoints
from upstream_services.kit.errors import Problem, problems
from upstream_services.kit.keys import DATABASE, DRAINING, IN_FLIGHT, SETTINGS, InFlight
from upstream_services.kit.resource import Resource
from upstream_services.kit.settings import Flag, Settings
from upstream_services.kit.tenancy import tenant_of
from upstream_services.kit.validation import MAX_BODY_BYTES
from upstream_services.kit.views import json_reply

READY_TIMEOUT_S = 2.0

Context = Callable[[web.Application], AsyncIterator[None]]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A module: its name (also the first part of its paths), default port, tables, resources and what else it answers.

    `routes` are ordinary handlers; `contexts` are aiohttp's start-and-stop generators; both come after the kit's own.
    """

    name: str
    port: int
    metadata: MetaData
    resources: Sequence[Resource[Any]]
    routes: Sequence[web.RouteDef] = ()
    contexts: Sequence[Context] = ()
    flags: Sequence[Flag] = ()


@web.middleware
async def _require_tenant(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only the health of the process is told without a tenant."""
    if not request.path.startswith("/health/"):
        tenant_of(request)
    return await handler(request)


async def _live(_request: web.Request) -> web.Response:
    return json_reply({"status": "ok"})


async def _ready(request: web.Request) -> web.Response:
    if request.app[DRAINING].is_set():
        raise Problem(503, "draining", "the service is stopping")
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            await request.app[DATABASE].ping()
    except (OSError, SQLAlchemyError):
        raise Problem(503, "database_unavailable", "the database does not answer") from None
    return json_reply({"status": "ok"})


def _database_context(metadata: MetaData) -> Context:
    async def context(app: web.Application) -> AsyncIterator[None]:
        try:
            await app[DATABASE].create_tables(metadata)
            yield
        finally:
            await app[DATABASE].close()

    return context


@web.middleware
async def _count(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost: knows what is running, for the drain, during which every reply is the last on its connection."""
    with request.app[IN_FLIGHT]:
        reply = await handler(request)
        if request.app[DRAINING].is_set() and not reply.prepared:
            reply.force_close()
        return reply


async def _set_draining(app: web.Application) -> None:
    app[DRAINING].set()


def build_app(service: Service, settings: Settings) -> web.Application:
    """The application of a service, which needs `settings.database`; as it starts it creates missing tables."""
    if settings.database is None:
        raise ValueError("an application needs a database")
    app = web.Application(middlewares=[_count, problems, _require_tenant], client_max_size=MAX_BODY_BYTES)
    app[SETTINGS], app[DATABASE], app[DRAINING] = settings, Database(settings.database), asyncio.Event()
    app[IN_FLIGHT] = InFlight()
    app.cleanup_ctx.append(_database_context(service.metadata))
    app.cleanup_ctx.extend(service.contexts)
    app.on_shutdown.append(_set_draining)
    app.router.add_routes([web.get("/health/live", _live), web.get("/health/ready", _ready), *service.routes])
    siblings = {resource.name: resource for resource in service.resources}
    for resource in service.resources:
        app.router.add_routes(Endpoints(resource, siblings, f"/{service.name}").routes())
    return app
