"""The states of each document, as tables: an action, the states it needs and the state it leads to."""

from collections.abc import Mapping
from typing import Any

from upstream_services.kit.errors import conflict

DRAFT = "draft"

# "settle" is not asked for: a payment or a credit note leads there by what it leaves of the balance.
INVOICE = {
    "send": (("draft",), "sent"),
    "pay": (("sent", "partially_paid"), "paid"),
    "void": (("sent",), "void"),
}
BILL = {
    "approve": (("draft",), "approved"),
    "pay": (("approved", "partially_paid"), "paid"),
    "void": (("approved",), "void"),
}
CREDIT_NOTE = {"issue": (("draft",), "issued")}
PAYMENT = {"post": (("draft",), "posted"), "void": (("posted",), "void")}
EXPENSE = {"approve": (("draft",), "approved"), "void": (("approved",), "void")}
PURCHASE_ORDER = {
    "send": (("draft",), "sent"),
    "bill": (("sent",), "billed"),
    "cancel": (("draft", "sent"), "cancelled"),
}
RECURRING = {
    "pause": (("active",), "paused"),
    "resume": (("paused",), "active"),
    "end": (("active", "paused"), "ended"),
}
RETURN = {"compute": (("draft", "computed"), "computed"), "file": (("computed",), "filed")}

# The state of something owed, by what has been paid of it: of nothing, of a part, of all.
OWED = {"invoice": ("sent", "partially_paid", "paid"), "bill": ("approved", "partially_paid", "paid")}

Table = Mapping[str, tuple[tuple[str, ...], str]]


def after(table: Table, action: str, state: str, what: str) -> Any:
    """The state after an action. Raises a 409 problem where the action is illegal in `state`."""
    needed, result = table[action]
    if state not in needed:
        raise conflict(
            f"cannot {action} {what} that is {state}: it must be {' or '.join(needed)}", "illegal_transition"
        )
    return result


def settled(kind: str, document: Any) -> Any:
    """The state of an invoice or a bill by its balance."""
    nothing, part, everything = OWED[kind]
    if document.balance == 0:
        return everything
    return part if document.balance < document.total else nothing


def require_draft(state: str | None, what: str = "the invoice") -> None:
    """Raises a 409 problem unless the document may still be changed."""
    if state not in (None, DRAFT):
        raise conflict(f"{what} is {state}; only a draft may be changed or deleted", "not_draft")
