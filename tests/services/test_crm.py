"""Hazard: an action of CRM does half of what it says, twice of it, or for somebody else; a report adds up wrong."""

import asyncio
import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from openpyxl import load_workbook

from upstream_services.crm.reports import month_after
from upstream_services.kit.model import utc_now

from .conftest import Client
from .samples import make


async def post(crm: Client, path: str, expected: int = 200, /, **body: Any) -> dict[str, Any]:
    """The reply to a POST under /crm."""
    reply = await crm.post(f"/crm/{path}", json=body)
    assert reply.status == expected, await reply.text()
    told: dict[str, Any] = await reply.json()
    return told


async def get(crm: Client, path: str, **params: str) -> dict[str, Any]:
    """The reply to a GET under /crm."""
    reply = await crm.get(f"/crm/{path}", params=params)
    assert reply.status == 200, await reply.text()
    told: dict[str, Any] = await reply.json()
    return told


async def test_a_lead_becomes_a_contact_a_company_and_a_deal_once(crm: Client) -> None:
    lead = await post(crm, "leads", 201, name="Asha", email="a@x.example", company="Banyan", value="500.00")
    replies = await asyncio.gather(
        *(crm.post(f"/crm/leads/{lead['id']}/convert", json={"deal_title": "Racks"}) for _ in range(4))
    )
    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409]
    made = await next(reply for reply in replies if reply.status == 200).json()
    contact = await get(crm, f"contacts/{made['contact_id']}")
    deal = await get(crm, f"deals/{made['deal_id']}")
    company = await get(crm, f"companies/{made['company_id']}")
    assert (contact["name"], contact["company_id"], contact["status"]) == ("Asha", company["id"], "active")
    assert (deal["contact_id"], deal["company_id"], deal["value"]) == (contact["id"], company["id"], "500.00")
    assert len((await get(crm, "contacts"))["items"]) == len((await get(crm, "deals"))["items"]) == 1
    changed = await crm.patch(f"/crm/leads/{lead['id']}", json={"name": "B"})
    assert (changed.status, (await changed.json())["code"]) == (409, "converted")
    second = await post(crm, "leads", 201, name="Bina", company="Banyan")
    told = await post(crm, f"leads/{second['id']}/convert")
    assert (told["company_id"], told["deal_id"]) == (company["id"], None)


async def test_merging_leaves_one_contact_with_all_that_was_of_both(crm: Client, other: str) -> None:
    kept = await post(crm, "contacts", 201, name="Asha", email="asha@x.example")
    gone = await post(crm, "contacts", 201, name="A. Rao", email="rao@x.example", phone="+91 98765")
    tag = await post(crm, "tags", 201, name="vip")
    await post(crm, f"contacts/{gone['id']}/tag", tag_id=tag["id"])
    deal = await post(crm, "deals", 201, contact_id=gone["id"], title="Racks")
    note = await post(crm, "notes", 201, contact_id=gone["id"], body="Likes tea")
    theirs = await make(crm, "/crm/contacts", {"X-Tenant-Id": other})

    merged = await post(crm, f"contacts/{kept['id']}/merge", other_id=gone["id"])
    assert (merged["name"], merged["email"], merged["phone"]) == ("Asha", "asha@x.example", "+91 98765")
    assert merged["tag_ids"] == [tag["id"]]
    assert (await crm.get(f"/crm/contacts/{gone['id']}")).status == 404
    for path in (f"deals/{deal['id']}", f"notes/{note['id']}"):
        found = await get(crm, path)
        assert (found["contact_id"], found["version"]) == (kept["id"], 2)
    for wrong in (kept["id"], gone["id"], theirs["id"]):
        reply = await crm.post(f"/crm/contacts/{kept['id']}/merge", json={"other_id": wrong})
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "other_id")
    assert (await post(crm, f"contacts/{kept['id']}/untag", tag_id=tag["id"]))["tag_ids"] == []


async def test_enriching_finds_the_company_or_makes_it(crm: Client) -> None:
    known = await post(crm, "companies", 201, name="Banyan Foods", website="https://www.banyan.example/about")
    await post(crm, "companies", 201, name="Other", website="https://notbanyan.example")
    first = await post(crm, "contacts", 201, name="A", email="a@banyan.example")
    enriched = await post(crm, f"contacts/{first['id']}/enrich")
    assert (enriched["company_id"], enriched["company"]) == (known["id"], "Banyan Foods")
    second = await post(crm, "contacts", 201, name="B", email="b@coral.example")
    made = await post(crm, f"contacts/{second['id']}/enrich")
    assert (await get(crm, f"companies/{made['company_id']}"))["website"] == "https://coral.example"
    third = await post(crm, "contacts", 201, name="C", email="c@gmail.com")
    assert (await post(crm, f"contacts/{third['id']}/enrich"))["company_id"] is None


async def test_deals_are_won_and_lost(crm: Client) -> None:
    contact = await post(crm, "contacts", 201, name="A")
    deal = await post(crm, "deals", 201, contact_id=contact["id"], title="T")
    won = await post(crm, f"deals/{deal['id']}/win")
    assert won["stage"] == "won"
    assert won["closed_at"] is not None
    lost = await post(crm, f"deals/{deal['id']}/lose", reason="Too dear")
    assert (lost["stage"], lost["lost_reason"]) == ("lost", "Too dear")
    reply = await crm.post(f"/crm/deals/{deal['id']}/win")
    assert (reply.status, (await reply.json())["code"]) == (409, "illegal_transition")


async def test_tasks_and_tickets_end_and_begin_again(crm: Client) -> None:
    task = await post(crm, "tasks", 201, title="Call")
    assert (await post(crm, f"tasks/{task['id']}/complete"))["completed_at"] is not None
    assert (await post(crm, f"tasks/{task['id']}/reopen"))["status"] == "open"
    ticket = await post(crm, "tickets", 201, subject="Broken")
    assert (await crm.post(f"/crm/tickets/{ticket['id']}/close")).status == 409
    assert (await post(crm, f"tickets/{ticket['id']}/solve", solution="Glue"))["solution"] == "Glue"
    assert (await post(crm, f"tickets/{ticket['id']}/close"))["status"] == "closed"
    assert (await crm.post(f"/crm/tickets/{ticket['id']}/solve", json={})).status == 409
    assert (await post(crm, f"tickets/{ticket['id']}/reopen"))["status"] == "open"
    for field in ("status", "solved_at"):
        assert (await crm.patch(f"/crm/tickets/{ticket['id']}", json={field: "closed"})).status == 422


async def test_a_quote_that_is_accepted_is_an_order_once_and_wins_its_deal(crm: Client) -> None:
    contact = await post(crm, "contacts", 201, name="A")
    deal = await post(crm, "deals", 201, contact_id=contact["id"], title="T")
    product = await post(crm, "products", 201, name="Rack", sku="R-1", price="99.99", tax_rate="18.00")
    lines = [
        {"product_id": product["id"], "quantity": "3", "discount": "10"},
        {"description": "Work", "unit_price": "0.05", "tax_rate": "5"},
    ]
    quote = await post(crm, "quotes", 201, contact_id=contact["id"], deal_id=deal["id"], lines=lines)
    assert [(one["description"], one["net"], one["tax"], one["total"]) for one in quote["lines"]] == [
        ("Rack", "269.97", "48.59", "318.56"),
        ("Work", "0.05", "0.00", "0.05"),
    ]
    assert (quote["number"], quote["net"], quote["tax"], quote["total"]) == (1, "270.02", "48.59", "318.61")
    assert (await crm.post(f"/crm/quotes/{quote['id']}/accept")).status == 409  # not sent
    await post(crm, f"quotes/{quote['id']}/send")
    assert (await crm.patch(f"/crm/quotes/{quote['id']}", json={"notes": "x"})).status == 409
    replies = await asyncio.gather(*(crm.post(f"/crm/quotes/{quote['id']}/accept") for _ in range(3)))
    assert sorted(reply.status for reply in replies) == [200, 409, 409]
    (order,) = (await get(crm, "orders"))["items"]
    assert (order["quote_id"], order["total"], order["status"]) == (quote["id"], "318.61", "open")
    assert [one["total"] for one in order["lines"]] == ["318.56", "0.05"]
    assert (await get(crm, f"quotes/{quote['id']}"))["order_id"] == order["id"]
    assert (await get(crm, f"deals/{deal['id']}"))["stage"] == "won"
    assert (await post(crm, f"orders/{order['id']}/fulfil"))["status"] == "fulfilled"
    assert (await crm.post(f"/crm/orders/{order['id']}/cancel")).status == 409


async def test_a_line_needs_a_product_or_all_of_its_own(crm: Client) -> None:
    contact = await post(crm, "contacts", 201, name="A")
    for line, field in (
        ({"unit_price": "1.00"}, "lines.0.description"),
        ({"description": "Work"}, "lines.0.unit_price"),
        ({"product_id": contact["id"]}, "lines.0.product_id"),
    ):
        reply = await crm.post("/crm/quotes", json={"contact_id": contact["id"], "lines": [line]})
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, field)


async def test_numbers_have_no_gaps_however_many_ask_at_once(crm: Client, other: str) -> None:
    contact = await post(crm, "contacts", 201, name="A")
    body = {"contact_id": contact["id"], "lines": [{"description": "W", "unit_price": "1.00"}]}
    bad = {"contact_id": contact["id"], "lines": [{"description": "W"}]}
    await asyncio.gather(*(crm.post("/crm/quotes", json=one) for one in (body, bad, body, bad, body)))
    assert sorted(item["number"] for item in (await get(crm, "quotes"))["items"]) == [1, 2, 3]
    assert (await make(crm, "/crm/quotes", {"X-Tenant-Id": other}))["number"] == 1


async def test_a_segment_is_a_list_that_is_kept(crm: Client) -> None:
    await post(crm, "contacts", 201, name="Asha Rao", status="active")
    await post(crm, "contacts", 201, name="Bina Rao", status="lead")
    await post(crm, "contacts", 201, name="Chandra", status="active")
    segment = await post(crm, "segments", 201, name="Raos", parameters={"q": "rao", "status": "active"})
    found = await get(crm, f"segments/{segment['id']}/contacts", fields="name")
    assert [item["name"] for item in found["items"]] == ["Asha Rao"]
    assert (await crm.get(f"/crm/segments/{segment['id']}/contacts?status=lead")).status == 422
    for parameters, field in (({"colour": "red"}, "colour"), ({"limit": "1"}, "limit"), ({"status": "x"}, "status")):
        reply = await crm.post("/crm/segments", json={"name": "S", "parameters": parameters})
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, f"parameters.{field}")


async def test_reports_add_up_by_currency(crm: Client, other: str) -> None:
    contact = await post(crm, "contacts", 201, name="A")
    pipeline = await post(crm, "pipelines", 201, name="Main")
    stage = await post(crm, "stages", 201, pipeline_id=pipeline["id"], name="Late", probability="90.00")
    today = utc_now().date()
    common = {"contact_id": contact["id"], "title": "T", "expected_close": str(today)}
    await post(crm, "deals", 201, **common, value="100.00", stage_id=stage["id"])
    await post(crm, "deals", 201, **common, value="50.10", stage="proposal")
    await post(crm, "deals", 201, **common, value="7.00", currency="USD")
    await post(crm, "deals", 201, **common, value="1000.00", stage="lost")
    won = await post(crm, "deals", 201, **common, value="9.00")
    await post(crm, f"deals/{won['id']}/win")
    await make(crm, "/crm/deals", {"X-Tenant-Id": other})

    stages = (await get(crm, "reports/pipeline"))["stages"]
    assert {(one["stage"], one["currency"]): (one["count"], one["value"]) for one in stages} == {
        ("new", "INR"): (1, "100.00"), ("new", "USD"): (1, "7.00"), ("proposal", "INR"): (1, "50.10"),
        ("lost", "INR"): (1, "1000.00"), ("won", "INR"): (1, "9.00"),
    }  # fmt: skip
    months = (await get(crm, "reports/forecast", months="1"))["months"]
    assert [(one["month"], one["currency"], one["count"], one["value"], one["weighted"]) for one in months] == [
        (f"{today:%Y-%m}", "INR", 2, "150.10", "115.05"),
        (f"{today:%Y-%m}", "USD", 1, "7.00", "0.70"),
    ]
    assert (await crm.get("/crm/reports/forecast?months=0")).status == 422
    assert (await crm.get("/crm/reports/forecast?colour=red")).status == 422
    stats = await get(crm, "dashboard/stats")
    assert (stats["contacts"], stats["deals_open"], stats["deals_won_this_month"]) == (1, 3, 1)
    assert stats["deals_open_value"] == {"INR": "150.10", "USD": "7.00"}
    changed = await crm.patch(f"/crm/contacts/{contact['id']}", json={"status": "inactive"})
    told = (await get(crm, "dashboard/stats"))["changed_at"]
    assert told == (await changed.json())["updated_at"] > stats["changed_at"]
    tag = (await crm.get("/crm/dashboard/stats")).headers["ETag"]
    assert (await crm.get("/crm/dashboard/stats", headers={"If-None-Match": tag})).status == 304


async def test_the_activity_report_has_what_was_in_its_time(crm: Client) -> None:
    now = utc_now()
    for days, minutes in ((1, 10), (2, 5), (40, 100)):
        happened = (now - timedelta(days=days)).isoformat()
        await post(crm, "activities", 201, type="call", subject="S", happened_at=happened, minutes=minutes)
    task = await post(crm, "tasks", 201, title="T")
    await post(crm, f"tasks/{task['id']}/complete")
    told = await get(crm, "reports/activity")
    assert told["activities"] == [{"type": "call", "owner_id": None, "count": 2, "minutes": 15}]
    assert (told["tasks_completed"], told["tickets_solved"]) == (1, 0)
    wider = await get(crm, "reports/activity", since=(now - timedelta(days=50)).isoformat())
    assert wider["activities"][0]["count"] == 3


def test_months_follow_each_other() -> None:
    day = utc_now().date().replace(year=2025, month=11, day=30)
    assert [str(month_after(day, count)) for count in (0, 1, 2, 14)] == [
        "2025-11-01", "2025-12-01", "2026-01-01", "2027-01-01",
    ]  # fmt: skip


async def ended(crm: Client, path: str) -> dict[str, Any]:
    """A job when it has ended."""
    while True:
        found: dict[str, Any] = await (await crm.get(path)).json()
        if found["state"] in ("done", "dead"):
            return found


async def test_an_import_takes_what_is_right_and_tells_what_is_not(crm: Client) -> None:
    lines = ["name,email,status", *(f"Person {n},p{n}@x.example," for n in range(450))]
    lines += ["Bad,not-an-address,", ",x@x.example,active", '"Last, one",,active']
    reply = await crm.post("/crm/contacts/import", data="\n".join(lines), headers={"Content-Type": "text/csv"})
    assert reply.status == 202, await reply.text()
    job = await ended(crm, reply.headers["Location"])
    assert (job["state"], job["done"], job["total"]) == ("done", 453, 453), job
    assert (job["result"]["rows"], job["result"]["imported"]) == (453, 451)
    assert [(error["row"], error["field"]) for error in job["result"]["errors"]] == [(452, "email"), (453, "name")]
    assert (await get(crm, "contacts", q="last one"))["items"][0]["name"] == "Last, one"
    errors = await (await crm.get(f"{reply.headers['Location']}/file")).text()
    assert errors.splitlines()[1].startswith("452,email,")
    assert reply.headers["Location"].startswith("/crm/jobs/")
    progress = await crm.get(reply.headers["Location"])
    assert progress.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"name,name\nA,B", "text/csv", 422), (b"name\nA,B", "text/csv", 422), (b"\xff", "text/csv", 422),
        (b"", "text/csv", 422), (b'name\n"A', "text/csv", 422), (b"{}", "application/json", 415),
    ],
)  # fmt: skip
async def test_what_is_no_csv_is_refused_at_once(crm: Client, body: bytes, media_type: str, status: int) -> None:
    reply = await crm.post("/crm/contacts/import", data=body, headers={"Content-Type": media_type})
    assert (reply.status, reply.content_type) == (status, "application/problem+json")


@pytest.mark.parametrize("kind", ["csv", "xlsx", "pdf"])
async def test_an_export_is_the_whole_list_as_a_file(crm: Client, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upstream_services.kit.transfer.EXPORT_PAGE", 2)
    for name in ("=A", "Bina", "Chandra ₹", "Deepa", "Esha"):
        await post(crm, "contacts", 201, name=name, status="active")
    await post(crm, "contacts", 201, name="Not this", status="lead")
    parameters = {"status": "active", "sort": "name", "fields": "name,status"}
    reply = await crm.post("/crm/contacts/export", json={"format": kind, "parameters": parameters})
    job = await ended(crm, reply.headers["Location"])
    assert (job["state"], job["result"]) == ("done", {"rows": 5, "is_whole": True}), job
    content = await (await crm.get(f"{reply.headers['Location']}/file")).read()
    if kind == "csv":
        names = [row[1] for row in csv.reader(io.StringIO(content.decode(), newline=""))]
        assert names == ["name", "'=A", "Bina", "Chandra ₹", "Deepa", "Esha"]
    elif kind == "xlsx":
        sheet = load_workbook(io.BytesIO(content)).active
        assert [row[1].value for row in sheet.rows] == ["name", "=A", "Bina", "Chandra ₹", "Deepa", "Esha"]
        assert {row[1].data_type for row in sheet.rows} == {"s"}
    else:
        assert content.startswith(b"%PDF-")
    wrong = await crm.post("/crm/contacts/export", json={"parameters": {"colour": "red"}})
    assert (wrong.status, (await wrong.json())["errors"][0]["field"]) == (422, "colour")
