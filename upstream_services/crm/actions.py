"""What is done with contacts, leads, deals, tasks and tickets beyond writing their fields."""

import uuid
from urllib.parse import urlsplit

from aiohttp import web
from multidict import MultiDict
from pydantic import BaseModel
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.crm.models import Company, Contact, Deal, Lead
from upstream_services.crm.resources import contacts, deals, leads, segments, tasks, tickets
from upstream_services.crm.work_models import Tag, Task, Ticket
from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.fields import Name, Text
from upstream_services.kit.lists import Lists
from upstream_services.kit.model import utc_now
from upstream_services.kit.operations import operation
from upstream_services.kit.references import all_referrers_of
from upstream_services.kit.requests import load, path_id, reading
from upstream_services.kit.resource import require_reference
from upstream_services.kit.validation import Body

# Whoever has an address there says nothing of the business they work for.
PUBLIC_MAIL = frozenset(
    ("gmail.com", "googlemail.com", "yahoo.com", "yahoo.co.in", "outlook.com", "hotmail.com", "live.com", "icloud.com",
     "rediffmail.com", "proton.me", "protonmail.com", "zoho.com", "zohomail.in")
)  # fmt: skip
MERGED_FIELDS = ("email", "phone", "company", "company_id", "job_title", "owner_id")


class MergeIn(Body):
    """The contact that goes into this one."""

    other_id: uuid.UUID


class TagIn(Body):
    """A tag."""

    tag_id: uuid.UUID


class LoseIn(Body):
    """Why."""

    reason: Name | None = None


class SolveIn(Body):
    """How."""

    solution: Text | None = None


class ConvertIn(Body):
    """What to call the deal; without a name none is made."""

    deal_title: Name | None = None


class ConvertedLead(BaseModel):
    """What came of a lead."""

    lead_id: uuid.UUID
    contact_id: uuid.UUID
    company_id: uuid.UUID | None
    deal_id: uuid.UUID | None


def host_of(website: str) -> str:
    """The host of a web address, without www."""
    return (urlsplit(website).hostname or "").removeprefix("www.")


@contacts.action("enrich")
async def enrich(session: AsyncSession, contact: Contact) -> None:
    """Fill in what is known: the company by the domain of the address, and its name."""
    domain = contact.email.rpartition("@")[2] if contact.email else ""
    if contact.company_id is None and domain and domain not in PUBLIC_MAIL:
        found = (await session.scalars(select(Company).where(Company.website.contains(domain, autoescape=True)))).all()
        company = next((one for one in found if host_of(one.website or "") == domain), None)
        if company is None:
            company = Company(id=uuid.uuid4(), name=contact.company or domain, website=f"https://{domain}")
            session.add(company)
            await session.flush()
        contact.company_id = company.id
    if contact.company is None and contact.company_id is not None:
        contact.company = await session.scalar(select(Company.name).where(Company.id == contact.company_id))


@contacts.action("merge", body=MergeIn)
async def merge(session: AsyncSession, contact: Contact, body: MergeIn) -> None:
    """Take in another contact: what refers to it refers to this one, empty fields are filled, and it is deleted."""
    if body.other_id == contact.id:
        raise invalid("other_id", "is the contact itself")
    other = await session.scalar(select(Contact).where(Contact.id == body.other_id).with_for_update())
    if other is None:
        raise invalid("other_id", "there is no such contact")
    for table, name in all_referrers_of(Contact):
        column = getattr(table, name)
        moved = {name: contact.id, "updated_at": utc_now(), "version": table.version + 1}
        await session.execute(update(table).where(column == other.id).values(moved))
    for name in MERGED_FIELDS:
        if getattr(contact, name) is None:
            setattr(contact, name, getattr(other, name))
    contact.tag_ids = list(dict.fromkeys([*contact.tag_ids, *other.tag_ids]))
    other.deleted_at = other.updated_at = utc_now()


@contacts.action("tag", body=TagIn)
async def tag_contact(session: AsyncSession, contact: Contact, body: TagIn) -> None:
    """Put a tag on a contact."""
    await require_reference(session, Tag, body.tag_id, "tag_id")
    contact.tag_ids = list(dict.fromkeys([*contact.tag_ids, body.tag_id]))


@contacts.action("untag", body=TagIn)
async def untag_contact(_session: AsyncSession, contact: Contact, body: TagIn) -> None:
    """Take a tag off a contact."""
    contact.tag_ids = [tag_id for tag_id in contact.tag_ids if tag_id != body.tag_id]


@leads.action("convert", body=ConvertIn, reply=ConvertedLead)
async def convert_lead(session: AsyncSession, lead: Lead, body: ConvertIn) -> ConvertedLead:
    """Make a contact, its company and a deal of a lead, all or none."""
    if lead.converted_at is not None:
        raise conflict("the lead was converted", "converted")
    company_id = None
    if lead.company is not None:
        company_id = await session.scalar(select(Company.id).where(Company.name == lead.company).limit(1))
        if company_id is None:
            company = Company(id=uuid.uuid4(), name=lead.company, owner_id=lead.owner_id)
            session.add(company)
            company_id = company.id
            await session.flush()
    contact = Contact(
        id=uuid.uuid4(), name=lead.name, email=lead.email, phone=lead.phone, status="active", company=lead.company,
        company_id=company_id, owner_id=lead.owner_id, tag_ids=[],
    )  # fmt: skip
    session.add(contact)
    await session.flush()
    if body.deal_title is not None:
        deal = Deal(
            id=uuid.uuid4(), contact_id=contact.id, company_id=company_id, title=body.deal_title, stage="qualified",
            value=lead.value, currency=lead.currency, owner_id=lead.owner_id,
        )  # fmt: skip
        session.add(deal)
        await session.flush()
        lead.deal_id = deal.id
    lead.contact_id, lead.status, lead.converted_at = contact.id, "qualified", utc_now()
    return ConvertedLead(lead_id=lead.id, contact_id=contact.id, company_id=company_id, deal_id=lead.deal_id)


@deals.action("win")
async def win(_session: AsyncSession, deal: Deal) -> None:
    """Win a deal."""
    if deal.stage == "lost":
        raise conflict("the deal was lost; put it into another stage first", "illegal_transition")
    if deal.stage != "won":
        deal.stage, deal.closed_at = "won", utc_now()


@deals.action("lose", body=LoseIn)
async def lose(_session: AsyncSession, deal: Deal, body: LoseIn) -> None:
    """Lose a deal, and say why."""
    if deal.conversion is not None:
        raise conflict("the deal was converted into an invoice", "converted")
    deal.stage, deal.lost_reason, deal.closed_at = "lost", body.reason, utc_now()


@tasks.action("complete")
async def complete(_session: AsyncSession, task: Task) -> None:
    """Say that a task is done."""
    if task.status != "done":
        task.status, task.completed_at = "done", utc_now()


@tasks.action("reopen")
async def reopen_task(_session: AsyncSession, task: Task) -> None:
    """Say that a task is not done after all."""
    task.status, task.completed_at = "open", None


@tickets.action("solve", body=SolveIn)
async def solve(_session: AsyncSession, ticket: Ticket, body: SolveIn) -> None:
    """Say that a ticket is solved, and how."""
    if ticket.status == "closed":
        raise conflict("the ticket is closed", "illegal_transition")
    ticket.status, ticket.solution, ticket.solved_at = "solved", body.solution, utc_now()


@tickets.action("reopen")
async def reopen_ticket(_session: AsyncSession, ticket: Ticket) -> None:
    """Open a ticket again."""
    if ticket.status == "open":
        raise conflict("the ticket is open", "illegal_transition")
    ticket.status, ticket.solved_at = "open", None


@tickets.action("close")
async def close_ticket(_session: AsyncSession, ticket: Ticket) -> None:
    """Close a ticket that was solved."""
    if ticket.status != "solved":
        raise conflict(f"cannot close a ticket that is {ticket.status}: it must be solved", "illegal_transition")
    ticket.status = "closed"


_contacts = Lists(contacts)


@operation("GET", "segments/{id}/contacts", reply=contacts.page_shape)
async def contacts_of_segment(request: web.Request) -> web.Response:
    """List the contacts of a segment."""
    async with reading(request) as session:
        segment = await load(session, segments, path_id(request, segments.noun))
        asked = MultiDict(segment.parameters)
        for name, value in request.query.items():
            if name not in ("limit", "after", "sort", "fields"):
                raise invalid(name, "is not a parameter of this list")
            asked[name] = value
        return await _contacts.show(session, request, asked)
