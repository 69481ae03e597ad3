"""Hazard: a list shows too much, too little, or what nobody asked for."""

import csv
import io
import uuid
from typing import Any

import pytest

from .conftest import Client

NAMES = ("Asha Rao", "Bina Rao", "Chandra Iyer", "Deepa O'Neill")


async def people(crm: Client, **fields: Any) -> list[dict[str, Any]]:
    """Contacts with the names above, in one request."""
    items = [
        {"name": name, "email": f"{name.split()[0].lower()}@mail-{n}.example", **fields} for n, name in enumerate(NAMES)
    ]
    reply = await crm.post("/crm/contacts/bulk", json={"items": items})
    assert reply.status == 201, await reply.text()
    found: list[dict[str, Any]] = (await reply.json())["items"]
    return found


async def names(crm: Client, path: str = "/crm/contacts", **params: str) -> list[str]:
    """The names of a list, by name."""
    reply = await crm.get(path, params=params)
    assert reply.status == 200, await reply.text()
    return sorted(item["name"] for item in (await reply.json())["items"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rao", [0, 1]),
        ("RAO ash", [0]),
        ("asha@mail-0.example", [0]),
        ("mail-2", [2]),
        ("o'nei", [3]),
        ("iyer rao", []),
        ("'x' | 'rao':*", []),
        ("rao & asha", [0]),
        ("ao", []),
    ],
)
async def test_words_are_found_by_their_start(crm: Client, text: str, expected: list[int]) -> None:
    await people(crm)
    assert await names(crm, q=text) == [NAMES[number] for number in expected]


async def test_a_search_without_a_word_and_one_with_nul_are_named(crm: Client) -> None:
    for text in ("", " ", "@", "\0"):
        reply = await crm.get("/crm/contacts", params={"q": text})
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "q"), text


async def test_what_changes_is_found_by_its_new_words_only(crm: Client) -> None:
    asha = (await people(crm))[0]
    await crm.patch(f"/crm/contacts/{asha['id']}", json={"name": "Usha Nair"})
    assert await names(crm, q="nair") == ["Usha Nair"]
    assert await names(crm, q="rao") == ["Bina Rao"]


async def test_fields_are_those_asked_for_and_the_id(crm: Client) -> None:
    await people(crm)
    page = await (await crm.get("/crm/contacts", params={"fields": "email,name", "limit": "2"})).json()
    assert [list(item) for item in page["items"]] == [["id", "name", "email"]] * 2
    rest = await (await crm.get("/crm/contacts", params={"fields": "name", "after": page["next"]})).json()
    assert len(rest["items"]) == 2
    for wrong in ("nme", "", "tenant_id", "name,"):
        reply = await crm.get("/crm/contacts", params={"fields": wrong})
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "fields")


async def test_ids_are_found_in_the_order_asked_for(crm: Client, other: str) -> None:
    rows = await people(crm)
    theirs = await (await crm.post("/crm/contacts", json={"name": "X"}, headers={"X-Tenant-Id": other})).json()
    wanted = [rows[2]["id"], str(uuid.uuid4()), theirs["id"], rows[0]["id"], rows[2]["id"]]
    page = await (await crm.get("/crm/contacts", params={"ids": ",".join(wanted)})).json()
    assert [item["id"] for item in page["items"]] == [rows[2]["id"], rows[0]["id"]]
    assert page["next"] is None
    for wrong in ("7", "", ",", ",".join([rows[0]["id"]] * 201)):
        reply = await crm.get("/crm/contacts", params={"ids": wrong})
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "ids")


async def test_a_filter_that_is_given_again_is_any_of_several(crm: Client) -> None:
    await people(crm)
    made = await crm.post("/crm/contacts", json={"name": "E", "status": "active"})
    await crm.post("/crm/contacts", json={"name": "F", "status": "inactive"})
    assert made.status == 201
    reply = await crm.get("/crm/contacts?status=active&status=inactive")
    assert sorted(item["name"] for item in (await reply.json())["items"]) == ["E", "F"]


async def test_ranges_include_their_bounds(crm: Client) -> None:
    contact = (await people(crm))[0]["id"]
    for value, close in (("10.00", "2026-01-01"), ("20.00", "2026-01-02"), ("30.00", None)):
        body = {"contact_id": contact, "title": f"{value}", "value": value, "expected_close": close}
        await crm.post("/crm/deals", json=body)

    async def values(**params: str) -> list[str]:
        page = await (await crm.get("/crm/deals", params=params)).json()
        return sorted(item["value"] for item in page["items"])

    assert await values(value_min="10", value_max="20.00") == ["10.00", "20.00"]
    assert await values(value_min="20.01") == ["30.00"]
    assert await values(expected_close_max="2026-01-01") == ["10.00"]
    assert await values(created_at_min="2020-01-01T00:00:00Z") == ["10.00", "20.00", "30.00"]
    assert await values(created_at_max="2020-01-01T00:00:00Z") == []
    for query in ("value_min=x", "value_max=", "created_at_min=2020-01-01T00:00:00", "stage_min=a"):
        reply = await crm.get(f"/crm/deals?{query}")
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, query.partition("=")[0]), (
            query,
            await reply.text(),
        )


async def test_a_number_too_large_for_its_column_is_no_failure(crm: Client) -> None:
    for query in ("value=" + "9" * 400, "value_min=1e999999", "value_max=-1e999999"):
        reply = await crm.get(f"/crm/deals?{query}")
        assert reply.status in (200, 422), query


async def test_a_list_that_has_not_changed_is_not_sent_again(crm: Client) -> None:
    await people(crm)
    first = await crm.get("/crm/contacts")
    again = await crm.get("/crm/contacts", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    await crm.post("/crm/contacts", json={"name": "New"})
    changed = await crm.get("/crm/contacts", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


async def test_an_export_has_every_row_and_runs_no_formula(crm: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upstream_services.kit.lists.EXPORT_PAGE", 3)
    await people(crm, company="=1+2", phone="+91 98765 43210")
    await crm.post("/crm/contacts", json={"name": 'a "quoted", name\nof two lines'})
    reply = await crm.get("/crm/contacts.csv", params={"sort": "name", "fields": "name,company,phone,status"})
    assert (reply.status, reply.content_type) == (200, "text/csv")
    assert reply.headers["Content-Disposition"] == 'attachment; filename="contacts.csv"'
    head, *rows = csv.reader(io.StringIO(await reply.text(), newline=""))
    assert head == ["id", "name", "phone", "status", "company"]
    assert sorted(row[1] for row in rows) == sorted([*NAMES, 'a "quoted", name\nof two lines'])
    assert {tuple(row[2:]) for row in rows} == {("+91 98765 43210", "lead", "'=1+2"), ("", "lead", "")}
    narrowed = await crm.get("/crm/contacts.csv", params={"q": "rao"})
    assert len((await narrowed.text()).splitlines()) == 3
    refused = await crm.get("/crm/contacts.csv?colour=red")
    assert (refused.status, refused.content_type) == (422, "application/problem+json")
