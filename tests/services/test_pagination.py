"""Hazard: a client that turns the pages of a list misses a record or sees one twice, or a bad cursor is taken."""

import uuid
from base64 import b64encode
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstream_services.kit.pagination import Key, decode_cursor, encode_cursor

from .conftest import Client

TYPES = {"created_at": datetime, "name": str, "value": Decimal, "due": date | None}
KEYS = st.one_of(
    st.builds(Key, st.sampled_from(("created_at", "-created_at")), st.datetimes(timezones=st.just(UTC)), st.uuids()),
    st.builds(Key, st.sampled_from(("name", "-name")), st.text(max_size=200), st.uuids()),
    st.builds(Key, st.just("-value"), st.decimals(0, 10**9, places=2), st.uuids()),
    st.builds(Key, st.just("due"), st.one_of(st.none(), st.dates()), st.uuids()),
)


@given(KEYS)
def test_a_cursor_keeps_its_key_exactly(key: Key) -> None:
    assert decode_cursor(encode_cursor(key), TYPES) == key


@given(st.one_of(st.text(max_size=60), st.builds(lambda raw: b64encode(raw).decode(), st.binary(max_size=60))))
def test_any_other_text_is_refused_or_is_the_cursor_of_its_key(text: str) -> None:
    try:
        key = decode_cursor(text, TYPES)
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


@pytest.mark.parametrize(
    "cursor", ["", "x", "A" * 31, "A" * 33, "!" * 32, "f" + "_" * 31, "\x00", "W10", "bnVsbA", "A" * 5000]
)
async def test_a_bad_cursor_is_named(crm: Client, cursor: str) -> None:
    reply = await crm.get("/crm/contacts", params={"after": cursor})
    assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "after")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.0", "ten", "", "²", "9" * 5000])
async def test_a_bad_limit_is_named(crm: Client, limit: str) -> None:
    reply = await crm.get("/crm/contacts", params={"limit": limit})
    assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "limit")


async def walk(crm: Client, path: str, **params: str) -> list[dict[str, Any]]:
    """Every row of a list, page by page."""
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        reply = await crm.get(path, params=params | after)
        assert reply.status == 200, await reply.text()
        page = await reply.json()
        found += page["items"]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


@pytest.mark.parametrize("sort", ["value", "-value", "created_at", "updated_at", "expected_close", "-expected_close"])
async def test_every_order_has_each_row_once(crm: Client, sort: str) -> None:
    (contact,) = await add(crm, 1)
    for number in range(13):
        close = None if number % 3 == 0 else f"2026-01-{1 + number % 4:02d}"
        deal = {"contact_id": contact, "title": "T", "value": f"{number % 5}.50", "expected_close": close}
        assert (await crm.post("/crm/deals", json=deal)).status == 201
    rows = await walk(crm, "/crm/deals", sort=sort, limit="4")
    name, is_falling = sort.removeprefix("-"), sort.startswith("-")
    values = [row[name] for row in rows if row[name] is not None]
    assert values == sorted(values, key=lambda v: float(v) if name == "value" else v, reverse=is_falling)
    assert [row[name] for row in rows[len(values) :]] == [None] * (13 - len(values))  # what has none stands last
    assert len({row["id"] for row in rows}) == 13
    by_id = [row["id"] for row in rows if row[name] == rows[0][name]]
    assert by_id == sorted(by_id)


async def test_a_bad_order_is_named(crm: Client) -> None:
    await add(crm, 3)
    for sort in ("email", "--name", "", "tenant_id"):
        reply = await crm.get("/crm/contacts", params={"sort": sort})
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "sort")
    first = await (await crm.get("/crm/contacts?sort=name&limit=1")).json()
    reply = await crm.get("/crm/contacts", params={"sort": "-name", "after": first["next"]})
    assert (reply.status, (await reply.json())["errors"][0]["message"]) == (
        422,
        "is a cursor of a list in another order",
    )


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
