"""A service as an aiohttp application."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from sqlalchemy import MetaData

from upstream_services.kit import health
from upstream_services.kit.database import Database
from upstream_services.kit.errors import problems
from upstream_services.kit.jobs.context import jobs_context
from upstream_services.kit.jobs.declare import Job
from upstream_services.kit.jobs.resource import file_of_jobs, resource_of_jobs
from upstream_services.kit.keys import DATABASE, DRAINING, IN_FLIGHT, PRIMARY_ONLY, SETTINGS, InFlight
from upstream_services.kit.metrics import METRICS, Metrics, measure, tell
from upstream_services.kit.openapi import document
from upstream_services.kit.operations import Operation
from upstream_services.kit.references import tables_of
from upstream_services.kit.replicas import ReplicaLost
from upstream_services.kit.resource import Resource
from upstream_services.kit.routing import Path as ServicePath
from upstream_services.kit.routing import paths_of
from upstream_services.kit.settings import Flag, Settings
from upstream_services.kit.tenancy import tenant_of
from upstream_services.kit.validation import MAX_BODY_BYTES
from upstream_services.kit.views import to_json

Context = Callable[[web.Application], AsyncIterator[None]]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A module: its name (also the first part of its paths), default port, tables, resources and what else it answers.

    `operations` are reports and other functions (operations.py); `contexts` are aiohttp's start-and-stop generators,
    which come after the kit's own.
    """

    name: str
    port: int
    metadata: MetaData
    resources: Sequence[Resource[Any]]
    operations: Sequence[Operation] = ()
    jobs: Sequence[Job] = ()
    contexts: Sequence[Context] = ()
    flags: Sequence[Flag] = ()
    version: str = "1.0.0"

    @cached_property
    def paths(self) -> list[ServicePath]:
        """Every path that it answers, beside health and its document."""
        return paths_of(self.name, self.all_resources, self.all_operations)

    @cached_property
    def all_resources(self) -> tuple[Resource[Any], ...]:
        """With its jobs, where it has any."""
        if not self.jobs:
            return tuple(self.resources)
        return (*self.resources, resource_of_jobs(tables_of(self.resources[0].table.registry)["jobs"]))

    @cached_property
    def all_operations(self) -> tuple[Operation, ...]:
        """With the files of its jobs, where it has any."""
        if not self.jobs:
            return tuple(self.operations)
        return (*self.operations, file_of_jobs(tables_of(self.resources[0].table.registry)["job_files"]))

    @cached_property
    def migrations(self) -> Path:
        """The folder of its migrations, beside its models."""
        file = sys.modules[self.resources[0].table.__module__].__file__
        if file is None:
            raise ValueError(f"the models of {self.name} are no file")
        return Path(file).parent / "migrations"


@web.middleware
async def _require_tenant(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only what is the same for all is told without a tenant, and what an operation opens to all."""
    if not (request.path.startswith("/health/") or request.match_info.handler in request.app[OPEN]):
        tenant_of(request)
    return await handler(request)


@web.middleware
async def _read_again(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A read whose replica failed is done again, on the primary."""
    try:
        return await handler(request)
    except ReplicaLost:
        token = PRIMARY_ONLY.set(True)
        try:
            return await handler(request)
        finally:
            PRIMARY_ONLY.reset(token)  # the next request of the connection runs in the same context


def _database_context(service: Service) -> Context:
    async def context(app: web.Application) -> AsyncIterator[None]:
        try:
            if app[SETTINGS].migrate:
                from upstream_services.kit.migrations import migrate  # Alembic takes its time, and few starts need it

                await migrate(app[DATABASE].url, service.migrations, service.metadata)
            await health.require_migrated(app[DATABASE], service.name, service.migrations)
            await app[DATABASE].start()
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


OPEN: web.AppKey[frozenset[Any]] = web.AppKey("open", frozenset)


def _tell_document(service: Service) -> Any:
    body: list[bytes] = []

    async def openapi(_request: web.Request) -> web.Response:
        if not body:
            body.append(to_json(document(service.name, service.version, service.paths)))
        return web.Response(body=body[0], content_type="application/json")

    return openapi


def build_app(service: Service, settings: Settings) -> web.Application:
    """The application of a service, which needs `settings.database`, migrated or with `settings.migrate`."""
    if settings.database is None:
        raise ValueError("an application needs a database")
    middlewares = [_count, measure, problems, _require_tenant, _read_again]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
    app[SETTINGS], app[DRAINING], app[IN_FLIGHT] = settings, asyncio.Event(), InFlight()
    app[DATABASE] = Database(settings.database, settings.read_databases)
    app.cleanup_ctx.append(_database_context(service))
    if service.jobs:
        app.cleanup_ctx.append(jobs_context(service))
    app.cleanup_ctx.extend(service.contexts)
    app.on_shutdown.append(_set_draining)
    app[METRICS] = Metrics()
    openapi = _tell_document(service)
    app[OPEN] = frozenset(
        [openapi, tell, *(path.handler for path in service.paths if path.operation and path.operation.is_open)]
    )
    app.router.add_routes([web.get("/health/live", health.live), web.get("/health/ready", health.ready_of(service))])
    app.router.add_routes(
        [
            web.get("/metrics", tell),
            web.get("/openapi.json", openapi),
            web.get(f"/{service.name}/openapi.json", openapi),
        ]
    )
    app.router.add_routes([path.route for path in service.paths])
    return app
