"""Hazard: a report counts what is not the tenant's, or not all of it."""

from .conftest import Client

STATS = "/crm/dashboard/stats"


async def test_a_tenant_without_records_has_empty_statistics(crm: Client) -> None:
    assert await (await crm.get(STATS)).json() == {"contacts": [], "deals": [], "changed_at": None}


async def test_contacts_and_deals_are_counted_by_what_they_are(crm: Client, other: str) -> None:
    for status in ("lead", "active", "active"):
        contact = await (await crm.post("/crm/contacts", json={"name": "Asha", "status": status})).json()
    deal = {"contact_id": contact["id"], "title": "Racks", "stage": "won"}
    for value, currency in (("10.50", "INR"), ("1.25", "INR"), ("7.00", "USD")):
        last = await (await crm.post("/crm/deals", json=deal | {"value": value, "currency": currency})).json()
    foreign = await crm.post("/crm/contacts", json={"name": "Not ours"}, headers={"X-Tenant-Id": other})
    assert foreign.status == 201
    assert await (await crm.get(STATS)).json() == {
        "contacts": [{"status": "active", "count": 2}, {"status": "lead", "count": 1}],
        "deals": [
            {"stage": "won", "currency": "INR", "count": 2, "value": "11.75"},
            {"stage": "won", "currency": "USD", "count": 1, "value": "7.00"},
        ],
        "changed_at": last["updated_at"],
    }


async def test_a_change_shows_in_the_time_of_the_last_one(crm: Client) -> None:
    made = await crm.post("/crm/contacts", json={"name": "Asha"})
    changed = await (await crm.patch(made.headers["Location"], json={"status": "inactive"})).json()
    found = await (await crm.get(STATS)).json()
    assert found["changed_at"] == changed["updated_at"]
    assert found["contacts"] == [{"status": "inactive", "count": 1}]
