"""Tenant isolation, in one place: whatever a resource declares, its session sees and writes one tenant's rows only.

A `TenantSession` adds `tenant_id = <tenant>` to every SELECT, UPDATE and DELETE of a `Tenanted` table, also for eager
loads and aliases, stamps new rows with the tenant, and refuses any statement that it could not filter. A tenant
without a session or a session without a tenant cannot be made by mistake: both raise.
"""

import re
from typing import Any

from aiohttp import web
from sqlalchemy import String, event
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, mapped_column, with_loader_criteria

from upstream_services.kit.errors import Problem

TENANT_HEADER = "X-Tenant-Id"
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def tenant_of(request: web.BaseRequest) -> str:
    """The tenant that the gateway took from the verified token. Raises a 401 problem where there is none."""
    tenant = request.headers.get(TENANT_HEADER, "")
    if not _TENANT.fullmatch(tenant):
        raise Problem(401, "tenant_missing", f"the {TENANT_HEADER} header names no tenant")
    return tenant


class Tenanted:
    """A table whose rows belong to a tenant. The tenant leads the primary key, so no foreign key can cross tenants."""

    tenant_id: Mapped[str] = mapped_column(String(63), primary_key=True, sort_order=-10)


class TenantSession(Session):
    """A session of one tenant, named by `info["tenant"]`."""


@event.listens_for(TenantSession, "do_orm_execute")
def _filter_by_tenant(state: ORMExecuteState) -> None:
    if not state.is_orm_statement or state.is_insert:
        raise RuntimeError(
            "a tenant's session runs ORM statements only (and adds rows as objects): others are not filtered"
        )
    tenant = state.session.info["tenant"]
    state.statement = state.statement.options(
        with_loader_criteria(Tenanted, lambda cls: cls.tenant_id == tenant, include_aliases=True)
    )


@event.listens_for(TenantSession, "before_flush")
def _stamp_tenant(session: Session, _context: Any, _instances: Any) -> None:
    tenant = session.info["tenant"]
    for row in session.new:
        if row.tenant_id is None:
            row.tenant_id = tenant
    for row in (*session.new, *session.dirty, *session.deleted):
        if row.tenant_id != tenant:
            raise RuntimeError(f"a session of one tenant would write a row of another: {type(row).__name__}")
