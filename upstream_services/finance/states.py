"""The states of an invoice, as a table: an action, the state it needs and the state it leads to."""

from upstream_services.kit.errors import conflict

DRAFT = "draft"

TRANSITIONS = {
    "send": (DRAFT, "sent"),
    "pay": ("sent", "paid"),
}


def after(action: str, state: str) -> str:
    """The state after an action. Raises a 409 problem where the action is illegal in `state`."""
    needed, result = TRANSITIONS[action]
    if state != needed:
        raise conflict(f"cannot {action} an invoice that is {state}: it must be {needed}", "illegal_transition")
    return result


def require_draft(state: str) -> None:
    """Raises a 409 problem unless the invoice may still be changed."""
    if state != DRAFT:
        raise conflict(f"the invoice is {state}; only a draft may be changed or deleted", "not_draft")
