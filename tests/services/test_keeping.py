"""Hazard: what was deleted is still there, or is lost; nobody knows who changed what; half a bulk is made."""

from typing import Any

import pytest

from .conftest import Client
from .samples import make


async def test_what_is_deleted_is_gone_everywhere_and_comes_back(client: Client, path: str) -> None:
    record = await make(client, path)
    where = f"{path}/{record['id']}"
    assert (await client.post(f"{where}/restore")).status == 404  # it is there
    assert (await client.delete(where)).status == 204
    assert (await (await client.get(path)).json())["items"] == []
    assert (await (await client.get(path, params={"ids": record["id"]})).json())["items"] == []
    assert (await client.patch(where, json={})).status == 404
    (kept,) = (await (await client.get(path, params={"deleted": "true"})).json())["items"]
    assert kept.pop("deleted_at") == kept["updated_at"]
    assert kept == record | {"version": 2, "updated_at": kept["updated_at"]}

    restored = await client.post(f"{where}/restore")
    assert restored.status == 200, await restored.text()
    assert await restored.json() == await (await client.get(where)).json()
    assert (await restored.json())["version"] == 3
    assert (await (await client.get(path, params={"deleted": "true"})).json())["items"] == []


async def test_who_and_when(crm: Client) -> None:
    made = await crm.post("/crm/contacts", json={"name": "A"}, headers={"X-User-Id": "u-1"})
    first = await made.json()
    assert (first["created_by"], first["updated_by"], first["version"]) == ("u-1", "u-1", 1)
    where = made.headers["Location"]
    second = await (await crm.patch(where, json={"name": "B"}, headers={"X-User-Id": "u-2"})).json()
    assert (second["created_by"], second["updated_by"], second["version"]) == ("u-1", "u-2", 2)
    assert second["created_at"] == first["created_at"] < second["updated_at"]
    for name in ("created_by", "created_at", "updated_by", "version", "deleted_at", "tenant_id"):
        reply = await crm.patch(where, json={name: "x"})
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, name)


async def test_a_value_that_one_had_alone_is_free_when_it_is_deleted(hr: Client) -> None:
    body = {"name": "Engineering", "code": "ENG"}
    first = (await hr.post("/hr/departments", json=body)).headers["Location"]
    await hr.delete(first)
    assert (await hr.post("/hr/departments", json=body)).status == 201
    reply = await hr.post(f"{first}/restore")
    assert (reply.status, (await reply.json())["code"]) == (409, "not_unique")


async def test_nothing_refers_to_what_is_deleted(crm: Client) -> None:
    contact = await (await crm.post("/crm/contacts", json={"name": "A"})).json()
    deal = await (await crm.post("/crm/deals", json={"contact_id": contact["id"], "title": "T"})).json()
    await crm.delete(f"/crm/deals/{deal['id']}")
    assert (await crm.delete(f"/crm/contacts/{contact['id']}")).status == 204
    for reply in (
        await crm.post("/crm/deals", json={"contact_id": contact["id"], "title": "T"}),
        await crm.post(f"/crm/deals/{deal['id']}/restore"),
    ):
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "contact_id")
    assert (await crm.get(f"/crm/contacts/{contact['id']}/deals")).status == 404


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([{"name": "A"}, {"name": ""}], "items.1.name"),
        ([{"name": "A"}, {"name": "B", "colour": "red"}], "items.1.colour"),
        ([{"name": "A"}, {"name": "B", "company_id": "00000000-0000-0000-0000-000000000000"}], "items.1.company_id"),
        ([], "items"),
        ([{"name": "A"}] * 501, "items"),
    ],
)
async def test_a_bulk_is_made_whole_or_not_at_all(crm: Client, items: list[dict[str, Any]], field: str) -> None:
    reply = await crm.post("/crm/contacts/bulk", json={"items": items})
    assert (reply.status, [error["field"] for error in (await reply.json())["errors"]]) == (422, [field])
    assert (await (await crm.get("/crm/contacts")).json())["items"] == []


async def test_a_bulk_breaks_no_rule_among_its_own(hr: Client) -> None:
    items = [{"name": "A", "code": "A"}, {"name": "B", "code": "A"}]
    reply = await hr.post("/hr/departments/bulk", json={"items": items})
    assert (reply.status, (await reply.json())["code"]) == (409, "not_unique")
    items[1]["code"] = "B"
    reply = await hr.post("/hr/departments/bulk", json={"items": items})
    assert (reply.status, [item["code"] for item in (await reply.json())["items"]]) == (201, ["A", "B"])
