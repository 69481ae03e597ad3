"""`GET /crm/dashboard/stats`: how many contacts and deals a tenant has, by status and stage."""

from typing import Any

from aiohttp import web
from sqlalchemy import func, select

from upstream_services.crm.models import Contact, Deal
from upstream_services.kit.endpoints import transaction
from upstream_services.kit.views import json_reply

_CONTACTS = select(Contact.status, func.count().label("count"), func.max(Contact.updated_at).label("at")).group_by(
    Contact.status
)
_DEALS = select(
    Deal.stage, Deal.currency, func.count().label("count"), func.sum(Deal.value).label("value"),
    func.max(Deal.updated_at).label("at"),
).group_by(Deal.stage, Deal.currency)  # fmt: skip


async def statistics(request: web.Request) -> web.Response:
    """`{"contacts": [{status, count}], "deals": [{stage, currency, count, value}], "changed_at": time or null}`."""
    async with transaction(request) as session:
        contacts = (await session.execute(_CONTACTS)).mappings().all()
        deals = (await session.execute(_DEALS)).mappings().all()
    changed_at = max((row["at"] for row in (*contacts, *deals)), default=None)
    return json_reply({"contacts": _shown(contacts), "deals": _shown(deals), "changed_at": changed_at})


def _shown(rows: Any) -> list[dict[str, Any]]:
    shown = [{name: value for name, value in row.items() if name != "at"} for row in rows]
    return sorted(shown, key=lambda row: -row["count"])
