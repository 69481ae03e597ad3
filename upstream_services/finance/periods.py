"""Months whose return was filed: their documents are final.

A document that enters or leaves a month holds the month's lock together with others of its kind, a return that is filed
holds it alone, so what was counted is all there is.
"""

from datetime import date
from zlib import crc32

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance.purchase_models import GstReturn
from upstream_services.kit.errors import conflict


def month_of(day: date) -> str:
    """The month of a day, such as "2025-06"."""
    return f"{day:%Y-%m}"


async def lock_month(session: AsyncSession, month: str, *, alone: bool) -> None:
    """Holds the month of the tenant until the end of the transaction."""
    take = func.pg_advisory_xact_lock if alone else func.pg_advisory_xact_lock_shared
    key = crc32(f"gst/{session.info['tenant']}/{month}".encode())
    await (await session.connection()).execute(select(take(key)))


async def require_open(session: AsyncSession, day: date, kind: str) -> None:
    """Raises a 409 problem where the return of that kind, "gstr1" or "gstr3b", was filed for the month of the day."""
    month = month_of(day)
    await lock_month(session, month, alone=False)
    filed = select(GstReturn.id).where(GstReturn.type == kind, GstReturn.period == month, GstReturn.status == "filed")
    if await session.scalar(filed) is not None:
        raise conflict(f"{kind.upper()} of {month} was filed: what is dated there is final", "period_filed")
