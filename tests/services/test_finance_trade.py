"""Hazard: an action of Finance does half of what it says, twice of it, or what is final can be changed after all."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from upstream_services.finance.fields import today
from upstream_services.finance.recurring import make_due
from upstream_services.kit.jobs.context import BELL
from upstream_services.kit.jobs.declare import enqueue
from upstream_services.kit.keys import DATABASE

from .conftest import Client
from .samples import make
from .test_finance_books import LINE, ask, balances, get, post, sent_invoice


async def test_a_line_takes_what_it_leaves_out_from_its_item(finance: Client, other: str) -> None:
    rate = await post(finance, "tax-rates", 201, name="GST 5", rate=5, hsn="9403", valid_from="2025-01-01")
    item = await post(finance, "items", 201, name="Rack", sku="R-1", price="40.00", tax_rate_id=rate["id"])
    body = {"customer_name": "A", "issue_date": "2025-06-01", "lines": [{"item_id": item["id"], "quantity": "2"}]}
    (line,) = (await post(finance, "invoices", 201, **body))["lines"]
    assert (line["description"], line["hsn"], line["unit_price"], line["gst_rate"]) == ("Rack", "9403", "40.00", 5)
    assert line["total"] == "84.00"
    early = await post(finance, "invoices", 422, **body | {"issue_date": "2024-06-01"})
    assert early["errors"][0]["field"] == "lines.0.gst_rate"
    theirs = await make(finance, "/finance/items", {"X-Tenant-Id": other})
    told = await post(finance, "invoices", 422, **body | {"lines": [{"item_id": theirs["id"], "quantity": "1"}]})
    assert told["errors"][0]["field"] == "lines.0.item_id"


async def test_a_customer_says_what_the_invoice_leaves_out(finance: Client) -> None:
    customer = await post(finance, "customers", 201, name="Banyan", email="b@x.example", state="27", payment_terms=7)
    made = await post(finance, "invoices", 201, customer_id=customer["id"], issue_date="2025-06-01", lines=[LINE])
    assert (made["customer_name"], made["customer_email"], made["place_of_supply"]) == ("Banyan", "b@x.example", "27")
    assert (made["due_date"], made["igst"]) == ("2025-06-08", "18.00")
    assert (await post(finance, "invoices", 422, lines=[LINE]))["errors"][0]["field"] == "customer_name"
    told = await post(finance, "customers", 422, name="x", gstin="27ABCDE1234F1Z5", state="29")
    assert told["errors"][0]["field"] == "state"
    copied = await post(finance, f"invoices/{made['id']}/duplicate")
    assert copied["id"] == made["id"]
    assert len((await get(finance, f"customers/{customer['id']}/invoices"))["items"]) == 2


async def test_an_order_becomes_a_bill_once_and_the_bill_is_paid(finance: Client) -> None:
    vendor = await post(finance, "vendors", 201, name="Steel", state="29")
    order = await post(finance, "purchase-orders", 201, vendor_id=vendor["id"], lines=[LINE])
    where = f"purchase-orders/{order['id']}"
    await post(finance, f"{where}/bill", 409, bill_number="S-1")
    assert (await post(finance, f"{where}/send"))["number"].startswith("PO/")
    replies = await asyncio.gather(
        *(finance.post(f"/finance/{where}/bill", json={"bill_number": "S-1"}) for _ in range(3))
    )
    assert sorted(reply.status for reply in replies) == [200, 409, 409]
    bill = (await get(finance, f"vendors/{vendor['id']}/bills"))["items"][0]
    assert (bill["total"], bill["purchase_order_id"]) == ("118.00", order["id"])
    await post(finance, f"bills/{bill['id']}/pay", 409)
    await post(finance, f"bills/{bill['id']}/approve")
    aged = await get(finance, "reports/aged-payables")
    assert (aged["total"], (await get(finance, "dashboard/stats"))["payable"]) == ("118.00", "118.00")
    assert (await post(finance, f"bills/{bill['id']}/pay", amount="100.00"))["status"] == "partially_paid"
    assert (await post(finance, f"bills/{bill['id']}/pay"))["status"] == "paid"
    await post(finance, f"bills/{bill['id']}/void", 409)
    found = await balances(finance)
    assert (found["Accounts payable"], found["Bank"], found["Input CGST"]) == (0, -118, 9)
    await post(finance, f"{where}/cancel", 409)


async def test_a_bank_statement_is_matched_and_reconciled(finance: Client) -> None:
    bank = await post(finance, "bank-accounts", 201, name="HDFC")
    invoice = await sent_invoice(finance)
    await post(finance, f"invoices/{invoice['id']}/record-payment", bank_account_id=bank["id"])
    payment = (await get(finance, "payments"))["items"][0]
    charges = await post(finance, "accounts", 201, code="6200", name="Charges", type="expense")
    expense = await post(
        finance, "expenses", 201, description="Tea", amount="10.00", gst_rate=5, bank_account_id=bank["id"]
    )
    await post(finance, f"expenses/{expense['id']}/approve")
    line = {"bank_account_id": bank["id"], "date": today().isoformat()}
    in_ = await post(finance, "bank-transactions", 201, **line, direction="in", amount="118.00")
    out = await post(finance, "bank-transactions", 201, **line, direction="out", amount="10.50")
    fee = await post(finance, "bank-transactions", 201, **line, direction="out", amount="5.00", description="Fee")
    told = await post(finance, f"bank-transactions/{out['id']}/match", 422, payment_id=payment["id"])
    assert told["errors"][0]["field"] == "payment_id"
    await post(finance, f"bank-transactions/{in_['id']}/match", payment_id=payment["id"])
    await post(finance, f"bank-transactions/{in_['id']}/match", 409, payment_id=payment["id"])
    await post(finance, f"bank-transactions/{out['id']}/match", expense_id=expense["id"])
    twin = await post(finance, "bank-transactions", 201, **line, direction="in", amount="118.00")
    assert (await post(finance, f"bank-transactions/{twin['id']}/match", 409, payment_id=payment["id"]))["code"] == (
        "not_unique"
    )
    assert (await finance.delete(f"/finance/bank-transactions/{twin['id']}")).status == 204
    where = f"bank-accounts/{bank['id']}"
    day = today().isoformat()
    assert (await post(finance, f"{where}/reconcile", 409, date=day, balance="102.50"))["code"] == "unmatched"
    await post(finance, f"bank-transactions/{fee['id']}/categorize", account_id=charges["id"])
    assert (await post(finance, f"{where}/reconcile", 409, date=day, balance="102.51"))["code"] == "not_reconciled"
    assert (await post(finance, f"{where}/reconcile", date=day, balance="102.50"))["transactions"] == 3
    found = await balances(finance)
    assert (float(found["HDFC"]), found["Charges"]) == (102.5, 5)
    assert (await post(finance, f"bank-transactions/{fee['id']}/unmatch", 409))["code"] == "reconciled"
    assert (await post(finance, f"payments/{payment['id']}/void", 409))["code"] == "matched"
    assert (await post(finance, f"expenses/{expense['id']}/void", 409))["code"] == "matched"
    late = await post(finance, "bank-transactions", 422, **line, direction="in", amount="1.00")
    assert late["errors"][0]["field"] == "date"


async def test_what_was_categorized_can_be_taken_back(finance: Client) -> None:
    bank = await post(finance, "bank-accounts", 201, name="HDFC")
    charges = await post(finance, "accounts", 201, code="6200", name="Charges", type="expense")
    line = {"bank_account_id": bank["id"], "date": "2025-06-01", "direction": "out", "amount": "5.00"}
    fee = await post(finance, "bank-transactions", 201, **line)
    await post(finance, f"bank-transactions/{fee['id']}/categorize", account_id=charges["id"])
    await ask(finance, "DELETE", f"bank-transactions/{fee['id']}", 409)
    assert (await post(finance, f"bank-transactions/{fee['id']}/unmatch"))["status"] == "unmatched"
    assert set((await balances(finance)).values()) == {0}


async def test_an_invoice_comes_again_until_it_ends(finance: Client) -> None:
    start, end = today() - timedelta(weeks=2), today() + timedelta(weeks=1)
    row = await post(
        finance, "recurring-invoices", 201, customer_name="A", unit="week", is_sent=True, lines=[LINE],
        start_date=start.isoformat(), end_date=end.isoformat(),
    )  # fmt: skip
    where = f"recurring-invoices/{row['id']}"
    await post(finance, f"{where}/pause")
    await post(finance, f"{where}/run", 409)
    await post(finance, f"{where}/resume")
    dates = []
    for _ in range(4):
        dates.append((await get(finance, where))["next_date"])
        row = await post(finance, f"{where}/run")
    assert dates == [(start + timedelta(weeks=n)).isoformat() for n in range(4)]
    assert (row["status"], row["made"], row["next_date"]) == ("ended", 4, None)
    await post(finance, f"{where}/run", 409)
    made = (await get(finance, "invoices?status=sent&sort=issue_date"))["items"]
    assert [one["issue_date"] for one in made] == dates
    assert {one["recurring_invoice_id"] for one in made} == {row["id"]}
    assert float((await balances(finance))["Sales"]) == -300  # the last is dated next week


class Inbox:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Takes a message."""
        self.messages.append(envelope)
        return "250 OK"


async def test_an_invoice_goes_out_as_pdf_once(
    finance: Client, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    inbox = Inbox()
    server = Controller(inbox, hostname="127.0.0.1", port=unused_tcp_port)
    server.start()
    try:
        worker = finance.app[BELL]._worker
        assert worker is not None
        monkeypatch.setattr(worker._mailer, "_port", unused_tcp_port)
        monkeypatch.setattr(worker._mailer, "_host", "127.0.0.1")
        invoice = await sent_invoice(finance, customer_email="asha@x.example")
        job: dict[str, Any] = {"state": "waiting"}
        while job["state"] not in ("done", "dead"):
            (job,) = (await get(finance, "jobs?name=invoices.send"))["items"]
        assert (job["state"], job["result"]) == ("done", {"sent": True, "number": invoice["number"]})
    finally:
        server.stop()
    (message,) = inbox.messages
    assert (message.rcpt_tos, b"application/pdf" in message.content) == (["asha@x.example"], True)
    for path in (f"jobs/{job['id']}/file", f"invoices/{invoice['id']}/pdf"):
        reply = await finance.get(f"/finance/{path}")
        assert (reply.content_type, (await reply.read())[:5]) == ("application/pdf", b"%PDF-")


async def test_the_clock_makes_what_was_missed_and_nothing_twice(finance: Client, tenant: str) -> None:
    start = today() - timedelta(weeks=2)
    await post(
        finance, "recurring-invoices", 201, customer_name="A", unit="week", lines=[LINE], start_date=start.isoformat()
    )
    for _ in range(2):
        async with finance.app[DATABASE].transaction(tenant) as session:
            job_id = await enqueue(session, make_due)
        job: dict[str, Any] = {"state": "waiting"}
        while job["state"] not in ("done", "dead"):
            job = await get(finance, f"jobs/{job_id}")
        assert job["state"] == "done", job["error"]
    made = (await get(finance, "invoices?sort=issue_date"))["items"]
    assert [one["issue_date"] for one in made] == [(start + timedelta(weeks=n)).isoformat() for n in range(3)]
    assert {one["status"] for one in made} == {"draft"}
