"""What Marketing answers under /marketing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.app import Service
from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.resource import Resource
from upstream_services.marketing.models import Base, Campaign

# What a campaign may become from each state; from None, when it is made.
NEXT = {
    None: {"draft", "scheduled"},
    "draft": {"scheduled", "running"},
    "scheduled": {"draft", "running"},
    "running": {"done"},
    "done": set(),
}


async def campaign_rules(_session: AsyncSession, campaign: Campaign, values: Mapping[str, Any]) -> None:
    """States follow `NEXT`; a schedule names a time to come."""
    before = (inspect(campaign).attrs.status.history.deleted or (None,))[0]
    if inspect(campaign).attrs.status.history.added and campaign.status not in NEXT[before]:
        if before is None:
            raise invalid("status", "a new campaign is draft or scheduled")
        raise conflict(f"a {before} campaign cannot become {campaign.status}", "illegal_transition")
    if campaign.status == "scheduled" and values.keys() & {"status", "scheduled_at"}:
        if campaign.scheduled_at is None:
            raise invalid("scheduled_at", "a scheduled campaign needs it")
        if campaign.scheduled_at <= datetime.now(UTC):
            raise invalid("scheduled_at", "must be in the future")


campaigns = Resource(
    name="campaigns",
    table=Campaign,
    filters=("status", "channel"),
    rules=campaign_rules,
)

SERVICE = Service(name="marketing", port=8104, metadata=Base.metadata, resources=(campaigns,))
