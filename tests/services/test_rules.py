"""Hazard: bad input is taken, or is refused without saying which field is at fault."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .conftest import Client

CONTACT = {"name": "Asha Rao"}
CAMPAIGN = {"name": "Diwali", "channel": "email"}


def hours_from_now(hours: int) -> str:
    """A moment with its time zone."""
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"email": "asha"}, "email"),
        ({"email": "a@b c"}, "email"),
        ({"phone": "call me"}, "phone"),
        ({"status": "asleep"}, "status"),
        ({"company": " "}, "company"),
    ],
)
async def test_contact_fields_are_named_on_create_and_patch(crm: Client, change: dict[str, Any], field: str) -> None:
    made = await crm.post("/crm/contacts", json=CONTACT)
    for reply in (
        await crm.post("/crm/contacts", json=CONTACT | change),
        await crm.patch(made.headers["Location"], json=change),
    ):
        assert reply.status == 422
        assert [error["field"] for error in (await reply.json())["errors"]] == [field]


async def test_what_is_not_an_object_is_a_fault_of_the_body(crm: Client) -> None:
    for body in (b"[]", b'"x"', b"7", b"null"):
        reply = await crm.post("/crm/contacts", data=body, headers={"Content-Type": "application/json"})
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "body")


async def test_text_is_trimmed_and_addresses_are_lower_case(crm: Client) -> None:
    made = await crm.post(
        "/crm/contacts", json={"name": " Asha ", "email": "Asha@X.Example", "phone": "+91 98 7654 321"}
    )
    contact = await made.json()
    assert (contact["name"], contact["email"], contact["status"]) == ("Asha", "asha@x.example", "lead")


async def test_null_clears_what_may_be_empty(crm: Client) -> None:
    made = await crm.post("/crm/contacts", json=CONTACT | {"company": "Banyan"})
    patched = await crm.patch(made.headers["Location"], json={"company": None})
    assert (await patched.json())["company"] is None


async def test_a_contact_with_deals_stays(crm: Client) -> None:
    contact = await (await crm.post("/crm/contacts", json=CONTACT)).json()
    deal = await crm.post("/crm/deals", json={"contact_id": contact["id"], "title": "T"})
    refused = await crm.delete(f"/crm/contacts/{contact['id']}")
    assert (refused.status, (await refused.json())["code"]) == (409, "in_use")
    await crm.delete(deal.headers["Location"])
    assert (await crm.delete(f"/crm/contacts/{contact['id']}")).status == 204


async def test_codes_and_addresses_are_taken_once(hr: Client, other: str) -> None:
    body = {"name": "Engineering", "code": "ENG"}
    assert (await hr.post("/hr/departments", json=body)).status == 201
    again = await hr.post("/hr/departments", json=body)
    assert (again.status, (await again.json())["errors"][0]["field"]) == (409, "code")
    assert (await hr.post("/hr/departments", json=body, headers={"X-Tenant-Id": other})).status == 201


async def test_an_employee_moves_between_departments_that_exist(hr: Client) -> None:
    departments = [
        (await (await hr.post("/hr/departments", json={"name": code, "code": code})).json())["id"] for code in "AB"
    ]
    person = {"name": "A", "email": "a@b.example", "joined_on": "2025-01-01", "salary": "1"}
    made = await hr.post("/hr/employees", json=person | {"department_id": departments[0]})
    where = made.headers["Location"]
    moved = await hr.patch(where, json={"department_id": departments[1]})
    assert (await moved.json())["department_id"] == departments[1]
    listed = [await (await hr.get(f"/hr/departments/{d}/employees")).json() for d in departments]
    assert [len(page["items"]) for page in listed] == [0, 1]
    lost = await hr.patch(where, json={"department_id": "00000000-0000-0000-0000-000000000000"})
    assert (lost.status, (await lost.json())["errors"][0]["field"]) == (422, "department_id")
    assert (await hr.delete(f"/hr/departments/{departments[1]}")).status == 409


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"channel": "pigeon"}, "channel"),
        ({"budget": "-1"}, "budget"),
        ({"budget": "1.005"}, "budget"),
        ({"status": "running"}, "status"),
        ({"status": "scheduled"}, "scheduled_at"),
        ({"status": "scheduled", "scheduled_at": "2020-01-01T00:00:00Z"}, "scheduled_at"),
        ({"status": "scheduled", "scheduled_at": "2999-01-01T00:00:00"}, "scheduled_at"),
    ],
)
async def test_campaign_fields_are_named(marketing: Client, change: dict[str, Any], field: str) -> None:
    reply = await marketing.post("/marketing/campaigns", json=CAMPAIGN | change)
    assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, field)


async def test_a_campaign_goes_forward_only(marketing: Client) -> None:
    made = await marketing.post("/marketing/campaigns", json=CAMPAIGN)
    where = made.headers["Location"]
    steps: list[tuple[dict[str, Any], int]] = [
        ({"status": "done"}, 409),
        ({"status": "scheduled"}, 422),
        ({"status": "scheduled", "scheduled_at": hours_from_now(1)}, 200),
        ({"scheduled_at": hours_from_now(-1)}, 422),
        ({"scheduled_at": None}, 422),
        ({"status": "draft"}, 200),
        ({"status": "draft"}, 200),
        ({"status": "running"}, 200),
        ({"status": "draft"}, 409),
        ({"status": "done", "name": "Over"}, 200),
        ({"status": "running"}, 409),
    ]
    for change, status in steps:
        reply = await marketing.patch(where, json=change)
        assert reply.status == status, (change, await reply.text())


async def test_writers_who_read_the_same_version_do_not_overwrite_each_other(crm: Client) -> None:
    made = await crm.post("/crm/contacts", json=CONTACT)
    where, tag = made.headers["Location"], {"If-Match": made.headers["ETag"]}
    patches = (crm.patch(where, json={"name": f"N{number}"}, headers=tag) for number in range(5))
    replies = await asyncio.gather(*patches)
    assert sorted(reply.status for reply in replies) == [200, 412, 412, 412, 412]
    unconditional = await asyncio.gather(*(crm.patch(where, json={"company": f"C{number}"}) for number in range(5)))
    assert [reply.status for reply in unconditional] == [200] * 5
    assert (await (await crm.get(where)).json())["version"] == 7
