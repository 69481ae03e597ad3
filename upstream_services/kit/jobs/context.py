"""The jobs of an application: what starts and stops with it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from upstream_services.kit.jobs.bell import Bell, make_broker
from upstream_services.kit.jobs.worker import Worker, tables_of_jobs
from upstream_services.kit.keys import DATABASE, SETTINGS
from upstream_services.kit.mail import Mailer
from upstream_services.kit.references import tables_of

BELL: web.AppKey[Bell] = web.AppKey("bell", Bell)


def jobs_context(service: Any) -> Callable[[web.Application], AsyncIterator[None]]:
    """A start-and-stop generator: with `JOBS_URL` the service only rings, unless its process is a worker."""

    async def context(app: web.Application) -> AsyncIterator[None]:
        settings, database = app[SETTINGS], app[DATABASE]
        tables = tables_of_jobs(tables_of(service.resources[0].table.registry))
        database.job_table = tables.job
        worker = None
        if settings.is_worker or not settings.jobs_url:
            mailer = Mailer(settings.smtp_url, settings.mail_from)
            worker = Worker(app, database, service.jobs, tables, mailer)
        bell = app[BELL] = Bell(make_broker(settings.jobs_url, service.name), worker)
        database.on_jobs = bell.ring
        await bell.start()
        yield
        await bell.close(settings.drain_s)

    return context
