"""Hazard: a campaign reaches somebody twice, not at all, or after they have said that they want no more of it."""

import asyncio
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from upstream_services.marketing.api import SERVICE
from upstream_services.marketing.models import Job

from .conftest import StartService
from .marketing_work import Work, text_of


def minutes_from_now(minutes: int) -> str:
    """A moment with its time zone."""
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


async def test_each_gets_their_own_message_once(work: Work) -> None:
    campaign = await work.campaign("asha", "bina", "chand", html="<p>Dear {{ name }} &amp; family</p>")
    launched = await work.post(f"campaigns/{campaign['id']}/launch")
    assert launched["status"] == "running"
    await work.jobs_end()
    assert work.inbox.addresses == ["asha@x.example", "bina@x.example", "chand@x.example"]
    message = next(one for one in work.inbox.messages if one["To"] == "asha@x.example")
    assert message["Subject"] == "Hello Asha"
    assert text_of(message).startswith("Dear Asha Rao, an offer.")
    assert "<p>Dear Asha Rao &amp; family</p>" in text_of(message, "html")
    leave = message["List-Unsubscribe"].strip("<>")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert leave in text_of(message) and leave in text_of(message, "html")
    assert len({one["List-Unsubscribe"] for one in work.inbox.messages}) == 3

    job = await work.get(f"jobs/{launched['job_id']}")
    assert (job["state"], job["done"], job["total"]) == ("done", 3, 3)
    assert job["result"] == {"sent": 3, "bounced": 0, "skipped": 0, "stopped": False}
    after = await work.get(f"campaigns/{campaign['id']}")
    assert (after["status"], after["finished_at"] is None) == ("done", False)
    again = await work.client.post(f"/marketing/campaigns/{campaign['id']}/launch", json={})
    assert (again.status, (await again.json())["code"]) == (409, "illegal_transition")
    assert len(await work.items(f"campaigns/{campaign['id']}/deliveries")) == 3


async def test_launches_at_once_are_one(work: Work) -> None:
    campaign = await work.campaign("asha", "bina")
    path = f"/marketing/campaigns/{campaign['id']}/launch"
    replies = await asyncio.gather(*(work.client.post(path) for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409]
    await work.jobs_end()
    assert work.inbox.addresses == ["asha@x.example", "bina@x.example"]


async def test_who_has_left_is_never_mailed_however_they_come_back(work: Work) -> None:
    campaign = await work.campaign("asha", "bina", "chand")
    asha, bina = [await work.items("subscribers", email=f"{name}@x.example") for name in ("asha", "bina")]
    await work.post(f"subscribers/{asha[0]['id']}/unsubscribe", reason="too many")
    await work.post(f"subscribers/{bina[0]['id']}/unsubscribe")
    assert (await work.client.delete(f"/marketing/subscribers/{bina[0]['id']}")).status == 204
    again = await work.post("subscribers", 201, email="BINA@x.example")
    assert again["status"] == "unsubscribed"
    await work.post(f"audiences/{campaign['audience_id']}/add", subscriber_ids=[again["id"]])
    await work.post(f"campaigns/{campaign['id']}/launch")
    await work.jobs_end()
    assert work.inbox.addresses == ["chand@x.example"]
    moved = await work.client.patch(f"/marketing/subscribers/{asha[0]['id']}", json={"email": "new@x.example"})
    assert (moved.status, (await moved.json())["code"]) == (409, "unsubscribed")
    status = await work.client.patch(f"/marketing/subscribers/{asha[0]['id']}", json={"status": "subscribed"})
    assert status.status == 422
    back = await work.post(f"subscribers/{asha[0]['id']}/resubscribe", consent="asked by phone")
    assert (back["status"], back["consent"]) == ("subscribed", "asked by phone")


async def test_who_leaves_while_it_is_sent_gets_nothing_more(work: Work) -> None:
    campaign = await work.campaign("asha", "bina", "chand", "deepa")
    left = asyncio.Event()
    loop = asyncio.get_running_loop()
    people = sorted(await work.items("subscribers"), key=lambda one: uuid.UUID(one["id"]).int)
    last = people[-1]

    async def leave() -> None:
        await work.post(f"subscribers/{last['id']}/unsubscribe")
        left.set()

    def answer(address: str) -> None:
        if address == people[0]["email"]:
            asyncio.run_coroutine_threadsafe(leave(), loop).result(20)

    work.inbox.answer = answer
    await work.post(f"campaigns/{campaign['id']}/launch")
    await work.jobs_end()
    assert left.is_set()
    assert work.inbox.addresses == sorted(one["email"] for one in people[:-1])


async def test_a_paused_campaign_stops_and_goes_on_with_the_others(work: Work) -> None:
    campaign = await work.campaign("asha", "bina", "chand", "deepa")
    loop = asyncio.get_running_loop()
    paused: list[dict[str, Any]] = []

    async def pause() -> None:
        paused.append(await work.post(f"campaigns/{campaign['id']}/pause"))

    def answer(_address: str) -> None:
        if len(work.inbox.messages) == 1 and not paused:
            asyncio.run_coroutine_threadsafe(pause(), loop).result(20)

    work.inbox.answer = answer
    first = await work.post(f"campaigns/{campaign['id']}/launch")
    await work.jobs_end()
    assert paused[0]["status"] == "paused"
    assert len(work.inbox.messages) == 2  # the one that was on its way as well
    assert (await work.get(f"jobs/{first['job_id']}"))["result"]["stopped"] is True
    second = await work.post(f"campaigns/{campaign['id']}/launch")
    assert second["job_id"] != first["job_id"]
    await work.jobs_end()
    assert work.inbox.addresses == sorted(f"{n}@x.example" for n in ("asha", "bina", "chand", "deepa"))
    assert (await work.get(f"campaigns/{campaign['id']}"))["status"] == "done"


async def test_a_server_that_fails_is_asked_again_and_nobody_gets_two(work: Work) -> None:
    campaign = await work.campaign("asha", "bina", "chand")
    failed: list[str] = []

    def answer(address: str) -> str | None:
        if len(work.inbox.messages) == 1 and not failed:
            failed.append(address)
            return "451 not now"
        return None

    work.inbox.answer = answer
    launched = await work.post(f"campaigns/{campaign['id']}/launch")
    await work.jobs_end()
    job = await work.get(f"jobs/{launched['job_id']}")
    assert (job["state"], job["failures"]) == ("done", 1)
    assert work.inbox.addresses == ["asha@x.example", "bina@x.example", "chand@x.example"]


async def test_a_send_whose_worker_is_gone_goes_on_elsewhere_and_repeats_nothing(
    work: Work, start_service: StartService
) -> None:
    second = Work(await start_service(SERVICE), work.tenant, work.inbox)
    second.worker._mailer = work.worker._mailer
    campaign = await work.campaign("asha", "bina", "chand")
    loop, is_there, may_go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def answer(_address: str) -> None:
        if len(work.inbox.messages) == 1 and not is_there.is_set():
            loop.call_soon_threadsafe(is_there.set)
            may_go_on.wait(20)

    work.inbox.answer = answer
    launched = await work.post(f"campaigns/{campaign['id']}/launch")
    await is_there.wait()
    killed = tuple(work.worker._running)
    for task in killed:
        task.cancel()  # as if the process had been killed: nothing is written down any more
    may_go_on.set()  # only now, so nothing of it is sent any more either; its farewell is answered
    await asyncio.gather(*killed, return_exceptions=True)
    jobs: Any = Job.__table__
    past = datetime.now(UTC) - timedelta(seconds=1)
    await work.worker._execute(update(jobs).where(jobs.c.id == launched["job_id"]).values(lease_until=past))
    for ring in await second.worker.sweep():
        if ring[0] == work.tenant:
            await second.worker.start(ring)
    job = await work.get(f"jobs/{launched['job_id']}")
    assert (job["state"], job["attempts"]) == ("done", 2)
    assert work.inbox.addresses == ["asha@x.example", "bina@x.example", "chand@x.example"]


async def test_one_who_is_put_off_holds_up_nobody(work: Work) -> None:
    campaign = await work.campaign("asha", "bina", "chand", "deepa")
    work.inbox.answer = lambda address: "451 not now" if address.startswith("bina") else None
    launched = await work.post(f"campaigns/{campaign['id']}/launch")
    await work.jobs_end()
    job = await work.get(f"jobs/{launched['job_id']}")
    assert (job["state"], job["error"]) == ("dead", "MailError: 1 were not taken yet")
    assert work.inbox.addresses == ["asha@x.example", "chand@x.example", "deepa@x.example"]
    work.inbox.answer = lambda _address: None
    await work.post(f"jobs/{launched['job_id']}/retry")
    await work.jobs_end()
    assert work.inbox.addresses == sorted(f"{n}@x.example" for n in ("asha", "bina", "chand", "deepa"))
    assert (await work.get(f"campaigns/{campaign['id']}"))["status"] == "done"


@pytest.mark.parametrize("address", ["a,bina@x.example", "a;bina@x.example", "(c)@x.example", "<bina@x.example"])
async def test_an_address_is_one_address_and_one_that_is_none_holds_up_nobody(work: Work, address: str) -> None:
    campaign = await work.campaign("asha", "bina")
    (bina,) = await work.items("subscribers", email="bina@x.example")
    await work.post(f"subscribers/{bina['id']}/unsubscribe")
    odd = await work.post("subscribers", 201, email=address)
    await work.post(f"audiences/{campaign['audience_id']}/add", subscriber_ids=[odd["id"]])
    recipients: list[str] = []
    work.inbox.answer = recipients.append  # type: ignore[assignment]
    await work.post(f"campaigns/{campaign['id']}/launch")
    await work.jobs_end()
    assert "bina@x.example" not in recipients and "asha@x.example" in recipients
    assert (await work.get(f"campaigns/{campaign['id']}"))["status"] == "done"


async def test_an_address_that_is_refused_for_good_is_not_tried_again(work: Work) -> None:
    campaign = await work.campaign("asha", "bina")
    work.inbox.answer = lambda address: "550 no such user" if address.startswith("asha") else None
    launched = await work.post(f"campaigns/{campaign['id']}/launch")
    await work.jobs_end()
    job = await work.get(f"jobs/{launched['job_id']}")
    assert (job["failures"], job["result"]) == (0, {"sent": 1, "bounced": 1, "skipped": 0, "stopped": False})
    (asha,) = await work.items("subscribers", email="asha@x.example")
    assert asha["status"] == "bounced"
    (delivery,) = await work.items("deliveries", status="bounced")
    assert "550" in delivery["error"]
    results = await work.get(f"campaigns/{campaign['id']}/results")
    assert (results["sent"], results["bounced"]) == (1, 1)


async def test_it_starts_at_its_time_and_not_at_one_that_was_put_off(work: Work) -> None:
    campaign = await work.campaign("asha")
    path = f"campaigns/{campaign['id']}"
    await work.post(f"{path}/schedule", scheduled_at=minutes_from_now(5))
    later = await work.post(f"{path}/schedule", scheduled_at=minutes_from_now(60))
    assert later["status"] == "scheduled"
    assert work.inbox.messages == []
    await work.time_comes("campaigns.start", until_minutes=30)
    assert (await work.get(f"campaigns/{campaign['id']}"))["status"] == "scheduled"
    await work.time_comes("campaigns.start")
    assert work.inbox.addresses == ["asha@x.example"]
    assert [job["result"] for job in await work.items("jobs", name="campaigns.start")].count({"started": True}) == 1


async def test_a_campaign_that_was_called_off_does_not_start(work: Work) -> None:
    campaign = await work.campaign("asha")
    path = f"campaigns/{campaign['id']}"
    await work.post(f"{path}/schedule", scheduled_at=minutes_from_now(5))
    assert (await work.post(f"{path}/unschedule"))["status"] == "draft"
    await work.time_comes("campaigns.start")
    assert work.inbox.messages == []


async def test_a_status_that_is_patched_sends_as_well(work: Work) -> None:
    campaign = await work.campaign("asha")
    reply = await work.client.patch(f"/marketing/campaigns/{campaign['id']}", json={"status": "running"})
    assert (reply.status, (await reply.json())["job_id"] is None) == (200, False)
    await work.jobs_end()
    assert work.inbox.addresses == ["asha@x.example"]


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"template_id": None}, 422, "template_id"),
        ({"audience_id": None}, 422, "audience_id"),
        ({"channel": "sms"}, 409, "channel_without_sender"),
    ],
)
async def test_what_cannot_be_sent_is_not_launched(work: Work, change: dict[str, Any], status: int, word: str) -> None:
    campaign = await work.campaign("asha")
    assert (await work.client.patch(f"/marketing/campaigns/{campaign['id']}", json=change)).status == 200
    for action, body in (("launch", None), ("schedule", {"scheduled_at": minutes_from_now(5)})):
        reply = await work.client.post(f"/marketing/campaigns/{campaign['id']}/{action}", json=body)
        assert (reply.status, word in await reply.text()) == (status, True)


async def test_what_has_started_keeps_its_audience_and_is_not_deleted(work: Work) -> None:
    campaign = await work.campaign("asha")
    path = f"/marketing/campaigns/{campaign['id']}"
    work.worker._slots = slots = asyncio.Semaphore(0)  # nothing is sent
    await work.post(f"campaigns/{campaign['id']}/launch")
    reply = await work.client.patch(path, json={"template_id": None})
    assert (reply.status, (await reply.json())["code"]) == (409, "started")
    reply = await work.client.delete(path)
    assert (reply.status, (await reply.json())["code"]) == (409, "running")
    await work.post(f"campaigns/{campaign['id']}/pause")  # or another test's worker would find it
    slots.release()  # the end waits for the job


async def test_a_dynamic_audience_is_who_fits_when_it_is_sent(work: Work) -> None:
    audience = await work.post("audiences", 201, name="Fair", kind="dynamic", parameters={"source": "fair"})
    template = await work.post("templates", 201, name="T", subject="S", text="T")
    await work.subscribers("asha")
    await work.post("subscribers", 201, email="bina@x.example", source="fair")
    listed = await work.items(f"audiences/{audience['id']}/subscribers")
    assert [one["email"] for one in listed] == ["bina@x.example"]
    refused = await work.client.post(
        f"/marketing/audiences/{audience['id']}/add", json={"subscriber_ids": [listed[0]["id"]]}
    )
    assert (refused.status, (await refused.json())["code"]) == (409, "dynamic")
    campaign = await work.post(
        "campaigns", 201, name="C", channel="email", audience_id=audience["id"], template_id=template["id"]
    )
    await work.post(f"campaigns/{campaign['id']}/launch")
    await work.jobs_end()
    assert work.inbox.addresses == ["bina@x.example"]
    bad = await work.client.post(
        "/marketing/audiences", json={"name": "B", "kind": "dynamic", "parameters": {"x": "y"}}
    )
    assert (bad.status, (await bad.json())["errors"][0]["field"]) == (422, "parameters.x")


async def test_a_static_audience_takes_and_gives_back(work: Work, other: str) -> None:
    audience = await work.post("audiences", 201, name="A")
    asha, bina = await work.subscribers("asha", "bina")
    ids = [asha["id"], bina["id"], asha["id"]]
    assert await work.post(f"audiences/{audience['id']}/add", subscriber_ids=ids) == {"changed": 2}
    assert await work.post(f"audiences/{audience['id']}/add", subscriber_ids=ids) == {"changed": 0}
    assert await work.post(f"audiences/{audience['id']}/remove", subscriber_ids=[asha["id"]]) == {"changed": 1}
    assert [one["id"] for one in await work.items(f"audiences/{audience['id']}/subscribers")] == [bina["id"]]
    theirs = await work.client.post(
        "/marketing/subscribers", json={"email": "e@x.example"}, headers={"X-Tenant-Id": other}
    )
    stranger = {"subscriber_ids": [(await theirs.json())["id"]]}
    reply = await work.client.post(f"/marketing/audiences/{audience['id']}/add", json=stranger)
    assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "subscriber_ids.0")


async def test_a_test_message_and_copies(work: Work) -> None:
    campaign = await work.campaign("asha")
    await work.post(f"campaigns/{campaign['id']}/test", to="me@x.example")
    await work.jobs_end()
    assert work.inbox.addresses == ["me@x.example"]
    assert work.inbox.messages[0]["Subject"] == "[Test] Hello Asha"
    assert await work.items("deliveries") == []
    copy = await work.post(f"campaigns/{campaign['id']}/duplicate")
    assert (copy["name"], copy["status"], copy["template_id"]) == ("Diwali (copy)", "draft", campaign["template_id"])
    second = await work.post(f"templates/{campaign['template_id']}/duplicate")
    assert (second["name"], second["subject"]) == ("Diwali (copy)", "Hello {{ first_name }}")


async def test_templates_are_judged_and_shown(work: Work) -> None:
    for text, message in (("{{ nmae }}", "nothing is known"), ("{{ link:nowhere }}", "there is no link")):
        reply = await work.client.post("/marketing/templates", json={"name": "T", "subject": "S", "text": text})
        assert reply.status == 422
        assert message in (await reply.json())["errors"][0]["message"]
    template = await work.post(
        "templates", 201, name="T", subject="{{ name }}", text="{{ attributes.city }}", html="<b>{{ name }}</b>"
    )
    who = await work.post(
        "subscribers", 201, email="a@x.example", name="<script>", attributes={"city": "Pune", "x": "{{ email }}"}
    )
    shown = await work.post(f"templates/{template['id']}/preview", subscriber_id=who["id"])
    assert shown == {"subject": "<script>", "text": "Pune", "html": "<b>&lt;script&gt;</b>"}
