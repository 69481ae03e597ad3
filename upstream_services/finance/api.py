"""What Finance answers under /finance."""

from aiohttp import web
from sqlalchemy import select

from upstream_services.finance import payments, reports, transfers
from upstream_services.finance.banking import bank_accounts, bank_transactions
from upstream_services.finance.inputs import ProfileIn, ProfileOut
from upstream_services.finance.ledger import accounts, journal_entries
from upstream_services.finance.mailing import pdf_of_invoice, send_invoice
from upstream_services.finance.models import Base, Profile
from upstream_services.finance.purchases import bills, expenses, purchase_orders
from upstream_services.finance.recurring import make_due, recurring_invoices
from upstream_services.finance.returns import gst_returns
from upstream_services.finance.sales import credit_notes, customers, invoices, items, tax_rates, vendors
from upstream_services.kit.app import Service
from upstream_services.kit.errors import not_found
from upstream_services.kit.operations import operation
from upstream_services.kit.requests import transaction
from upstream_services.kit.views import json_reply, plain_view


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
    resources=(
        *(invoices, credit_notes, recurring_invoices, customers, vendors, items, tax_rates),
        *(bills, expenses, purchase_orders, payments.payments),
        *(accounts, journal_entries, bank_accounts, bank_transactions, gst_returns),
    ),
    operations=(
        *(get_profile, put_profile, pdf_of_invoice),
        *(reports.trial_balance, reports.profit_and_loss, reports.balance_sheet),
        *(reports.aged_receivables, reports.aged_payables, reports.dashboard_stats),
        *transfers.OPERATIONS,
    ),
    jobs=(send_invoice, make_due, *transfers.JOBS),
)
