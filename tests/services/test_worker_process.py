"""Hazard: a worker that is killed takes its job with it, or the next one does again what was done."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.stores.redis_server import RedisServer
from upstream_services.crm.api import SERVICE as CRM
from upstream_services.kit.app import build_app
from upstream_services.kit.database import database_url
from upstream_services.kit.settings import Settings

from .conftest import Client, MakeDatabase

ROWS = 1500
Process = asyncio.subprocess.Process
StartWorker = Callable[[], Awaitable[Process]]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    server = RedisServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def url(migrated: MakeDatabase) -> str:
    """The database of CRM."""
    return await migrated(CRM)


@pytest.fixture
async def crm_with_workers(url: str, redis: RedisServer, tenant: str) -> AsyncIterator[Client]:
    """CRM, which writes jobs down, rings, and runs none."""
    settings = Settings(
        database=database_url(url), jobs_url=redis.url, extra={"finance_url": "http://127.0.0.1:1"}
    )  # fmt: skip
    async with TestClient(TestServer(build_app(CRM, settings)), headers={"X-Tenant-Id": tenant}) as client:
        yield client


@pytest.fixture
async def start_worker(url: str, redis: RedisServer, project: Path) -> AsyncIterator[StartWorker]:
    """Starts `python -m upstream_services.crm worker`, for which another is dead after a second of silence."""
    started: list[Process] = []

    async def start() -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "upstream_services.crm", "worker", "--database", url, "--job-lease", "1",
            cwd=project, env=os.environ | {"JOBS_URL": redis.url},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        assert json.loads(await process.stdout.readline()) == {"ready": True, "worker": "crm"}
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(client: Client, path: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The job when it is as wished."""
    while True:
        found: dict[str, Any] = await (await client.get(path)).json()
        if is_so(found):
            return found
        await asyncio.sleep(0.01)  # leaves the machine to the worker


async def start_import(client: Client) -> str:
    """Starts an import; the path of its job."""
    body = "name\n" + "\n".join(f"Person {number}" for number in range(ROWS))
    reply = await client.post("/crm/contacts/import", data=body, headers={"Content-Type": "text/csv"})
    assert reply.status == 202
    return reply.headers["Location"]


@pytest.mark.timeout(180)
async def test_a_worker_that_is_killed_loses_nothing_and_nothing_is_done_twice(
    crm_with_workers: Client, start_worker: StartWorker
) -> None:
    client, first = crm_with_workers, await start_worker()
    path = await start_import(client)
    await until(client, path, lambda job: job["done"] > 0)
    first.send_signal(signal.SIGKILL)
    await first.wait()
    left = await until(client, path, lambda _job: True)
    assert (left["state"], 0 < left["done"] < ROWS) == ("running", True), left

    await start_worker()
    job = await until(client, path, lambda job: job["state"] in ("done", "dead"))
    assert (job["state"], job["attempts"], job["failures"]) == ("done", 2, 0), job
    assert (job["result"]["imported"], job["done"]) == (ROWS, ROWS)
    exported = await (await client.get("/crm/contacts.csv?fields=name")).text()
    names = [line.partition(",")[2] for line in exported.splitlines()[1:]]
    assert sorted(names) == sorted(f"Person {number}" for number in range(ROWS))


@pytest.mark.timeout(180)
async def test_a_worker_finds_what_was_written_down_while_the_bell_was_broken(
    crm_with_workers: Client, start_worker: StartWorker, redis: RedisServer
) -> None:
    redis.kill()
    path = await start_import(crm_with_workers)
    worker = await start_worker()
    job = await until(crm_with_workers, path, lambda job: job["state"] in ("done", "dead"))
    assert (job["state"], job["attempts"]) == ("done", 1)
    worker.send_signal(signal.SIGTERM)
    assert await worker.wait() == 0
    redis.start()
