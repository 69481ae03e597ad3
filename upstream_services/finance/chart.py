"""The accounts that the service posts to by itself, and how each comes to be: when it is first needed."""

import uuid
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance.ledger_models import Account
from upstream_services.kit.model import LIVE, utc_now


class Known(NamedTuple):
    """An account of the chart."""

    code: str
    name: str
    type: str


CHART = {
    "cash": Known("1000", "Cash", "asset"),
    "bank": Known("1010", "Bank", "asset"),
    "receivable": Known("1100", "Accounts receivable", "asset"),
    "input_cgst": Known("1200", "Input CGST", "asset"),
    "input_sgst": Known("1201", "Input SGST", "asset"),
    "input_igst": Known("1202", "Input IGST", "asset"),
    "payable": Known("2000", "Accounts payable", "liability"),
    "output_cgst": Known("2100", "Output CGST", "liability"),
    "output_sgst": Known("2101", "Output SGST", "liability"),
    "output_igst": Known("2102", "Output IGST", "liability"),
    "gst_payable": Known("2110", "GST payable", "liability"),
    "sales": Known("4000", "Sales", "income"),
    "purchases": Known("5000", "Purchases", "expense"),
    "expenses": Known("6000", "General expenses", "expense"),
}
RESERVED = {known.code: role for role, known in CHART.items()}


async def make_account(session: AsyncSession, code: str, name: str, kind: str, role: str | None = None) -> uuid.UUID:
    """Makes an account, or finds the one of that code, whichever transaction was first."""
    table, now = Account.__table__, utc_now()
    user = session.info.get("user")
    values = {
        "tenant_id": session.info["tenant"], "id": uuid.uuid4(), "code": code, "name": name, "type": kind,
        "role": role, "created_at": now, "updated_at": now, "created_by": user, "updated_by": user, "version": 1,
    }  # fmt: skip
    made = insert(table).values(values)
    made = made.on_conflict_do_nothing(index_elements=["tenant_id", "code"], index_where=LIVE)
    await (await session.connection()).execute(made)
    session.info["written"] = True
    return (await session.scalars(select(Account.id).where(Account.code == code))).one()


async def accounts_of(session: AsyncSession, roles: Iterable[str]) -> dict[str, uuid.UUID]:
    """The account of each role."""
    wanted = sorted(set(roles))
    rows = await session.execute(select(Account.role, Account.id).where(Account.role.in_(wanted)))
    found = {role: row_id for role, row_id in rows if role is not None}
    for role in wanted:
        if role not in found:
            found[role] = await make_account(session, *CHART[role], role=role)
    return found
