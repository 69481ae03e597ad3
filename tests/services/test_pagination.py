"""Hazard: a client that turns the pages of a list misses a record or sees one twice, or a bad cursor is taken."""

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstream_services.kit.pagination import Key, decode_cursor, encode_cursor

from .conftest import Client

MOMENTS = st.datetimes(timezones=st.just(UTC))
CURSOR_TEXT = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", min_size=32, max_size=32)


@given(MOMENTS, st.uuids())
def test_a_cursor_keeps_its_key_to_the_microsecond(created_at: datetime, row_id: uuid.UUID) -> None:
    assert decode_cursor(encode_cursor(Key(created_at, row_id))) == (created_at, row_id)


@given(st.one_of(CURSOR_TEXT, st.text(max_size=40)))
def test_any_other_text_is_refused_or_is_the_cursor_of_its_key(text: str) -> None:
    try:
        key = decode_cursor(text)
    except ValueError:
        return
    assert encode_cursor(key) == text


async def add(crm: Client, count: int) -> list[str]:
    """Makes contacts one after the other and returns their ids, the oldest first."""
    ids = []
    for number in range(count):
        reply = await crm.post("/crm/contacts", json={"name": f"Contact {number}"})
        ids.append((await reply.json())["id"])
    return ids


async def test_pages_stay_whole_while_rows_come_and_go(crm: Client) -> None:
    ids = await add(crm, 12)
    seen, after = [], {}
    while True:
        page = await (await crm.get("/crm/contacts", params={"limit": "5"} | after)).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
        await add(crm, 2)
        await crm.delete(f"/crm/contacts/{page['items'][-1]['id']}")  # the row that the cursor points at
    assert seen == ids[::-1]


async def test_the_last_full_page_has_no_next(crm: Client) -> None:
    await add(crm, 4)
    first = await (await crm.get("/crm/contacts?limit=2")).json()
    last = await (await crm.get("/crm/contacts", params={"limit": "2", "after": first["next"]})).json()
    assert (len(first["items"]), len(last["items"]), last["next"]) == (2, 2, None)


async def test_a_nested_list_has_pages_and_filters_too(crm: Client) -> None:
    mine, others = await add(crm, 2)
    for contact, stage in ((mine, "new"), (mine, "won"), (mine, "won"), (others, "won")):
        await crm.post("/crm/deals", json={"contact_id": contact, "title": "T", "stage": stage})
    first = await (await crm.get(f"/crm/contacts/{mine}/deals?limit=1&stage=won")).json()
    params = {"limit": "1", "stage": "won", "after": first["next"]}
    second = await (await crm.get(f"/crm/contacts/{mine}/deals", params=params)).json()
    found = first["items"] + second["items"]
    assert [(deal["contact_id"], deal["stage"]) for deal in found] == [(mine, "won")] * 2
    assert second["next"] is None
    assert (await crm.get(f"/crm/contacts/{uuid.uuid4()}/deals")).status == 404


@pytest.mark.parametrize("cursor", ["", "x", "A" * 31, "A" * 33, "!" * 32, "f" + "_" * 31, "\x00"])
async def test_a_bad_cursor_is_named(crm: Client, cursor: str) -> None:
    reply = await crm.get("/crm/contacts", params={"after": cursor})
    assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "after")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.0", "ten", "", "²", "9" * 5000])
async def test_a_bad_limit_is_named(crm: Client, limit: str) -> None:
    reply = await crm.get("/crm/contacts", params={"limit": limit})
    assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "limit")


async def test_filters_select_and_bad_ones_are_named(crm: Client) -> None:
    for status in ("lead", "active", "active"):
        await crm.post("/crm/contacts", json={"name": "A", "status": status, "email": f"{status}@x.example"})
    found = await (await crm.get("/crm/contacts?status=active&email=active@x.example")).json()
    assert [item["status"] for item in found["items"]] == ["active", "active"]
    for query, field in (("status=gone", "status"), ("email=%00", "email")):
        reply = await crm.get(f"/crm/contacts?{query}")
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, field)
    reply = await crm.get("/crm/deals?contact_id=12")
    assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "contact_id")
