"""The resources of CRM: their input and their rules."""

import uuid
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.crm.models import Contact, Deal
from upstream_services.kit.errors import conflict
from upstream_services.kit.resource import Resource, require_reference
from upstream_services.kit.validation import Body, Currency, Email, Money, Name, Phone, Text


class ContactCreate(Body):
    """A contact, such as {"name": "Asha Rao", "email": "asha@example.com", "status": "lead"}."""

    name: Name
    email: Email | None = None
    phone: Phone | None = None
    status: Literal["lead", "active", "inactive"] = "lead"
    company: Name | None = None


class DealCreate(Body):
    """A deal with an existing contact; `value` without tax."""

    contact_id: uuid.UUID
    title: Name
    description: Text | None = None
    stage: Literal["new", "qualified", "proposal", "negotiation", "won", "lost"] = "new"
    value: Money = Decimal("0.00")
    currency: Currency = "INR"
    expected_close: date | None = None


async def deal_rules(session: AsyncSession, deal: Deal, values: Mapping[str, Any]) -> None:
    """The contact exists in the same tenant."""
    if "contact_id" in values:
        await require_reference(session, Contact, deal.contact_id, "contact_id")


def may_delete_deal(deal: Deal) -> None:
    """A deal that has, or may have, an invoice stays: it is where the invoice came from."""
    if deal.conversion is not None:
        raise conflict("the deal was converted into an invoice", "converted")


contacts = Resource(name="contacts", table=Contact, create=ContactCreate, filters=("status", "email", "company"))

deals = Resource(
    name="deals",
    table=Deal,
    create=DealCreate,
    filters=("stage", "contact_id", "currency"),
    parents={"contacts": "contact_id"},
    rules=deal_rules,
    may_delete=may_delete_deal,
)
