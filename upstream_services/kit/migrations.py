"""The tables of a service as a series of Alembic migrations, and the row-level security that stands over them.

`python -m upstream_services.<service> migrate` brings a database up to date; `... migration "what changes"` writes the
next step, from what the models say and the steps so far do not. All steps of a run are one transaction, processes that
migrate at once take turns, and security is laid over every tenant's table after each run, so no step can forget it.
"""

import re
import zlib
from pathlib import Path
from typing import Any

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, MetaData, Table, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from upstream_services.kit.tenancy import ROWS_ROLE

STATEMENT_TIMEOUT_S = 3600.0
CONNECT_TIMEOUT_S = 5.0
_LOCK = zlib.crc32(b"upstream_services.migrations")

# The comment of a policy is the rule that it was made of, as PostgreSQL tells it in words of its own.
_SECURED = text(
    "select c.relname, obj_description(p.oid, 'pg_policy') from pg_class c"
    " join pg_policy p on p.polrelid = c.oid and p.polname = 'one_tenant'"
    " where c.relrowsecurity and c.relforcerowsecurity and c.relnamespace = current_schema()::regnamespace"
)
_BYPASSES = text("select rolsuper, rolsuper or rolbypassrls from pg_roles where rolname = current_user")
_SECURE = """
alter table "{table}" enable row level security;
alter table "{table}" force row level security;
drop policy if exists one_tenant on "{table}";
create policy one_tenant on "{table}" using ({rule}) with check ({rule});
comment on policy one_tenant on "{table}" is '{quoted}'
"""
# The statements themselves say `tenant_id = ...`. Said again here as such, the planner would take both for independent,
# expect 25 rows of a tenant that has 5,000, and sort them for each page rather than read the index that is in order
# (seen at 1,000,000 contacts). Of a `coalesce` it guesses that half the rows pass.
_ONE_TENANT = "coalesce(tenant_id = current_setting('app.tenant', true), false)"
_WORKER = "current_setting('app.tenant', true) = '*'"  # of jobs, whatever tenant; "*" is no tenant's name
_LET_WORKERS_READ = """
drop policy if exists workers on "{table}";
create policy workers on "{table}" for select using ({rule})
"""
# Whoever tells a public id reads the row that has it, whatever tenant, and no other (Database.tenant_of_public).
_BY_PUBLIC_ID = """
drop policy if exists by_public_id on "{table}";
create policy by_public_id on "{table}" for select using ({column}::text = current_setting('app.public_id', true))
"""
# Roles are of the whole server, so services that migrate at once may both make it.
_MAKE_ROLE = f"""
do $$ begin create role {ROWS_ROLE} nologin; exception when duplicate_object or unique_violation then null; end $$
"""
# A full-text match shows nothing of a row in its errors. Unless PostgreSQL is told so, it must not use the index for
# it before it has checked each row's tenant, and would read all rows of the tenant for each search.
_TRUST_SEARCH = "alter function pg_catalog.ts_match_vq(tsvector, tsquery) leakproof"

_TEMPLATE = '''"""{title}."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "{revision}"
down_revision = {down}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the step."""
    {body}
'''


def _context(folder: Path, connection: Connection, metadata: MetaData) -> tuple[ScriptDirectory, MigrationContext]:
    script = ScriptDirectory(str(folder), version_locations=[str(folder)])
    options = {"target_metadata": metadata, "compare_type": True, "compare_server_default": False}
    return script, MigrationContext.configure(connection, opts=options)


def head_of(folder: Path) -> str | None:
    """The newest step of a service; None where it has none."""
    return ScriptDirectory(str(folder), version_locations=[str(folder)]).get_current_head()


def current(connection: Connection) -> str | None:
    """The step that a database is at."""
    return MigrationContext.configure(connection).get_current_revision()


def missing(folder: Path, connection: Connection, metadata: MetaData) -> list[Any]:
    """What the models say and the database does not have: Alembic's operations."""
    _, context = _context(folder, connection, metadata)
    found = produce_migrations(context, metadata).upgrade_ops
    return list(found.ops) if found is not None else []


def _upgrade(connection: Connection, folder: Path, metadata: MetaData) -> None:
    _take_steps(connection, folder, metadata)
    _secure(connection, metadata)


def _take_steps(connection: Connection, folder: Path, metadata: MetaData) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    script = ScriptDirectory(str(folder), version_locations=[str(folder)])
    with EnvironmentContext(Config(), script, fn=lambda at, _context: script._upgrade_revs("head", at)) as environment:
        environment.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
        environment.run_migrations()


def _secure(connection: Connection, metadata: MetaData) -> None:
    is_superuser, bypasses = connection.execute(_BYPASSES).one()
    done = {name: rule for name, rule in connection.execute(_SECURED)}  # noqa: C416 - dict() of rows is not typed
    for table in metadata.sorted_tables:
        if "tenant_id" in table.c and not table.info.get("system"):
            rule = f"{_ONE_TENANT} or {_WORKER}" if table.info.get("of_workers") else _ONE_TENANT
            if done.get(table.name) != rule:
                _lay(connection, table, rule)
    if is_superuser:
        connection.execute(text(_TRUST_SEARCH))
    if bypasses:
        connection.execute(text(_MAKE_ROLE))
        connection.execute(text(f"grant usage on schema public to {ROWS_ROLE}"))
        names = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
        connection.execute(text(f"grant select, insert, update, delete on {names} to {ROWS_ROLE}"))


def _lay(connection: Connection, table: Table, rule: str) -> None:
    statements = _SECURE.format(table=table.name, rule=rule, quoted=rule.replace("'", "''"))
    if table.info.get("scheduled"):
        statements += ";" + _LET_WORKERS_READ.format(table=table.name, rule=_WORKER)
    if column := table.info.get("public"):
        statements += ";" + _BY_PUBLIC_ID.format(table=table.name, column=column)
    for statement in statements.split(";"):
        connection.execute(text(statement))


async def migrate(url: URL, folder: Path, metadata: MetaData) -> None:
    """Brings a database up to date; one at a time in a process, for Alembic keeps its context in a global.

    Raises what the driver raises where the database does not answer.
    """
    await _run(url, _upgrade, folder, metadata)


async def create_all(url: URL, metadata: MetaData) -> None:
    """Makes the tables as the models say, secured, without steps: for what has none, such as the service of a test."""

    def create(connection: Connection) -> None:
        metadata.create_all(connection)
        _secure(connection, metadata)

    await _run(url, create)


async def _run(url: URL, function: Any, *arguments: Any) -> Any:
    limits = {
        "command_timeout": STATEMENT_TIMEOUT_S,
        "timeout": CONNECT_TIMEOUT_S,
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    }
    engine = create_async_engine(url, poolclass=NullPool, connect_args=limits)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(function, *arguments)
    finally:
        await engine.dispose()


def _render(connection: Connection, folder: Path, metadata: MetaData) -> str:
    _take_steps(connection, folder, metadata)
    _, context = _context(folder, connection, metadata)
    found = produce_migrations(context, metadata).upgrade_ops
    if found is None or not found.ops:
        return ""
    code = render_python_code(found, migration_context=context)
    code = re.sub(r"(?m)^ *# ### .*\n?", "", code).strip()
    # The columns that every row has are one line in each table, not six.
    common = r"(sa\.Column\('created_at'.*?sa\.Column\('deleted_at'[^\n]*)"
    return re.sub(common, lambda match: re.sub(r"\n *", " ", match[1]), code, flags=re.DOTALL)


async def write_next(url: URL, folder: Path, metadata: MetaData, message: str) -> Path | None:
    """Writes the step from what the steps so far make to what the models say; None where nothing is missing.

    `url` is an empty database, which is filled.
    """
    body: str = await _run(url, _render, folder, metadata)
    if not body:
        return None
    down = head_of(folder)
    number = f"{int(down.partition('_')[0]) + 1 if down else 1:04d}"
    slug = re.sub(r"[^a-z0-9]+", "_", message.lower()).strip("_")
    path = folder / f"{number}_{slug}.py"
    step = _TEMPLATE.format(
        title=message[:1].upper() + message[1:], revision=number, down=repr(down) if down else None, body=body
    )
    path.write_text(step)
    return path
