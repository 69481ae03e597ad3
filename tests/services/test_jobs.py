"""Hazard: a job is lost, done twice, done for ever, or seen by a stranger."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import update

from upstream_services.kit.jobs import worker as worker_module
from upstream_services.kit.jobs.context import BELL
from upstream_services.kit.jobs.declare import Job, job
from upstream_services.kit.jobs.worker import Worker
from upstream_services.kit.keys import DATABASE

from . import work_service
from .conftest import Client, StartService
from .work_service import SCRIPTS, SERVICE, Script


@pytest.fixture
async def work(start_service: StartService, monkeypatch: pytest.MonkeyPatch, tenant: str) -> Client:
    """The service, whose jobs wait for next to nothing between attempts and are not swept: tests sweep."""
    monkeypatch.setattr(worker_module, "BACKOFF_S", 0.001)
    monkeypatch.setattr(worker_module, "SWEEP_S", 3600)
    SCRIPTS[tenant] = Script()
    return await start_service(SERVICE)


def worker_of(client: Client) -> Worker:
    """What runs the jobs of a started service."""
    found = client.app[BELL]._worker
    assert found is not None
    return found


async def start(work: Client, **body: Any) -> str:
    """Starts a job; its path."""
    reply = await work.post("/work/marks/make", json=body)
    assert reply.status == 202, await reply.text()
    return reply.headers["Location"]


async def ended(work: Client, path: str, *states: str) -> dict[str, Any]:
    """The job when it is in one of the states."""
    while True:
        found: dict[str, Any] = await (await work.get(path)).json()
        if found["state"] in (states or ("done", "dead")):
            return found


async def marks(work: Client) -> list[str]:
    """What was left behind."""
    items = (await (await work.get("/work/marks")).json())["items"]
    return sorted(item["name"] for item in items)


async def test_a_job_tells_how_far_it_is_and_what_came_of_it(work: Client, other: str) -> None:
    path = await start(work, steps=3)
    found = await ended(work, path)
    assert found.items() >= {
        "name": "marks.make", "state": "done", "done": 3, "total": 3, "failures": 0, "attempts": 1, "error": None,
        "result": {"made": 3}, "has_file": True,
    }.items()  # fmt: skip
    assert found.keys().isdisjoint({"input", "key", "lease_until"})
    assert await marks(work) == ["mark 0", "mark 1", "mark 2"]
    file = await work.get(f"{path}/file")
    assert (await file.read(), file.content_type) == (b"made", "text/plain")
    assert file.headers["Content-Disposition"] == 'attachment; filename="marks.txt"'
    for where in (path, f"{path}/file"):
        assert (await work.get(where, headers={"X-Tenant-Id": other})).status == 404
    assert (await (await work.get("/work/jobs", headers={"X-Tenant-Id": other})).json())["items"] == []


async def test_what_failed_is_tried_again_and_repeats_no_step(work: Client, tenant: str) -> None:
    SCRIPTS[tenant].failures = 2
    found = await ended(work, await start(work))
    assert (found["state"], found["failures"], found["attempts"], SCRIPTS[tenant].attempts) == ("done", 2, 3, 3)
    assert await marks(work) == ["mark 0", "mark 1"]


async def test_what_fails_three_times_is_dead_until_it_is_retried(work: Client, tenant: str) -> None:
    SCRIPTS[tenant].failures = 3
    path = await start(work)
    found = await ended(work, path)
    assert (found["state"], found["failures"], found["error"]) == ("dead", 3, "ConnectionError: as it was told")
    (dead,) = (await (await work.get("/work/jobs?state=dead")).json())["items"]
    assert dead["id"] == found["id"]
    assert (await work.post(f"{path}/retry")).status == 200
    assert (await ended(work, path))["state"] == "done"
    assert await marks(work) == ["mark 0", "mark 1"]
    again = await work.post(f"{path}/retry")
    assert (again.status, (await again.json())["code"]) == (409, "not_dead")


def test_the_pauses_are_two_and_four_seconds() -> None:
    assert (worker_module.FAILURES_MAX, worker_module.BACKOFF_S) == (3, 2.0)


async def test_a_job_whose_worker_is_gone_is_found_and_not_done_twice(
    work: Client, tenant: str, start_service: StartService
) -> None:
    script = SCRIPTS[tenant]
    script.wait = True
    path = await start(work)
    await script.waiting.wait()
    first = worker_of(work)
    for task in tuple(first._running):
        task.cancel()  # as if the process had been killed: nothing is written down any more
    assert (await ended(work, path, "running"))["attempts"] == 1
    assert await first.sweep() == []  # the lease holds
    await expire(work, path)
    script.wait = False
    second = worker_of(await start_service(SERVICE))
    for ring in await second.sweep():
        await second.start(ring)
    found = await ended(work, path)
    assert (found["state"], found["attempts"], found["failures"]) == ("done", 2, 0)
    assert await marks(work) == ["mark 0", "mark 1"]


async def expire(work: Client, path: str) -> None:
    """Lets the lease of a job run out."""
    jobs: Any = work_service.Job.__table__
    past = datetime.now(UTC) - timedelta(seconds=1)
    await worker_of(work)._execute(update(jobs).where(jobs.c.id == path.rpartition("/")[2]).values(lease_until=past))


async def test_a_worker_that_was_taken_for_dead_does_nothing_more(work: Client, tenant: str) -> None:
    script = SCRIPTS[tenant]
    script.wait = True
    path = await start(work)
    await script.waiting.wait()
    (stale,) = worker_of(work)._running
    await expire(work, path)
    script.wait = False
    await worker_of(work).start((tenant, uuid.UUID(path.rpartition("/")[2])))
    assert (await ended(work, path))["attempts"] == 2
    jobs: Any = work_service.Job.__table__
    row = (await worker_of(work)._execute(jobs.select().where(jobs.c.id == path.rpartition("/")[2]))).one()
    old = worker_module.Run(work.app, work.app[DATABASE], worker_of(work)._tables, row, None, 30)  # type: ignore[arg-type]
    old.attempt = 1
    with pytest.raises(worker_module.LeaseLostError):
        async with old.once("step-9"):
            pass
    stale.cancel()
    assert await marks(work) == ["mark 0", "mark 1"]


async def test_a_job_is_of_its_transaction_and_one_for_a_key(work: Client) -> None:
    assert (await work.post("/work/marks/fail")).status == 409
    first = await work.post("/work/marks/make?key=7", json={})
    again = await work.post("/work/marks/make?key=7", json={})
    assert again.headers["Location"] == first.headers["Location"]
    await ended(work, first.headers["Location"])
    assert len((await (await work.get("/work/jobs")).json())["items"]) == 1
    assert await marks(work) == ["mark 0", "mark 1"]


async def test_the_clock_starts_one_for_each_tenant_whoever_looks(work: Client, other: str) -> None:
    for headers in ({}, {"X-Tenant-Id": other}):
        await work.post("/work/marks", json={"name": "mine"}, headers=headers)
    worker = worker_of(work)
    for minute in (1, 0, 0):  # at 02:00 and not at 02:01
        await worker.start_scheduled(datetime(2026, 1, 5, 2, minute, tzinfo=UTC))
    for headers in ({}, {"X-Tenant-Id": other}):
        (found,) = (await (await work.get("/work/jobs", headers=headers)).json())["items"]
        assert found["name"] == "marks.nightly"
    with pytest.raises(ValueError, match="for which tenants"):
        job("x", cron="0 2 * * *")


async def test_an_input_that_a_newer_program_refuses_is_dead_at_once(work: Client, monkeypatch: Any) -> None:
    kind = worker_of(work)._kinds["marks.make"]
    stricter = Job(
        name=kind.name,
        function=kind.function,
        input=type("Other", (work_service.Given,), {"__annotations__": {"needed": int}}),
    )
    worker_of(work)._kinds["marks.make"] = stricter
    found = await ended(work, await start(work))
    assert (found["state"], found["attempts"]) == ("dead", 1)
    assert "needed" in found["error"]


class Inbox:
    """What a mail server was given; it refuses the first `refuse` messages."""

    def __init__(self, refuse: int) -> None:
        self.refuse, self.messages = refuse, []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refuse:
            self.refuse -= 1
            return "451 not now"
        self.messages.append(envelope)
        return "250 taken"


async def test_mail_is_sent_once_with_the_same_id_in_each_attempt(work: Client, unused_tcp_port: int) -> None:
    inbox = Inbox(refuse=1)
    controller = Controller(inbox, hostname="127.0.0.1", port=unused_tcp_port)
    controller.start()
    try:
        worker_of(work)._mailer = worker_module.Mailer(f"smtp://127.0.0.1:{unused_tcp_port}", "no-reply@suite.example")
        found = await ended(work, await start(work, mail_to="asha@x.example"))
        assert (found["state"], found["failures"]) == ("done", 1), found["error"]
        (message,) = inbox.messages
        text = message.content.decode()
        assert message.rcpt_tos == ["asha@x.example"]
        assert "Subject: Marks Bcc: x@y.example" in text
        assert "@suite.example>" in text
    finally:
        await asyncio.to_thread(controller.stop)
