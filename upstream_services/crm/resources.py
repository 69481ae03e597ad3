"""The resources of CRM about people, businesses and the work with them, and their rules."""

from collections.abc import Mapping
from typing import Any

from multidict import MultiDict
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.crm.models import Company, Contact, Deal, Lead, Pipeline, Stage
from upstream_services.crm.work_models import Activity, File, Note, Segment, Tag, Task, Ticket
from upstream_services.kit.errors import conflict, invalid, within
from upstream_services.kit.listing import read_wish
from upstream_services.kit.resource import Resource

SEGMENT_MAY_NOT = ("limit", "after", "fields", "deleted", "ids")  # what is of one request, not of a segment


def may_delete_deal(deal: Deal) -> None:
    """A deal that has, or may have, an invoice stays: it is where the invoice came from."""
    if deal.conversion is not None:
        raise conflict("the deal was converted into an invoice", "converted")


async def note_rules(_session: AsyncSession, note: Note, _values: Mapping[str, Any]) -> None:
    """A note is of something."""
    if not (note.contact_id or note.company_id or note.deal_id or note.lead_id):
        raise invalid("contact_id", "a note is of a contact, a company, a deal or a lead")


async def segment_rules(session: AsyncSession, segment: Segment, _values: Mapping[str, Any]) -> None:
    """The parameters are such as the list of contacts takes."""
    for name in SEGMENT_MAY_NOT:
        if name in segment.parameters:
            raise invalid(f"parameters.{name}", "is no part of a segment")
    with within("parameters"):
        read_wish(contacts, session.info["tenant"], MultiDict(segment.parameters))


contacts = Resource(
    name="contacts",
    table=Contact,
    filters=("status", "email", "company", "company_id", "owner_id"),
    sortable=("name",),
    nested_in=("company_id",),
)

companies = Resource(
    name="companies", table=Company, filters=("name", "industry", "gstin", "owner_id"), sortable=("name",)
)


async def lead_rules(_session: AsyncSession, lead: Lead, _values: Mapping[str, Any]) -> None:
    """A lead that was converted is history."""
    if lead.converted_at is not None:
        raise conflict("the lead was converted; change its contact or its deal", "converted")


leads = Resource(
    name="leads",
    table=Lead,
    filters=("status", "source", "email", "owner_id", "value"),
    rules=lead_rules,
)

pipelines = Resource(name="pipelines", table=Pipeline, filters=("name",))

stages = Resource(
    name="stages", table=Stage, filters=("pipeline_id",), sortable=("position",), nested_in=("pipeline_id",)
)

deals = Resource(
    name="deals",
    table=Deal,
    filters=("stage", "stage_id", "contact_id", "company_id", "owner_id", "currency", "value", "expected_close"),
    sortable=("value", "expected_close"),
    nested_in=("contact_id", "company_id", "stage_id"),
    may_delete=may_delete_deal,
)

tasks = Resource(
    name="tasks",
    table=Task,
    filters=("status", "priority", "owner_id", "contact_id", "deal_id", "due_at"),
    sortable=("due_at",),
    nested_in=("contact_id", "deal_id"),
)

activities = Resource(
    name="activities",
    table=Activity,
    filters=("type", "owner_id", "contact_id", "company_id", "deal_id", "happened_at"),
    sortable=("happened_at",),
    nested_in=("contact_id", "company_id", "deal_id"),
)

notes = Resource(
    name="notes",
    table=Note,
    filters=("contact_id", "company_id", "deal_id", "lead_id", "is_pinned"),
    nested_in=("contact_id", "company_id", "deal_id", "lead_id"),
    rules=note_rules,
)

tags = Resource(name="tags", table=Tag, filters=("name",))

segments = Resource(name="segments", table=Segment, filters=("name",), rules=segment_rules)

tickets = Resource(
    name="tickets",
    table=Ticket,
    filters=("status", "priority", "owner_id", "contact_id", "company_id"),
    nested_in=("contact_id", "company_id"),
)

files = Resource(
    name="files",
    table=File,
    filters=("name", "media_type", "contact_id", "company_id", "deal_id", "ticket_id"),
    sortable=("name",),
    nested_in=("contact_id", "company_id", "deal_id", "ticket_id"),
)
