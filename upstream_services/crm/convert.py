"""`POST /crm/deals/{id}/convert`: a draft invoice in finance, exactly one for a deal.

Three steps, and no transaction is open while finance is asked: write down what will be asked; ask, with an idempotency
key of the deal; write down the invoice. Wherever it breaks off, and however many ask at once, doing it again ends with
the same invoice: finance makes one for a key, and the first step makes every try ask for the same thing.
"""

import uuid
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from pydantic import BaseModel, ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.crm.models import Contact, Deal
from upstream_services.crm.resources import deals
from upstream_services.kit.conditional import require_match
from upstream_services.kit.errors import Problem, conflict
from upstream_services.kit.keys import HTTP_CLIENT, SETTINGS
from upstream_services.kit.model import utc_now
from upstream_services.kit.operations import operation
from upstream_services.kit.requests import load, path_id, row_reply, transaction
from upstream_services.kit.tenancy import TENANT_HEADER, tenant_of

TIMEOUT = ClientTimeout(total=5, connect=1)
GST_RATE = 18  # percent, the rate of most services; the invoice is a draft and can be corrected
PASSED_ON = ("X-Request-Id", "traceparent", "tracestate")


class Made(BaseModel):
    """What matters here of finance's answer."""

    id: uuid.UUID


async def finance_client(app: web.Application) -> AsyncIterator[None]:
    """The connections to finance, for the life of the application."""
    async with ClientSession(app[SETTINGS].extra["finance_url"], timeout=TIMEOUT) as session:
        app[HTTP_CLIENT] = session
        yield


def invoice_of(deal: Deal, contact: Contact) -> dict[str, Any]:
    """The invoice that finance is asked for."""
    line = {"description": deal.title, "quantity": "1", "unit_price": str(deal.value), "gst_rate": GST_RATE}
    return {
        "customer_name": contact.name,
        "customer_email": contact.email,
        "deal_id": str(deal.id),
        "issue_date": utc_now().date().isoformat(),
        "currency": deal.currency,
        "lines": [line],
    }


async def begin(session: AsyncSession, deal: Deal) -> dict[str, Any]:
    """Writes down what will be asked, once, and returns it. Raises a 409 problem for a lost deal."""
    if deal.conversion is None:
        if deal.stage == "lost":
            raise conflict("a lost deal has nothing to invoice", "illegal_transition")
        contact = (await session.scalars(select(Contact).where(Contact.id == deal.contact_id))).one()
        deal.conversion = invoice_of(deal, contact)
    return deal.conversion


async def ask_finance(request: web.Request, deal_id: uuid.UUID, invoice: dict[str, Any]) -> uuid.UUID:
    """The id of the deal's invoice. Raises a 502 problem where finance does not give one."""
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    headers |= {TENANT_HEADER: tenant_of(request), "Idempotency-Key": f"crm-deal-{deal_id}"}
    try:
        async with request.app[HTTP_CLIENT].post("/finance/invoices", json=invoice, headers=headers) as reply:
            if reply.status not in (200, 201):
                raise Problem(502, "finance_refused", f"finance answered {reply.status}")
            return Made.model_validate_json(await reply.read()).id
    except ValidationError:
        raise Problem(502, "finance_refused", "finance gave no invoice") from None
    except (ClientError, TimeoutError):
        raise Problem(502, "finance_unavailable", "finance does not answer") from None


@operation("POST", "deals/{id}/convert", reply=deals.shape)
async def convert(request: web.Request) -> web.Response:
    """Make a draft invoice in finance of a deal.

    Answers with the deal, won and with its `invoice_id`; the same again however often it is called.
    """
    deal_id = path_id(request, deals.noun)
    async with transaction(request) as session:
        deal = await load(session, deals, deal_id, lock=True)
        require_match(request, deal)
        invoice = await begin(session, deal)
    if deal.invoice_id is None:
        invoice_id = await ask_finance(request, deal_id, invoice)
        async with transaction(request) as session:
            deal = await load(session, deals, deal_id, lock=True)
            if deal.invoice_id is None:
                deal.invoice_id, deal.stage, deal.updated_at = invoice_id, "won", utc_now()
    return row_reply(deals, deal)
