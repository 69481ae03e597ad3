"""Tenant isolation, in one place: whatever a resource declares, its session sees and writes one tenant's rows only.

A `TenantSession` adds `tenant_id = <tenant>` to every SELECT, UPDATE and DELETE of a `Tenanted` table, also for eager
loads and aliases, stamps new rows with the tenant, and refuses any statement that it could not filter. Rows of a
`Kept` table that were deleted are left out the same way, unless a statement asks for them (`WITH_DELETED`).

Behind it stands PostgreSQL's own row-level security: each transaction says whose it is (`app.tenant`) and gives up the
rights of whoever logged in, so that even a statement written past all this sees one tenant. Both are set for the
transaction only, which is what PgBouncer in transaction mode allows.
"""

import re
from datetime import datetime
from functools import lru_cache
from typing import Any

from aiohttp import web
from sqlalchemy import DateTime, String, event, false, func
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, mapped_column, with_loader_criteria

from upstream_services.kit.connections import open_with
from upstream_services.kit.errors import Problem

TENANT_HEADER = "X-Tenant-Id"
USER_HEADER = "X-User-Id"
USER_MAX = 200
ROWS_ROLE = "suite_rows"  # may read and write rows, within what row-level security allows; nobody logs in as it
WITH_DELETED = {"with_deleted": True}  # execution options of a statement that also wants what was deleted
# Of one that looks for words, which are the tenant's own: it is filtered like any other, but so that no index is read
# for the tenant. The planner takes the words and the tenant for independent, and would read all of the tenant's rows in
# an index beside (13 of 34 ms, seen at 98,000 contacts of a tenant).
BY_WORDS = {"by_words": True}

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def tenant_of(request: web.BaseRequest) -> str:
    """The tenant that the gateway took from the verified token. Raises a 401 problem where there is none."""
    tenant = request.headers.get(TENANT_HEADER, "")
    if not _TENANT.fullmatch(tenant):
        raise Problem(401, "tenant_missing", f"the {TENANT_HEADER} header names no tenant")
    return tenant


def user_of(request: web.BaseRequest) -> str | None:
    """The user that the gateway took from the token; None where it had none."""
    return request.headers.get(USER_HEADER, "")[:USER_MAX].replace("\0", "") or None


class Tenanted:
    """A table whose rows belong to a tenant. The tenant leads the primary key, so no foreign key can cross tenants."""

    tenant_id: Mapped[str] = mapped_column(String(63), primary_key=True, sort_order=-10)


class Kept(Tenanted):
    """A table whose rows are kept when they are deleted: `deleted_at` says when, None while they are there."""

    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), sort_order=95, info={"private": True})


class TenantSession(Session):
    """A session of one tenant, `info["tenant"]`; `info["user"]` is who acts, `info["role"]` what it steps down to."""


@event.listens_for(TenantSession, "after_begin")
def _say_whose_it_is(session: Session, _transaction: Any, connection: Any) -> None:
    tenant, role = session.info["tenant"], session.info.get("role")
    if not _TENANT.fullmatch(tenant):  # it becomes part of a statement's text
        raise RuntimeError("a session of what is no tenant's name")
    step_down = f", set_config('role', '{role}', true)" if role is not None else ""
    open_with(connection, f"select set_config('app.tenant', '{tenant}', true){step_down}")


@lru_cache(maxsize=10_000)  # making them is a tenth of what SQLAlchemy does for a list
def _criteria(tenant: str, is_by_words: bool, with_deleted: bool) -> tuple[Any, ...]:
    if is_by_words:
        is_ours = with_loader_criteria(
            Tenanted, lambda cls: func.coalesce(cls.tenant_id == tenant, false()), include_aliases=True
        )
    else:
        is_ours = with_loader_criteria(Tenanted, lambda cls: cls.tenant_id == tenant, include_aliases=True)
    if with_deleted:
        return (is_ours,)
    return is_ours, with_loader_criteria(Kept, lambda cls: cls.deleted_at.is_(None), include_aliases=True)


@event.listens_for(TenantSession, "do_orm_execute")
def _filter_by_tenant(state: ORMExecuteState) -> None:
    if not state.is_orm_statement or state.is_insert:
        raise RuntimeError(
            "a tenant's session runs ORM statements only (and adds rows as objects): others are not filtered"
        )
    if not state.is_select:
        state.session.info["written"] = True
    options = state.execution_options
    is_by_words, with_deleted = bool(options.get("by_words")), bool(options.get("with_deleted"))
    state.statement = state.statement.options(*_criteria(state.session.info["tenant"], is_by_words, with_deleted))


@event.listens_for(TenantSession, "before_flush")
def _stamp(session: Session, _context: Any, _instances: Any) -> None:
    tenant, user = session.info["tenant"], session.info.get("user")
    for row in session.new:
        if row.tenant_id is None:
            row.tenant_id = tenant
        if hasattr(row, "created_by"):
            row.created_by = row.updated_by = user
    for row in session.dirty:
        if hasattr(row, "updated_by") and session.is_modified(row):
            row.updated_by = user
    session.info["written"] = True
    for row in (*session.new, *session.dirty, *session.deleted):
        if row.tenant_id != tenant:
            raise RuntimeError(f"a session of one tenant would write a row of another: {type(row).__name__}")
