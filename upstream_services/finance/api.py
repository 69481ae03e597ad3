"""What Finance answers under /finance."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance import gst, states
from upstream_services.finance.inputs import InvoiceCreate, InvoiceExtra, ProfileIn, ProfileOut
from upstream_services.finance.models import Base, Invoice, InvoiceLine, Profile
from upstream_services.kit.app import Service
from upstream_services.kit.errors import invalid, not_found
from upstream_services.kit.model import utc_now
from upstream_services.kit.operations import operation
from upstream_services.kit.requests import transaction
from upstream_services.kit.resource import Resource
from upstream_services.kit.views import json_reply, plain_view

DEFAULT_HOME_STATE = "29"  # of a tenant that has not said where it is registered (PUT /finance/profile)

LINE_FIELDS = (
    "description", "hsn", "quantity", "unit_price", "gst_rate", "taxable", "cgst", "sgst", "igst", "total",
)  # fmt: skip


def invoice_view(invoice: Invoice) -> dict[str, Any]:
    """An invoice with its lines."""
    lines = [{name: getattr(line, name) for name in LINE_FIELDS} for line in invoice.lines]
    return plain_view(invoice) | {"lines": lines}


async def invoice_rules(session: AsyncSession, invoice: Invoice, values: Mapping[str, Any]) -> None:
    """Only drafts change; the dates are in order; lines and totals are computed anew."""
    invoice.status = invoice.status or states.DRAFT
    states.require_draft(invoice.status)
    if invoice.due_date is not None and invoice.due_date < invoice.issue_date:
        raise invalid("due_date", "must not be before issue_date")
    if invoice.home_state is None:
        profile = await session.scalar(select(Profile))
        invoice.home_state = profile.home_state if profile else DEFAULT_HOME_STATE
    invoice.place_of_supply = invoice.place_of_supply or invoice.home_state
    if "lines" in values:
        invoice.lines = [InvoiceLine(position=number, **line) for number, line in enumerate(values["lines"])]
    compute(invoice)


def compute(invoice: Invoice) -> None:
    """Sets the amounts of an invoice's lines and their sums."""
    is_intra_state = invoice.place_of_supply == invoice.home_state
    for line in invoice.lines:
        amounts = gst.line_amounts(line.quantity, line.unit_price, line.gst_rate, is_intra_state=is_intra_state)
        for name, amount in amounts._asdict().items():
            setattr(line, name, amount)
    for name, amount in gst.sum_amounts(invoice.lines)._asdict().items():
        setattr(invoice, name, amount)


invoices = Resource(
    name="invoices",
    table=Invoice,
    create=InvoiceCreate,
    filters=("status", "customer_email", "deal_id"),
    rules=invoice_rules,
    may_delete=lambda invoice: states.require_draft(invoice.status),
    view=invoice_view,
    extra=InvoiceExtra,
)


@invoices.action("send")
async def send(_session: AsyncSession, invoice: Invoice) -> None:
    """Make a draft final."""
    invoice.status, invoice.sent_at = states.after("send", invoice.status), utc_now()


@invoices.action("pay")
async def pay(_session: AsyncSession, invoice: Invoice) -> None:
    """Say that a sent invoice has been paid in full."""
    invoice.status, invoice.paid_at = states.after("pay", invoice.status), utc_now()


@operation("GET", "profile", reply=ProfileOut)
async def get_profile(request: web.Request) -> web.Response:
    """The tenant as a supplier; 404 until it is set."""
    async with transaction(request) as session:
        profile = await session.scalar(select(Profile))
    if profile is None:
        raise not_found("profile")
    return json_reply(plain_view(profile))


@operation("PUT", "profile", body=ProfileIn, reply=ProfileOut)
async def put_profile(request: web.Request, body: ProfileIn) -> web.Response:
    """Say where the tenant is registered.

    The home state decides between CGST with SGST and IGST on invoices made from now on.
    """
    async with transaction(request) as session:
        profile = await session.scalar(select(Profile).with_for_update())
        if profile is None:
            profile = Profile()
            session.add(profile)
        profile.legal_name, profile.home_state = body.legal_name, body.home_state
    return json_reply(plain_view(profile))


SERVICE = Service(
    name="finance",
    port=8102,
    metadata=Base.metadata,
    resources=(invoices,),
    operations=(get_profile, put_profile),
)
