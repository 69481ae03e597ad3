"""Hazard: the books do not balance, posted entries change, numbers have gaps, payments pay more than there is."""

import asyncio
import uuid
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from upstream_services.finance import numbering
from upstream_services.finance.ledger_models import JournalEntry, JournalLine
from upstream_services.finance.recurring import add_months, due_date_of
from upstream_services.kit.keys import DATABASE

from .conftest import Client

LINE = {"description": "Racks", "hsn": "9403", "quantity": "1", "unit_price": "100.00", "gst_rate": 18}


async def ask(finance: Client, method: str, path: str, expected: int, /, **body: Any) -> dict[str, Any]:
    """The reply to a request under /finance."""
    reply = await finance.request(method, f"/finance/{path}", json=body if method != "GET" else None)
    assert reply.status == expected, await reply.text()
    told: dict[str, Any] = await reply.json()
    return told


async def post(finance: Client, path: str, expected: int = 200, /, **body: Any) -> dict[str, Any]:
    """The reply to a POST."""
    return await ask(finance, "POST", path, expected, **body)


async def get(finance: Client, path: str) -> dict[str, Any]:
    """The reply to a GET."""
    return await ask(finance, "GET", path, 200)


async def sent_invoice(finance: Client, price: str = "100.00", **fields: Any) -> dict[str, Any]:
    """An invoice in the home state, at 18 percent."""
    body = {"customer_name": "Asha", "lines": [LINE | {"unit_price": price}], **fields}
    made = await post(finance, "invoices", 201, **body)
    return await post(finance, f"invoices/{made['id']}/send")


async def balances(finance: Client) -> dict[str, Decimal]:
    """Debits less credits by account; asserts that the sheets agree."""
    trial = await get(finance, "reports/trial-balance")
    assert trial["debit"] == trial["credit"]
    sheet = await get(finance, "reports/balance-sheet")
    assert Decimal(sheet["total_assets"]) == Decimal(sheet["total_liabilities"]) + Decimal(sheet["total_equity"])
    return {one["name"]: Decimal(one["debit"]) - Decimal(one["credit"]) for one in trial["accounts"]}


@given(st.dates(date(2000, 1, 1), date(2098, 12, 31)))
def test_a_financial_year_is_from_april_to_march(day: date) -> None:
    first = numbering.first_day(day)
    assert first <= day < date(first.year + 1, 4, 1)
    assert first == date(numbering.financial_year(day), 4, 1)
    assert len(numbering.written("INV", first.year, 999_999)) == 16  # all that rule 46(b) allows


@given(st.dates(date(2000, 1, 1), date(2090, 12, 31)), st.integers(0, 200))
def test_months_do_not_wander(day: date, months: int) -> None:
    later = add_months(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day == day.day or (later.day < day.day and add_months(later, 1).month != later.month)
    assert due_date_of(date(2025, 1, 31), "month", 1, 2) == date(2025, 3, 31)
    assert due_date_of(date(2025, 1, 31), "month", 1, 1) == date(2025, 2, 28)


async def test_numbers_have_no_gaps_however_many_are_sent_at_once(finance: Client) -> None:
    ids = [(await post(finance, "invoices", 201, customer_name="A", lines=[LINE]))["id"] for _ in range(12)]
    # Each is asked for twice: whoever loses must not take a number with it.
    replies = await asyncio.gather(*(finance.post(f"/finance/invoices/{one}/send") for one in ids * 2))
    assert sorted(reply.status for reply in replies) == [200] * 12 + [409] * 12
    rows = (await get(finance, "invoices"))["items"]
    year = numbering.financial_year(date.today())
    assert sorted(row["number"] for row in rows) == [numbering.written("INV", year, n) for n in range(1, 13)]
    entries = (await get(finance, "journal-entries"))["items"]
    assert sorted(row["number"] for row in entries) == [numbering.written("JE", year, n) for n in range(1, 13)]
    old = await sent_invoice(finance, issue_date="2024-03-31")
    new = await sent_invoice(finance, issue_date="2024-04-01")
    assert (old["number"], new["number"]) == ("INV/23-24/000001", "INV/24-25/000001")


async def test_an_invoice_goes_into_the_books_and_out_again(finance: Client) -> None:
    invoice = await sent_invoice(finance)
    assert await balances(finance) == {
        "Accounts receivable": 118, "Sales": -100, "Output CGST": -9, "Output SGST": -9,
    }  # fmt: skip
    voided = await post(finance, f"invoices/{invoice['id']}/void")
    assert (voided["status"], voided["number"]) == ("void", invoice["number"])
    assert set((await balances(finance)).values()) == {0}
    assert (await finance.post(f"/finance/invoices/{invoice['id']}/void")).status == 409
    assert (await finance.post(f"/finance/invoices/{invoice['id']}/pay")).status == 409


async def test_a_part_is_paid_then_the_rest(finance: Client) -> None:
    invoice = await sent_invoice(finance)
    where = f"invoices/{invoice['id']}"
    part = await post(finance, f"{where}/record-payment", amount="18.00")
    assert (part["status"], part["amount_paid"], part["balance"]) == ("partially_paid", "18.00", "100.00")
    told = await post(finance, f"{where}/record-payment", 422, amount="100.01")
    assert told["errors"][0]["field"] == "amount"
    whole = await post(finance, f"{where}/pay")
    assert (whole["status"], whole["balance"]) == ("paid", "0.00")
    found = await balances(finance)
    assert (found["Bank"], found["Accounts receivable"]) == (118, 0)
    assert (await get(finance, "dashboard/stats"))["received_last_30_days"] == "118.00"
    paid = (await get(finance, "payments"))["items"][0]
    await post(finance, f"payments/{paid['id']}/void")
    again = await get(finance, where)
    assert (again["status"], again["balance"]) == ("partially_paid", paid["amount"])


async def test_paying_at_once_pays_once(finance: Client) -> None:
    invoice = await sent_invoice(finance)
    replies = await asyncio.gather(*(finance.post(f"/finance/invoices/{invoice['id']}/pay") for _ in range(6)))
    assert sorted(reply.status for reply in replies) == [200] + [409] * 5
    assert (await balances(finance))["Bank"] == 118
    assert len((await get(finance, "payments"))["items"]) == 1


async def test_payments_that_share_invoices_never_pay_too_much(finance: Client) -> None:
    customer = await post(finance, "customers", 201, name="Asha", state="29")
    invoices = [await sent_invoice(finance, customer_id=customer["id"]) for _ in range(3)]
    ids = []
    for _ in range(4):
        made = await post(finance, "payments", 201, customer_id=customer["id"], amount="100.00")
        ids.append((await post(finance, f"payments/{made['id']}/post"))["id"])
    replies = await asyncio.gather(*(finance.post(f"/finance/payments/{one}/auto-allocate") for one in ids))
    assert [reply.status for reply in replies] == [200] * 4
    paid = [await get(finance, f"invoices/{one['id']}") for one in invoices]
    assert [one["status"] for one in paid] == ["paid"] * 3
    allocated = [await get(finance, f"payments/{one}") for one in ids]
    assert sum(Decimal(one["allocated"]) for one in allocated) == 354
    for one in allocated:
        assert sum(Decimal(part["amount"]) for part in one["allocations"]) == Decimal(one["allocated"]) <= 100
    aged = await get(finance, "reports/aged-receivables")
    assert (Decimal(aged["total"]), aged["unapplied"], aged["net"]) == (0, "46.00", "-46.00")
    assert Decimal(aged["net"]) == (await balances(finance))["Accounts receivable"] == -46
    some = next(one for one in allocated if one["allocations"])
    target = some["allocations"][0]["document_id"]
    freed = await post(finance, f"payments/{some['id']}/deallocate", document_id=target)
    assert target not in [part["document_id"] for part in freed["allocations"]]
    await post(finance, f"payments/{some['id']}/deallocate", 422, document_id=target)


async def test_credit_notes_take_back_no_more_than_was_invoiced(finance: Client) -> None:
    invoice = await sent_invoice(finance)
    await post(finance, f"invoices/{invoice['id']}/record-payment", amount="100.00")
    half = [LINE | {"unit_price": "50.00"}]
    note = await post(finance, "credit-notes", 201, invoice_id=invoice["id"], lines=half)
    issued = await post(finance, f"credit-notes/{note['id']}/issue")
    assert (issued["status"], issued["total"], issued["unapplied"]) == ("issued", "59.00", "41.00")
    assert (await get(finance, f"invoices/{invoice['id']}"))["status"] == "paid"
    aged = await get(finance, "reports/aged-receivables")
    assert Decimal(aged["net"]) == (await balances(finance))["Accounts receivable"] == -41
    more = await post(finance, "credit-notes", 201, invoice_id=invoice["id"], lines=[LINE])
    assert (await post(finance, f"credit-notes/{more['id']}/issue", 409))["code"] == "too_much"


async def test_entries_by_hand(finance: Client) -> None:
    rent = await post(finance, "accounts", 201, code="6100", name="Rent", type="expense")
    till = await post(finance, "accounts", 201, code="1900", name="Till", type="asset")
    lines = [{"account_id": rent["id"], "debit": "500.00"}, {"account_id": till["id"], "credit": "400.00"}]
    entry = await post(finance, "journal-entries", 201, description="Rent", lines=lines)
    where = f"journal-entries/{entry['id']}"
    assert (await post(finance, f"{where}/post", 409))["code"] == "unbalanced"
    lines[1]["credit"] = "500.00"
    await ask(finance, "PATCH", where, 200, lines=lines)
    posted = await post(finance, f"{where}/post")
    assert (posted["status"], posted["total"]) == ("posted", "500.00")
    assert (await balances(finance)) == {"Rent": 500, "Till": -500}
    for method, body in (("PATCH", {"description": "x"}), ("DELETE", {})):
        assert (await ask(finance, method, where, 409, **body))["code"] == "not_draft"
    assert (await ask(finance, "DELETE", f"accounts/{rent['id']}", 409))["code"] == "in_use"
    assert (await ask(finance, "PATCH", f"accounts/{rent['id']}", 409, type="income"))["code"] == "in_use"
    await post(finance, f"{where}/reverse")
    assert set((await balances(finance)).values()) == {0}
    await post(finance, f"{where}/reverse", 409)
    both = [{"account_id": rent["id"], "debit": "1.00", "credit": "1.00"}]
    told = await post(finance, "journal-entries", 422, description="x", lines=both)
    assert told["errors"][0]["field"] == "lines.0.debit"
    assert (await post(finance, "accounts", 422, code="1100", name="x", type="asset"))["errors"][0]["field"] == "code"


async def damage(finance: Client, tenant: str, entry_id: uuid.UUID, wrong: str) -> None:
    """Writes to the books past all rules of the service."""
    async with finance.app[DATABASE].transaction(tenant) as session:
        mine = JournalLine.entry_id == entry_id
        account_id = await session.scalar(select(JournalLine.account_id).where(mine).limit(1))
        match wrong:
            case "line":
                await session.execute(update(JournalLine).where(mine).values(description="x"))
            case "entry":
                await session.execute(
                    update(JournalEntry).where(JournalEntry.id == entry_id).values(date=date(2020, 1, 1))
                )
            case "delete":
                await session.execute(delete(JournalEntry).where(JournalEntry.id == entry_id))
            case "more":  # balanced in itself
                for position, (debit, credit) in enumerate(((1, 0), (0, 1)), 90):
                    session.add(
                        JournalLine(
                            entry_id=entry_id, position=position, account_id=account_id, debit=debit, credit=credit
                        )
                    )
            case "unbalanced":
                entry = JournalEntry(
                    id=uuid.uuid4(), date=date(2025, 6, 1), description="x", currency="INR", status="posted",
                    number="JE/X", total=Decimal(5),
                )  # fmt: skip
                entry.lines = [JournalLine(position=0, account_id=account_id, debit=Decimal(5), credit=Decimal(0))]
                session.add(entry)


@pytest.mark.parametrize("wrong", ["line", "entry", "delete", "more", "unbalanced"])
async def test_the_database_itself_holds_the_books(finance: Client, tenant: str, wrong: str) -> None:
    invoice = await sent_invoice(finance)
    entry_id = uuid.UUID(invoice["entry_id"])
    before = await balances(finance)
    with pytest.raises(IntegrityError):
        await damage(finance, tenant, entry_id, wrong)
    assert await balances(finance) == before
