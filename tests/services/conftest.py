"""One real PostgreSQL for all tests of the services, an application in this process for each test that asks for one.

A test takes tenants of its own (`tenant`, `other`), so no test sees the rows of another and none has to clean up.
"""

import asyncio
import os
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from upstream_services.crm.api import SERVICE as CRM
from upstream_services.finance.api import SERVICE as FINANCE
from upstream_services.hr.api import SERVICE as HR
from upstream_services.kit.app import Service, build_app
from upstream_services.kit.database import database_url
from upstream_services.kit.embedded_postgres import EmbeddedPostgres
from upstream_services.kit.jobs import worker as worker_module
from upstream_services.kit.migrations import create_all, migrate
from upstream_services.kit.settings import Settings
from upstream_services.marketing.api import SERVICE as MARKETING

from .own_postgres import OwnPostgres
from .samples import writable
from .servers import pgbouncer, replica_of

SERVICES = (CRM, FINANCE, HR, MARKETING)

Client = TestClient[web.Request, web.Application]
MakeDatabase = Callable[..., Awaitable[str]]
StartService = Callable[..., Awaitable[Client]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL for the whole run: the embedded one, or of the programs in TEST_POSTGRES_BIN."""
    programs = os.environ.get("TEST_POSTGRES_BIN")
    with OwnPostgres(Path(programs)) if programs else EmbeddedPostgres() as server:
        asyncio.run(_spare_the_disk(server))
        yield server


async def _spare_the_disk(server: EmbeddedPostgres) -> None:
    """What is written need not outlive this machine: a crash of a process loses nothing even so."""
    connection = await asyncpg.connect(server.url("postgres"))
    await connection.execute("alter system set fsync = off")
    await connection.execute("select pg_reload_conf()")
    await connection.close()


@pytest.fixture(scope="session")
def between(postgres: EmbeddedPostgres) -> Iterator[tuple[str, str] | None]:
    """With `TEST_PGBOUNCER=1`, for the whole run: the URLs, without a database, of a PgBouncer in transaction mode
    before the server, and of a streaming replica of it. `start_service` has all services use them.
    """
    if not os.environ.get("TEST_PGBOUNCER"):
        yield None
        return
    ready: Queue[tuple[str, str]] = Queue()
    is_over = threading.Event()

    async def serve() -> None:
        async with replica_of(postgres) as replica, pgbouncer(postgres, pool_size=20) as url:
            ready.put((url, replica.url))
            await asyncio.to_thread(is_over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    yield ready.get(timeout=60)
    is_over.set()
    thread.join()


@pytest.fixture(scope="session")
def templates(postgres: EmbeddedPostgres) -> dict[Path, str]:
    """Of each folder of migrations that a test has asked for, a database that was migrated once."""
    return {}


@pytest.fixture
def migrated(postgres: EmbeddedPostgres, templates: dict[Path, str]) -> MakeDatabase:
    """The URL of a database of a service, migrated: one for the whole run, or a fresh one of a name of its own."""

    async def make(service: Service, name: str | None = None) -> str:
        if service.migrations not in templates:
            template = f"template_{service.migrations.parent.name}"
            templates[service.migrations] = template
            url = await postgres.create_database(template)
            if service.migrations.exists():
                await migrate(database_url(url), service.migrations, service.metadata)
            else:
                await create_all(database_url(url), service.metadata)
            await postgres.create_database(service.migrations.parent.name, template=template)
        return await postgres.create_database(name or service.name, template=templates[service.migrations])

    return make


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL can use also when root runs the tests.

    Not pytest's `tmp_path`: its root is closed to other users, anew by each run of pytest that starts.
    """
    with tempfile.TemporaryDirectory(prefix="suite-test-") as path:
        yield Path(path)


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test has."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def other() -> str:
    """Another one."""
    return f"o-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def start_service(
    migrated: MakeDatabase, tenant: str, between: tuple[str, str] | None
) -> AsyncIterator[StartService]:
    """Starts services in this process; its clients send the test's tenant unless told otherwise."""
    clients = []

    async def start(service: Service, **extra: str) -> Client:
        url = await migrated(service)
        flags = {flag.key: flag.default for flag in service.flags}
        settings = Settings(database=database_url(url), extra=flags | extra)
        if between is not None:
            primary, replica = (database_url(f"{each}/{service.name}") for each in between)
            settings = replace(settings, database=primary, read_databases=(replica,), listen_database=database_url(url))
        app = build_app(service, settings)
        client = TestClient(TestServer(app), headers={"X-Tenant-Id": tenant})
        clients.append(client)
        await client.start_server()
        return client

    yield start
    for client in clients:
        await client.close()


@pytest.fixture
async def finance(start_service: StartService) -> Client:
    """Finance."""
    return await start_service(FINANCE)


@pytest.fixture
async def crm(start_service: StartService, finance: Client) -> Client:
    """CRM, which knows where finance is."""
    return await start_service(CRM, finance_url=str(finance.make_url("/")))


@pytest.fixture
async def hr(start_service: StartService) -> Client:
    """HR."""
    return await start_service(HR)


@pytest.fixture
async def marketing(start_service: StartService) -> Client:
    """Marketing."""
    return await start_service(MARKETING)


@pytest.fixture
async def work(
    start_service: StartService, tenant: str, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """Marketing with a mail server. Its jobs wait for next to nothing between attempts, and are not swept."""
    from .marketing_work import receiving

    monkeypatch.setattr(worker_module, "BACKOFF_S", 0.001)
    monkeypatch.setattr(worker_module, "SWEEP_S", 3600)
    client = await start_service(MARKETING, webhook_allow="127.0.0.0/8")
    async with receiving(client, tenant, unused_tcp_port) as made:
        yield made


@pytest.fixture
def project() -> Path:
    """The root of the checkout, where `python -m upstream_services...` is run."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(params=writable())
def path(request: pytest.FixtureRequest) -> str:
    """The path of each resource that clients may write."""
    return str(request.param)


@pytest.fixture
def client(path: str, request: pytest.FixtureRequest) -> Client:
    """The service of the path."""
    service: Client = request.getfixturevalue(path.split("/")[1])
    return service
