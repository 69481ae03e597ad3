"""Hazard: a sequence sends a step twice, out of turn, while it is paused, or to who has left."""

from datetime import datetime, timedelta
from typing import Any

from .marketing_work import Work


async def sequence(work: Work, *delays: int) -> dict[str, Any]:
    """An active sequence, whose steps say "Step 0", "Step 1", ... after so many minutes."""
    made = await work.post("sequences", 201, name="Welcome")
    for number, delay in enumerate(delays):
        template = await work.post("templates", 201, name=f"T{number}", subject=f"Step {number}", text="T")
        step = {"sequence_id": made["id"], "position": number * 10, "delay_minutes": delay}
        await work.post("sequence-steps", 201, template_id=template["id"], **step)
    return await work.post(f"sequences/{made['id']}/activate")


def subjects(work: Work) -> list[str]:
    """What was sent, in its order."""
    return [str(message["Subject"]) for message in work.inbox.messages]


async def enrolment(work: Work) -> dict[str, Any]:
    """The only one."""
    (found,) = await work.items("enrolments")
    return found


async def test_steps_go_out_in_turn_each_at_its_time(work: Work) -> None:
    made = await sequence(work, 0, 60, 0)
    (asha,) = await work.subscribers("asha")
    assert (await work.post(f"sequences/{made['id']}/enrol", subscriber_ids=[asha["id"]]))["enrolled"] == 1
    await work.jobs_end()
    assert subjects(work) == ["Step 0"]
    waiting = await enrolment(work)
    assert (waiting["status"], waiting["position"]) == ("active", 0)
    due = datetime.fromisoformat(waiting["next_at"]) - datetime.fromisoformat(waiting["updated_at"])
    assert abs(due - timedelta(minutes=60)) < timedelta(seconds=5)
    await work.time_comes("sequences.send")
    assert subjects(work) == ["Step 0", "Step 1", "Step 2"]
    done = await enrolment(work)
    assert (done["status"], done["position"], done["next_at"]) == ("done", 20, None)
    assert len(await work.items(f"subscribers/{asha['id']}/deliveries")) == 3


async def test_nobody_goes_through_it_twice(work: Work) -> None:
    made = await sequence(work, 0)
    people = await work.subscribers("asha", "bina")
    audience = await work.post("audiences", 201, name="A")
    await work.post(f"audiences/{audience['id']}/add", subscriber_ids=[one["id"] for one in people])
    assert (await work.post(f"sequences/{made['id']}/enrol", subscriber_ids=[people[0]["id"]]))["enrolled"] == 1
    assert (await work.post(f"sequences/{made['id']}/enrol", subscriber_ids=[people[0]["id"]]))["enrolled"] == 0
    started = await work.post(f"sequences/{made['id']}/enrol", audience_id=audience["id"])
    await work.jobs_end()
    assert (await work.get(f"jobs/{started['job']['id']}"))["result"] == {"enrolled": 1}
    assert work.inbox.addresses == ["asha@x.example", "bina@x.example"]


async def test_a_paused_sequence_sends_nothing_until_it_is_activated(work: Work) -> None:
    made = await sequence(work, 0, 60)
    (asha,) = await work.subscribers("asha")
    await work.post(f"sequences/{made['id']}/enrol", subscriber_ids=[asha["id"]])
    await work.jobs_end()
    await work.post(f"sequences/{made['id']}/pause")
    refused = await work.client.post(f"/marketing/sequences/{made['id']}/enrol", json={"subscriber_ids": [asha["id"]]})
    assert (refused.status, (await refused.json())["code"]) == (409, "inactive")
    await work.time_comes("sequences.send")
    assert subjects(work) == ["Step 0"]
    await work.post(f"sequences/{made['id']}/activate")
    await work.jobs_end()  # its time has not come by the enrolment itself
    assert subjects(work) == ["Step 0"]
    await work.post(f"sequences/{made['id']}/pause")
    await work.let_be_due()
    await work.post(f"sequences/{made['id']}/activate")
    await work.jobs_end()
    assert subjects(work) == ["Step 0", "Step 1"]


async def test_two_jobs_for_one_place_send_one_step(work: Work) -> None:
    made = await sequence(work, 0, 60, 60, 60)
    (asha,) = await work.subscribers("asha")
    await work.post(f"sequences/{made['id']}/enrol", subscriber_ids=[asha["id"]])
    await work.jobs_end()
    await work.let_be_due()
    await work.post(f"sequences/{made['id']}/pause")
    await work.post(f"sequences/{made['id']}/activate")  # plans it anew, beside the job that waits for it
    await work.jobs_end()
    assert subjects(work) == ["Step 0", "Step 1"]
    await work.time_comes("sequences.send")
    assert subjects(work) == ["Step 0", "Step 1", "Step 2"]


async def test_who_leaves_or_is_taken_out_gets_no_further_step(work: Work) -> None:
    made = await sequence(work, 0, 60)
    asha, bina = await work.subscribers("asha", "bina")
    await work.post(f"sequences/{made['id']}/enrol", subscriber_ids=[asha["id"], bina["id"]])
    await work.jobs_end()
    await work.post(f"subscribers/{asha['id']}/unsubscribe")
    (of_bina,) = await work.items("enrolments", subscriber_id=bina["id"])
    assert (await work.post(f"enrolments/{of_bina['id']}/cancel"))["status"] == "cancelled"
    await work.time_comes("sequences.send")
    assert subjects(work) == ["Step 0", "Step 0"]
    assert {one["status"] for one in await work.items("enrolments")} == {"cancelled"}
    again = await work.post(f"sequences/{made['id']}/enrol", subscriber_ids=[asha["id"]])
    assert again["enrolled"] == 0


async def test_a_step_that_was_put_in_between_is_sent_in_its_place(work: Work) -> None:
    made = await sequence(work, 0, 60)
    (asha,) = await work.subscribers("asha")
    await work.post(f"sequences/{made['id']}/enrol", subscriber_ids=[asha["id"]])
    await work.jobs_end()
    template = await work.post("templates", 201, name="N", subject="Between", text="T")
    step = {"sequence_id": made["id"], "position": 5, "template_id": template["id"]}
    await work.post("sequence-steps", 201, **step)
    await work.time_comes("sequences.send")
    assert subjects(work) == ["Step 0", "Between"]
    await work.time_comes("sequences.send")
    assert subjects(work) == ["Step 0", "Between", "Step 1"]


async def test_what_cannot_be_enrolled_is_named(work: Work, other: str) -> None:
    empty = await work.post("sequences", 201, name="Empty")
    refused = await work.client.post(f"/marketing/sequences/{empty['id']}/activate")
    assert (refused.status, (await refused.json())["code"]) == (409, "no_steps")
    made = await sequence(work, 0)
    theirs = await work.client.post(
        "/marketing/subscribers", json={"email": "e@x.example"}, headers={"X-Tenant-Id": other}
    )
    stranger = (await theirs.json())["id"]
    for body, field in (
        ({}, "subscriber_ids"),
        ({"subscriber_ids": [stranger]}, "subscriber_ids.0"),
        ({"audience_id": stranger}, "audience_id"),
    ):
        reply = await work.client.post(f"/marketing/sequences/{made['id']}/enrol", json=body)
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, field)
