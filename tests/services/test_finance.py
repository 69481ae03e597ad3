"""Hazard: an invoice that does not add up, changes after it was sent, or is made twice."""

import asyncio
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstream_services.finance import gst, states
from upstream_services.kit.errors import Problem

from .conftest import Client

QUANTITIES = st.decimals("0.001", 1_000_000, places=3)
PRICES = st.decimals(0, 1_000_000_000, places=2)
RATES = st.sampled_from(gst.RATES)
LINES = st.lists(st.tuples(QUANTITIES, PRICES, RATES), min_size=1, max_size=20)


@given(LINES, st.booleans())
def test_what_is_printed_adds_up(lines: list[tuple[Decimal, Decimal, int]], intra: bool) -> None:
    amounts = [gst.line_amounts(*line, is_intra_state=intra) for line in lines]
    for (quantity, price, rate), line in zip(lines, amounts, strict=True):
        assert line.taxable + line.cgst + line.sgst + line.igst == line.total
        assert abs(line.taxable - quantity * price) <= Decimal("0.005")
        assert line.cgst == line.sgst
        assert (line.igst == 0) if intra else (line.cgst == 0)
        tax = line.total - line.taxable
        assert abs(tax - line.taxable * rate / 100) <= Decimal("0.01")
        assert all(amount == amount.quantize(gst.PAISA, ROUND_HALF_UP) for amount in line)
    total = gst.sum_amounts(amounts)
    assert total.taxable + total.cgst + total.sgst + total.igst == total.total == sum(line.total for line in amounts)


@pytest.mark.parametrize(
    ("quantity", "price", "rate", "intra", "expected"),
    [
        ("1", "100.00", 18, True, ("100.00", "9.00", "9.00", "0.00", "118.00")),
        ("1", "100.00", 18, False, ("100.00", "0.00", "0.00", "18.00", "118.00")),
        ("0.5", "0.01", 0, True, ("0.01", "0.00", "0.00", "0.00", "0.01")),  # half a paisa rounds up
        ("1", "0.10", 5, True, ("0.10", "0.00", "0.00", "0.00", "0.10")),  # a quarter of a paisa each
        ("1", "0.10", 5, False, ("0.10", "0.00", "0.00", "0.01", "0.11")),  # half a paisa
        ("3", "33.33", 12, True, ("99.99", "6.00", "6.00", "0.00", "111.99")),
    ],
)
def test_known_amounts(quantity: str, price: str, rate: int, intra: bool, expected: tuple[str, ...]) -> None:
    amounts = gst.line_amounts(Decimal(quantity), Decimal(price), rate, is_intra_state=intra)
    assert tuple(map(str, amounts)) == expected


@given(st.sampled_from(sorted(states.INVOICE)), st.sampled_from(["draft", "sent", "partially_paid", "paid", "void"]))
def test_the_table_of_states_has_no_back_door(action: str, state: str) -> None:
    legal = {
        ("send", "draft"): "sent", ("pay", "sent"): "paid", ("pay", "partially_paid"): "paid", ("void", "sent"): "void",
    }  # fmt: skip
    if (action, state) in legal:
        assert states.after(states.INVOICE, action, state, "an invoice") == legal[action, state]
    else:
        with pytest.raises(Problem) as raised:
            states.after(states.INVOICE, action, state, "an invoice")
        assert raised.value.status == 409


LINE = {"description": "Racks", "hsn": "9403", "quantity": "2", "unit_price": "10.5", "gst_rate": 18}
INVOICE: dict[str, Any] = {"customer_name": "Asha Rao", "lines": [LINE, LINE | {"gst_rate": 5, "quantity": 0.125}]}


async def make(finance: Client, **changes: Any) -> dict[str, Any]:
    """A draft."""
    reply = await finance.post("/finance/invoices", json=INVOICE | changes)
    assert reply.status == 201, await reply.text()
    record: dict[str, Any] = await reply.json()
    return record


async def test_an_invoice_in_the_home_state(finance: Client) -> None:
    invoice = await make(finance)
    assert (invoice["status"], invoice["currency"], invoice["place_of_supply"]) == ("draft", "INR", "29")
    first, second = invoice["lines"]
    assert first == LINE | {
        "item_id": None, "quantity": "2.000", "unit_price": "10.50",
        "taxable": "21.00", "cgst": "1.89", "sgst": "1.89", "igst": "0.00", "total": "24.78",
    }  # fmt: skip
    assert (second["quantity"], second["taxable"], second["cgst"], second["total"]) == ("0.125", "1.31", "0.03", "1.37")
    assert (invoice["taxable"], invoice["cgst"], invoice["igst"], invoice["total"]) == (
        "22.31",
        "1.92",
        "0.00",
        "26.15",
    )
    assert not invoice.keys() & {"tenant_id", "idempotency_key", "idempotency_hash"}


async def test_the_place_of_supply_decides_the_tax(finance: Client) -> None:
    assert (await finance.get("/finance/profile")).status == 404
    profile = {"legal_name": "Acme Private Limited", "home_state": "27"}
    for _ in range(2):
        assert await (await finance.put("/finance/profile", json=profile)).json() == profile
    assert await (await finance.get("/finance/profile")).json() == profile
    home, away = await make(finance), await make(finance, place_of_supply="29")
    assert (home["place_of_supply"], home["igst"]) == ("27", "0.00")
    assert (away["cgst"], away["sgst"], away["igst"]) == ("0.00", "0.00", "3.85")
    moved = await finance.patch(f"/finance/invoices/{away['id']}", json={"place_of_supply": "27"})
    assert (await moved.json())["total"] == home["total"]


async def test_new_lines_replace_the_old(finance: Client) -> None:
    invoice = await make(finance)
    where = f"/finance/invoices/{invoice['id']}"
    for lines in ([LINE], [LINE | {"description": "Other"}] * 3):
        patched = await (await finance.patch(where, json={"lines": lines})).json()
        assert [line["description"] for line in patched["lines"]] == [line["description"] for line in lines]
        assert patched["total"] == str(Decimal("24.78") * len(lines))
        assert patched == await (await finance.get(where)).json()
    renamed = await (await finance.patch(where, json={"lines": [LINE | {"description": "New"}] * 3})).json()
    assert (renamed["total"], renamed["version"]) == (patched["total"], patched["version"] + 1)


async def test_draft_sent_paid_and_no_other_way(finance: Client) -> None:
    invoice = await make(finance)
    where = f"/finance/invoices/{invoice['id']}"
    early = await finance.post(f"{where}/pay")
    assert (early.status, (await early.json())["code"]) == (409, "illegal_transition")
    sent = await finance.post(f"{where}/send", headers={"If-Match": f'"{invoice["id"].replace("-", "")}-1"'})
    assert (sent.status, (await sent.json())["status"]) == (200, "sent")
    assert (await sent.json())["sent_at"] is not None
    assert (await finance.post(f"{where}/send")).status == 409
    for reply in (await finance.patch(where, json={"lines": [LINE]}), await finance.delete(where)):
        assert (reply.status, (await reply.json())["code"]) == (409, "not_draft")
    paid = await (await finance.post(f"{where}/pay")).json()
    assert (paid["status"], paid["total"], paid["lines"]) == ("paid", invoice["total"], invoice["lines"])
    assert (await finance.delete(where)).status == 409
    listed = await (await finance.get("/finance/invoices?status=paid")).json()
    assert listed["items"] == [paid]


async def test_a_stranger_cannot_act(finance: Client, other: str) -> None:
    invoice = await make(finance)
    for action in ("send", "pay"):
        reply = await finance.post(f"/finance/invoices/{invoice['id']}/{action}", headers={"X-Tenant-Id": other})
        assert reply.status == 404


async def test_sending_at_once_sends_once(finance: Client) -> None:
    where = f"/finance/invoices/{(await make(finance))['id']}/send"
    replies = await asyncio.gather(*(finance.post(where) for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lines": []}, "lines"),
        ({"lines": [LINE | {"gst_rate": 17}]}, "lines.0.gst_rate"),
        ({"lines": [LINE, LINE | {"quantity": 0}]}, "lines.1.quantity"),
        ({"lines": [LINE | {"quantity": "1.0001"}]}, "lines.0.quantity"),
        ({"lines": [LINE | {"unit_price": "1.001"}]}, "lines.0.unit_price"),
        ({"lines": [LINE | {"unit_price": "NaN"}]}, "lines.0.unit_price"),
        ({"lines": [LINE | {"unit_price": "1e99"}]}, "lines.0.unit_price"),
        ({"lines": [LINE | {"hsn": "12"}]}, "lines.0.hsn"),
        ({"lines": [LINE | {"colour": "red"}]}, "lines.0.colour"),
        ({"place_of_supply": "00"}, "place_of_supply"),
        ({"place_of_supply": "٢٩"}, "place_of_supply"),
        ({"currency": "rupee"}, "currency"),
        ({"customer_email": "nobody"}, "customer_email"),
        ({"customer_name": " "}, "customer_name"),
        ({"issue_date": "2025-02-30"}, "issue_date"),
        ({"issue_date": "2025-02-10", "due_date": "2025-02-09"}, "due_date"),
        ({"status": "paid"}, "status"),
        ({"total": "1.00"}, "total"),
    ],
)
async def test_bad_input_is_named(finance: Client, change: dict[str, Any], field: str) -> None:
    reply = await finance.post("/finance/invoices", json=INVOICE | change)
    assert reply.status == 422
    problem = await reply.json()
    assert field in [error["field"] for error in problem["errors"]]
    assert (problem["status"], problem["title"], problem["code"]) == (422, "Unprocessable Entity", "invalid")


async def test_all_faults_at_once(finance: Client) -> None:
    reply = await finance.post("/finance/invoices", json={"customer_name": "", "lines": [{"quantity": 0}]})
    fields = {error["field"] for error in (await reply.json())["errors"]}
    assert fields >= {"customer_name", "lines.0.quantity", "lines.0.description", "lines.0.gst_rate"}


async def test_the_largest_invoice_fits(finance: Client) -> None:
    line = LINE | {"quantity": "1000000", "unit_price": "1000000000.00", "gst_rate": 28}
    invoice = await make(finance, lines=[line] * 200)
    assert invoice["total"] == "256000000000000000.00"


async def test_a_key_makes_one_invoice(finance: Client, other: str) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = await finance.post("/finance/invoices", json=INVOICE, headers=key)
    again = await finance.post("/finance/invoices", json=INVOICE, headers=key)
    assert (first.status, again.status) == (201, 200)
    assert await first.json() == await again.json()
    changed = await finance.post("/finance/invoices", json=INVOICE | {"customer_name": "B"}, headers=key)
    assert (changed.status, (await changed.json())["code"]) == (422, "idempotency_key_reused")
    theirs = await finance.post("/finance/invoices", json=INVOICE, headers=key | {"X-Tenant-Id": other})
    assert theirs.status == 201
    for bad in ("", "a b", "x" * 256):
        reply = await finance.post("/finance/invoices", json=INVOICE, headers={"Idempotency-Key": bad})
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_a_key_sent_many_times_at_once_makes_one_invoice(finance: Client) -> None:
    key = {"Idempotency-Key": "order-1"}
    posts = (finance.post("/finance/invoices", json=INVOICE, headers=key) for _ in range(8))
    replies = await asyncio.gather(*posts)
    assert sorted(reply.status for reply in replies) == [200] * 7 + [201]
    assert len({(await reply.json())["id"] for reply in replies}) == 1
    assert len((await (await finance.get("/finance/invoices")).json())["items"]) == 1
