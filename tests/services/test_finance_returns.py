"""Hazard: a GST return tells another sum than the documents, credit is used twice, a filed month changes."""

from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from upstream_services.finance import figures
from upstream_services.finance.gst import line_amounts

from .conftest import Client
from .test_finance_books import LINE, ask, balances, get, post, sent_invoice

AMOUNT = st.decimals(0, 10_000_000, places=2)
TAXED = st.fixed_dictionaries(dict.fromkeys(figures.TAXES, AMOUNT))


@given(TAXED, TAXED)
def test_credit_is_used_once_and_in_its_order(output: dict[str, Decimal], credit: dict[str, Decimal]) -> None:
    used, cash = figures.set_off(output, credit)
    for tax in figures.TAXES:
        assert sum(one["amount"] for one in used if one["tax"] == tax) + cash[tax] == output[tax]
        assert sum(one["amount"] for one in used if one["credit"] == tax) <= credit[tax]
        assert cash[tax] >= 0
    pairs = {(one["credit"], one["tax"]) for one in used}
    assert not pairs & {("cgst", "sgst"), ("sgst", "cgst")}  # never one state's for the centre's, or the other way
    igst_left = credit["igst"] - sum(one["amount"] for one in used if one["credit"] == "igst")
    assert igst_left == 0 or not any(cash.values())


@st.composite
def supplies(draw: Any) -> figures.Supply:
    """A line of an invoice or a credit note."""
    intra, rate = draw(st.booleans()), draw(st.sampled_from([0, 5, 18, 40]))
    amounts = line_amounts(Decimal(1), draw(AMOUNT), rate, is_intra_state=intra)
    return figures.Supply(
        number=draw(st.sampled_from(["1", "2", "3"])), day=date(2025, 6, 1), place="29" if intra else "27",
        gstin=draw(st.sampled_from([None, "29ABCDE1234F1Z5"])), is_intra=intra, total=amounts.total, rate=rate,
        hsn=draw(st.sampled_from([None, "9403"])), quantity=Decimal(1), taxable=amounts.taxable, cgst=amounts.cgst,
        sgst=amounts.sgst, igst=amounts.igst, sign=draw(st.sampled_from([1, -1])),
    )  # fmt: skip


@given(st.lists(supplies(), max_size=20))
def test_every_line_is_told_once(lines: list[figures.Supply]) -> None:
    told = figures.gstr1(lines)
    for name in figures.AMOUNTS:
        whole = sum(one.sign * getattr(one, name) for one in lines)
        plus = sum(row[name] for table in ("b2b", "b2cl", "b2cs") for row in told[table])
        minus = sum(row[name] for table in ("cdnr", "cdnur") for row in told[table])
        assert told["totals"][name] == whole == plus - minus == sum(row[name] for row in told["hsn"])
    third = figures.gstr3b(lines, dict.fromkeys(figures.TAXES, Decimal(0)))
    taxable = sum((one.sign * one.taxable for one in lines), Decimal(0))
    assert third["outward_taxable"]["taxable"] + third["outward_nil_rated"] == taxable


async def a_return(finance: Client, kind: str) -> str:
    """The path of a return of June 2025."""
    made = await post(finance, "gst-returns", 201, type=kind, period="2025-06")
    return f"gst-returns/{made['id']}"


async def test_a_month_is_computed_filed_and_then_final(finance: Client) -> None:
    business = await post(finance, "customers", 201, name="Banyan", gstin="27ABCDE1234F1Z5")
    assert business["state"] == "27"
    away = await sent_invoice(finance, customer_id=business["id"], issue_date="2025-06-10")
    assert (away["place_of_supply"], away["igst"], away["cgst"]) == ("27", "18.00", "0.00")
    home = await sent_invoice(finance, "200.00", issue_date="2025-06-30", due_date="2025-06-30")
    await sent_invoice(finance, issue_date="2025-07-01", due_date="2025-07-01")
    note = await post(
        finance, "credit-notes", 201, invoice_id=home["id"], issue_date="2025-06-30",
        lines=[LINE | {"unit_price": "50.00"}],
    )  # fmt: skip
    await post(finance, f"credit-notes/{note['id']}/issue")

    first = await a_return(finance, "gstr1")
    assert (await post(finance, f"{first}/file", 409))["code"] == "illegal_transition"
    told = (await post(finance, f"{first}/compute"))["figures"]
    assert [(row["gstin"], row["igst"]) for row in told["b2b"]] == [("27ABCDE1234F1Z5", "18.00")]
    assert [(row["place_of_supply"], row["taxable"]) for row in told["b2cs"]] == [("29", "150.00")]
    assert told["totals"] == {"taxable": "250.00", "cgst": "13.50", "sgst": "13.50", "igst": "18.00"}
    assert [one["count"] for one in told["documents"]] == [2, 1]

    await sent_invoice(finance, issue_date="2025-06-15", due_date="2025-06-15")
    assert (await post(finance, f"{first}/file", 409))["code"] == "stale"
    await post(finance, f"{first}/compute")
    filed = await post(finance, f"{first}/file", arn="AA2706250000001")
    assert (filed["status"], filed["arn"]) == ("filed", "AA2706250000001")
    assert (await post(finance, f"invoices/{away['id']}/void", 409))["code"] == "period_filed"
    late = await post(finance, "invoices", 201, customer_name="A", issue_date="2025-06-20", lines=[LINE])
    assert (await post(finance, f"invoices/{late['id']}/send", 409))["code"] == "period_filed"
    assert (await ask(finance, "PATCH", first, 409, notes="x"))["code"] == "filed"
    await ask(finance, "DELETE", first, 409)


async def test_gstr3b_takes_credit_and_settles_the_tax(finance: Client) -> None:
    await sent_invoice(finance, "1000.00", issue_date="2025-06-10", due_date="2025-06-10")
    vendor = await post(finance, "vendors", 201, name="Steel", state="27")
    line = LINE | {"unit_price": "500.00"}
    bill = await post(
        finance, "bills", 201, vendor_id=vendor["id"], bill_number="S-1", issue_date="2025-06-12", lines=[line]
    )
    assert (bill["igst"], bill["total"]) == ("90.00", "590.00")
    await post(finance, f"bills/{bill['id']}/approve")
    third = await a_return(finance, "gstr3b")
    told = (await post(finance, f"{third}/compute"))["figures"]
    assert told["cash"] == {"cgst": "0.00", "sgst": "90.00", "igst": "0.00"}
    await post(finance, f"{third}/file")
    found = await balances(finance)
    assert {found[name] for name in ("Output CGST", "Output SGST", "Input IGST")} == {0}
    assert (found["GST payable"], found["Accounts payable"], found["Purchases"]) == (-90, -590, 500)
    profit = await get(finance, "reports/profit-and-loss?since=2025-06-01&until=2025-06-30")
    assert (profit["total_income"], profit["total_expenses"], profit["profit"]) == ("1000.00", "500.00", "500.00")
    assert (await finance.get("/finance/reports/profit-and-loss?since=2025-02-30")).status == 422
