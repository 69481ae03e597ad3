"""Hazard: a report of Marketing counts twice, counts others, or lets clients write what it counts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .marketing_work import Work

NOW = datetime.now(UTC)


async def happened(work: Work, who: dict[str, Any] | None, *types: str, days_ago: int = 1) -> None:
    """Events of a subscriber."""
    at = (NOW - timedelta(days=days_ago)).isoformat()
    for one in types:
        event = {"type": one, "happened_at": at} | ({"subscriber_id": who["id"]} if who else {})
        await work.post("events", 201, **event)


async def test_the_funnel_counts_people_who_came_that_far(work: Work, other: str) -> None:
    asha, bina, chand = await work.subscribers("asha", "bina", "chand")
    await happened(work, asha, "saw", "tried", "tried", "bought")
    await happened(work, bina, "saw", "bought")  # without trying
    await happened(work, chand, "saw", days_ago=40)
    await happened(work, None, "saw")
    stranger = {"X-Tenant-Id": other}
    body = {"type": "saw", "happened_at": NOW.isoformat()}
    await work.client.post("/marketing/events", json=body, headers=stranger)
    told = await work.get("reports/funnel", steps="saw,tried,bought")
    assert told["steps"] == [
        {"type": "saw", "subscribers": 2, "percent": None},
        {"type": "tried", "subscribers": 1, "percent": 50.0},
        {"type": "bought", "subscribers": 1, "percent": 100.0},
    ]
    longer = await work.get("reports/funnel", steps="saw", since=(NOW - timedelta(days=60)).isoformat())
    assert longer["steps"][0]["subscribers"] == 3
    assert [step["subscribers"] for step in (await work.get("reports/funnel"))["steps"]] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"steps": ""}, "steps"),
        ({"steps": "a,a"}, "steps"),
        ({"steps": "a,b,c,d,e,f,g,h,i"}, "steps"),
        ({"since": "2020-01-01T00:00:00Z"}, "since"),
        ({"until": "0001-01-01T00:00:00Z"}, "since"),
        ({"campaign_id": "x"}, "campaign_id"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_parameters_at_fault_are_named(work: Work, params: dict[str, str], field: str) -> None:
    reply = await work.client.get("/marketing/reports/funnel", params=params)
    assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, field)


async def test_engagement_is_by_day_with_the_links_that_were_clicked_most(work: Work) -> None:
    first = await work.post("links", 201, url="https://x.example/1")
    second = await work.post("links", 201, url="https://x.example/2")
    for link in (first, second, second):
        path = f"/marketing/public/l/{link['code']}"
        await work.client.get(path, headers={"X-Tenant-Id": ""}, allow_redirects=False)
    await happened(work, None, "bought", "bought", days_ago=3)
    told = await work.get("reports/engagement")
    assert told["links"] == [
        {"link_id": second["id"], "url": "https://x.example/2", "clicks": 2},
        {"link_id": first["id"], "url": "https://x.example/1", "clicks": 1},
    ]
    days = {(one["day"], one["type"]): one["count"] for one in told["days"]}
    assert days[(NOW - timedelta(days=3)).date().isoformat(), "bought"] == 2
    assert sum(count for (_, kind), count in days.items() if kind == "clicked") == 3


async def test_results_of_campaigns_and_the_first_page(work: Work) -> None:
    campaign = await work.campaign("asha", "bina")
    await work.post("campaigns", 201, name="Draft", channel="sms")
    await work.post(f"campaigns/{campaign['id']}/launch")
    await work.jobs_end()
    (told,) = (await work.get("reports/campaigns"))["campaigns"]
    assert (told["campaign_id"], told["status"], told["sent"], told["open_rate"]) == (campaign["id"], "done", 2, 0.0)
    later = (NOW + timedelta(days=1)).isoformat()
    assert (await work.get("reports/campaigns", since=later, until=later))["campaigns"] == []
    (asha,) = await work.items("subscribers", email="asha@x.example")
    await work.post(f"subscribers/{asha['id']}/unsubscribe")
    stats = await work.get("dashboard/stats")
    assert stats.items() >= {
        "subscribers": 1, "subscribers_new_30_days": 2, "unsubscribed_30_days": 1, "audiences": 1,
        "campaigns_running": 0, "sent_30_days": 2, "open_rate_30_days": 0.0, "submissions_30_days": 0,
    }.items()  # fmt: skip


async def test_what_the_service_sees_itself_nobody_else_writes(work: Work) -> None:
    event = {"type": "opened", "happened_at": NOW.isoformat()}
    refused = await work.client.post("/marketing/events", json=event)
    assert (refused.status, (await refused.json())["errors"][0]["field"]) == (422, "type")
    (asha,) = await work.subscribers("asha")
    await work.post(f"subscribers/{asha['id']}/unsubscribe")
    (seen,) = await work.items("events", type="unsubscribed")
    path = f"/marketing/events/{seen['id']}"
    for reply in (
        await work.client.delete(path),
        await work.client.patch(path, json={"type": "bought"}),
        await work.client.patch(path, json={"subscriber_id": None}),
    ):
        assert (reply.status, (await reply.json())["code"]) == (409, "seen")


async def test_a_social_post_is_told_of_at_its_time_and_stays_once_it_is_out(work: Work) -> None:
    post = await work.post("social-posts", 201, channel="linkedin", text="We are open")
    path = f"social-posts/{post['id']}"
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    past = await work.client.post(f"/marketing/{path}/schedule", json={"scheduled_at": NOW.isoformat()})
    assert (past.status, (await past.json())["errors"][0]["field"]) == (422, "scheduled_at")
    await work.post(f"{path}/schedule", scheduled_at=soon)
    assert (await work.post(f"{path}/unschedule"))["status"] == "draft"
    await work.time_comes("social-posts.due")
    assert (await work.get(path))["status"] == "draft"
    await work.post(f"{path}/schedule", scheduled_at=(datetime.now(UTC) + timedelta(hours=2)).isoformat())
    await work.time_comes("social-posts.due")
    assert (await work.get(path))["status"] == "due"
    out = await work.post(f"{path}/publish", url="https://linkedin.example/1")
    assert (out["status"], out["published_url"]) == ("published", "https://linkedin.example/1")
    for reply in (
        await work.client.patch(f"/marketing/{path}", json={"text": "Closed"}),
        await work.client.post(f"/marketing/{path}/publish", json={}),
        await work.client.post(f"/marketing/{path}/schedule", json={"scheduled_at": soon}),
    ):
        assert (reply.status, (await reply.json())["code"]) == (409, "published")
