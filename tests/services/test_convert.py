"""Hazard: converting a deal makes two invoices, none, or one that the deal does not know of."""

import asyncio
import uuid
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from upstream_services.crm.api import SERVICE as CRM

from .conftest import Client, StartService


async def deal_of(crm: Client, **fields: Any) -> str:
    """The path of a new deal."""
    contact = await (await crm.post("/crm/contacts", json={"name": "Asha", "email": "asha@x.example"})).json()
    deal = {"contact_id": contact["id"], "title": "Racks", "value": "1000.00"}
    reply = await crm.post("/crm/deals", json=deal | fields)
    return reply.headers["Location"]


async def test_a_deal_becomes_a_draft_invoice(crm: Client, finance: Client) -> None:
    where = await deal_of(crm)
    reply = await crm.post(f"{where}/convert")
    assert reply.status == 200, await reply.text()
    deal = await reply.json()
    assert (deal["stage"], deal["version"]) == ("won", 3)
    assert reply.headers["ETag"] == (await crm.get(where)).headers["ETag"]
    invoice = await (await finance.get(f"/finance/invoices/{deal['invoice_id']}")).json()
    assert (invoice["status"], invoice["deal_id"], invoice["total"]) == ("draft", deal["id"], "1180.00")
    assert (invoice["customer_name"], invoice["customer_email"]) == ("Asha", "asha@x.example")

    again = await crm.post(f"{where}/convert")
    assert await again.json() == deal
    assert (await crm.delete(where)).status == 409


async def test_converting_at_once_makes_one_invoice(crm: Client, finance: Client) -> None:
    where = await deal_of(crm)
    replies = await asyncio.gather(*(crm.post(f"{where}/convert") for _ in range(6)))
    assert [reply.status for reply in replies] == [200] * 6
    assert len({(await reply.json())["invoice_id"] for reply in replies}) == 1
    assert len((await (await finance.get("/finance/invoices")).json())["items"]) == 1


async def test_other_conversions_that_are_refused(crm: Client, other: str) -> None:
    lost = await deal_of(crm, stage="lost")
    assert (await (await crm.post(f"{lost}/convert")).json())["code"] == "illegal_transition"
    where = await deal_of(crm)
    assert (await crm.post(f"{where}/convert", headers={"X-Tenant-Id": other})).status == 404
    assert (await crm.post(f"{where}/convert", headers={"If-Match": '"old"'})).status == 412
    assert (await crm.post(f"/crm/deals/{uuid.uuid4()}/convert")).status == 404


async def test_finance_down_is_a_502_and_the_deal_can_be_converted_later(
    start_service: StartService, finance: Client
) -> None:
    crm = await start_service(CRM, finance_url=f"http://127.0.0.1:{unused_port()}")
    where = await deal_of(crm)
    reply = await crm.post(f"{where}/convert")
    assert (reply.status, reply.content_type) == (502, "application/problem+json")
    assert (await reply.json())["code"] == "finance_unavailable"
    assert (await (await crm.get(where)).json())["invoice_id"] is None
    await crm.patch(where, json={"value": "9999.00"})

    healthy = await start_service(CRM, finance_url=str(finance.make_url("/")))
    deal = await (await healthy.post(f"{where}/convert")).json()
    invoice = await (await finance.get(f"/finance/invoices/{deal['invoice_id']}")).json()
    assert invoice["total"] == "1180.00"  # as it was asked for the first time


@pytest.mark.parametrize("answer", [web.Response(status=500), web.Response(status=201, text="no json"), None])
async def test_an_answer_that_makes_no_sense_is_a_502(start_service: StartService, answer: web.Response | None) -> None:
    seen: list[web.Request] = []

    async def odd(request: web.Request) -> web.Response:
        seen.append(request)
        if answer is None:
            return web.json_response({"id": 7})
        return web.Response(status=answer.status, body=answer.body)

    app = web.Application()
    app.router.add_post("/finance/invoices", odd)
    async with TestServer(app) as server:
        crm = await start_service(CRM, finance_url=str(server.make_url("/")))
        where = await deal_of(crm)
        passed = {"X-Request-Id": "r-1", "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}
        reply = await crm.post(f"{where}/convert", headers=passed)
        assert (reply.status, (await reply.json())["code"]) == (502, "finance_refused")
        assert (await reply.json())["request_id"] == "r-1"
    assert {name: seen[0].headers[name] for name in passed} == passed
    assert seen[0].headers["X-Tenant-Id"].startswith("t-")
    assert seen[0].headers["Idempotency-Key"] == f"crm-deal-{where.rpartition('/')[2]}"
