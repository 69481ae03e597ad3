"""The arithmetic of GST returns, on plain values: how documents fall into tables, and how credit is set off."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from upstream_services.finance.gst import ZERO

TAXES = ("cgst", "sgst", "igst")
AMOUNTS = ("taxable", *TAXES)
# From when on, and above what total, an inter-state invoice to somebody without a GSTIN is told by itself (B2CL).
LARGE = ((date(2024, 8, 1), Decimal(100_000)), (date(2017, 7, 1), Decimal(250_000)))
# Which input credit pays which tax, in order (CGST Act 2017, sections 49 and 49A, rule 88A).
SET_OFF = (
    ("igst", "igst"), ("igst", "cgst"), ("igst", "sgst"),
    ("cgst", "cgst"), ("cgst", "igst"), ("sgst", "sgst"), ("sgst", "igst"),
)  # fmt: skip


class Supply(NamedTuple):
    """A line of an invoice or, with `sign` -1, of a credit note."""

    number: str
    day: date
    gstin: str | None
    place: str
    is_intra: bool
    total: Decimal  # of the document
    rate: int
    hsn: str | None
    quantity: Decimal
    taxable: Decimal
    cgst: Decimal
    sgst: Decimal
    igst: Decimal
    sign: int = 1
    of_total: Decimal | None = None  # of the invoice that a credit note is of, and its day
    of_day: date | None = None


def is_large(day: date, total: Decimal) -> bool:
    """Whether an inter-state invoice to somebody without a GSTIN is one of B2CL."""
    return next((total > limit for since, limit in LARGE if day >= since), False)


def table_of(supply: Supply) -> str:
    """The table of GSTR-1 that a line is told in."""
    if supply.gstin is not None:
        return "b2b" if supply.sign > 0 else "cdnr"
    day, total = supply.of_day or supply.day, supply.of_total or supply.total
    if not supply.is_intra and is_large(day, total):
        return "b2cl" if supply.sign > 0 else "cdnur"
    return "b2cs"


def _add(groups: dict[Any, dict[str, Decimal]], key: Any, supply: Any, sign: int, names: Iterable[str]) -> None:
    sums = groups.setdefault(key, dict.fromkeys(names, ZERO))
    for name in sums:
        sums[name] += sign * getattr(supply, name)


def gstr1(supplies: Iterable[Supply], issued: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    """The tables of GSTR-1; credit notes of B2CS are netted there. `issued` is what numbers were given out."""
    one_by_one: dict[Any, dict[str, Decimal]] = {}
    together: dict[Any, dict[str, Decimal]] = {}
    by_hsn: dict[Any, dict[str, Decimal]] = {}
    totals = dict.fromkeys(AMOUNTS, ZERO)
    for one in supplies:
        table = table_of(one)
        if table == "b2cs":
            _add(together, (one.place, one.rate, one.is_intra), one, one.sign, AMOUNTS)
        else:
            key = (table, one.number, one.day, one.gstin or "", one.place, one.total, one.rate)
            _add(one_by_one, key, one, 1, AMOUNTS)
        _add(by_hsn, (one.hsn or "", one.rate), one, one.sign, ("quantity", *AMOUNTS))
        for name in AMOUNTS:
            totals[name] += one.sign * getattr(one, name)
    found: dict[str, Any] = {name: [] for name in ("b2b", "b2cl", "cdnr", "cdnur")}
    for (table, number, day, gstin, place, total, rate), sums in sorted(one_by_one.items()):
        told = {"number": number, "date": day, "gstin": gstin or None, "place_of_supply": place, "value": total}
        found[table].append({**told, "rate": rate, **sums})
    found["b2cs"] = [
        {"place_of_supply": p, "rate": r, "is_intra_state": i, **s} for (p, r, i), s in sorted(together.items())
    ]
    found["hsn"] = [{"hsn": hsn or None, "rate": rate, **sums} for (hsn, rate), sums in sorted(by_hsn.items())]
    return found | {"documents": list(issued), "totals": totals}


def set_off(output: dict[str, Decimal], credit: dict[str, Decimal]) -> tuple[list[dict[str, Any]], dict[str, Decimal]]:
    """What credit pays which tax, and what is then to be paid in cash. Tax that is negative is carried, not paid."""
    due = {tax: max(output[tax], ZERO) for tax in TAXES}
    left, used = {tax: max(credit[tax], ZERO) for tax in TAXES}, []
    for source, target in SET_OFF:
        amount = min(left[source], due[target])
        if amount > 0:
            used.append({"credit": source, "tax": target, "amount": amount})
            left[source] -= amount
            due[target] -= amount
    return used, due


def gstr3b(supplies: Iterable[Supply], credit: dict[str, Decimal]) -> dict[str, Any]:
    """The tables of GSTR-3B: 3.1 outward supplies, 3.2 those to other states without GSTIN, 4 credit, 6 payment."""
    taxed, exempt = dict.fromkeys(AMOUNTS, ZERO), ZERO
    away: dict[Any, dict[str, Decimal]] = {}
    for one in supplies:
        if one.rate == 0:
            exempt += one.sign * one.taxable
            continue
        for name in AMOUNTS:
            taxed[name] += one.sign * getattr(one, name)
        if one.gstin is None and not one.is_intra:
            _add(away, one.place, one, one.sign, ("taxable", "igst"))
    used, cash = set_off({tax: taxed[tax] for tax in TAXES}, credit)
    return {
        "outward_taxable": taxed,
        "outward_nil_rated": exempt,
        "inter_state_unregistered": [{"place_of_supply": place, **sums} for place, sums in sorted(away.items())],
        "input_credit": {tax: credit[tax] for tax in TAXES},
        "credit_used": used,
        "cash": cash,
    }
