"""One PostgreSQL database, reached through SQLAlchemy and asyncpg, directly or behind PgBouncer in transaction mode.

PgBouncer may give every transaction another server connection. So nothing may live longer than a transaction:
statements are prepared without a name (a name left on one server clashes or is missing on the next), nothing is cached
by connection, and every statement runs in a transaction, which also keeps "parse" and "execute" of one statement on
one server.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL, event, make_url, select, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from upstream_services.kit.connections import Connection, watch
from upstream_services.kit.errors import is_unavailable
from upstream_services.kit.replicas import Replica, ReplicaLost, Replicas
from upstream_services.kit.tenancy import ROWS_ROLE, TenantSession

log = logging.getLogger(__name__)

POOL_MIN = 5
POOL_MAX = 20
POOL_WAIT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
# Enforced by asyncpg, which cancels the statement on the server: a server setting would need a round trip for each
# transaction, and as a startup parameter it is refused by PgBouncer.
STATEMENT_TIMEOUT_S = 5.0
SLOW_S = 0.25  # a statement that takes longer is in the log

_BINDS_US = text("select not (rolsuper or rolbypassrls) from pg_roles where rolname = current_user")
_BY_PUBLIC_ID = text(
    "select set_config('app.public_id', :public_id, true),"
    " set_config('role', coalesce(cast(:role as text), current_user::text), true)"
)
_ROLE_EXISTS = text("select pg_has_role(current_user, oid, 'member') from pg_roles where rolname = :role")


def database_url(text_url: str) -> URL:
    """Accepts `postgresql://` and `postgresql+asyncpg://`. Raises ValueError, that tells no password, for others."""
    try:
        url = make_url(text_url)
    except (ArgumentError, ValueError):
        raise ValueError("not a database URL; it looks like postgresql://user:password@host:5432/name") from None
    if url.drivername not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise ValueError(f"not a PostgreSQL URL but {url.drivername}://")
    return url.set(drivername="postgresql+asyncpg")


def make_engine(url: URL) -> AsyncEngine:
    """A bounded pool that leaves nothing on its connections, and logs statements that are slow."""
    engine = create_async_engine(
        url,
        hide_parameters=True,  # what tenants wrote is not for errors and logs
        pool_size=POOL_MIN,
        max_overflow=POOL_MAX - POOL_MIN,
        pool_timeout=POOL_WAIT_S,
        connect_args={
            "connection_class": Connection,
            "prepared_statement_cache_size": 0,  # SQLAlchemy's own
            "prepared_statement_name_func": lambda: "",
            "statement_cache_size": 0,  # asyncpg's
            "command_timeout": STATEMENT_TIMEOUT_S,
            "timeout": CONNECT_TIMEOUT_S,
        },
    )
    watch(engine)
    event.listen(engine.sync_engine, "before_cursor_execute", _started)
    event.listen(engine.sync_engine, "after_cursor_execute", _ended)
    return engine


def _started(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    context.started_at = time.monotonic()


def _ended(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    took = time.monotonic() - context.started_at
    if took > SLOW_S:  # without its parameters, which are the tenants' data
        fields = {"message": "slow query", "ms": round(took * 1000, 1), "statement": " ".join(statement.split())}
        log.warning("slow query", extra={"fields": fields})


class Database:
    """The primary and its replicas, and the tenants' transactions on them."""

    def __init__(self, url: URL, read_urls: Sequence[URL] = ()) -> None:
        self.url = url
        self.engine = make_engine(url)
        self.replicas = Replicas(self.engine, [Replica(url, make_engine(url)) for url in read_urls])
        self.role: str | None = None  # what transactions step down to; None where the login has no more rights
        self.job_table: Any = None
        self.info: dict[str, Any] = {}  # what else `session.info` holds, for rules
        self.on_jobs: Callable[[list[Any]], None] = lambda _jobs: None  # what is told of jobs that were committed

    def __repr__(self) -> str:
        return f"<Database {self.url.render_as_string()} {self.engine.pool.status()} {self.replicas!r}>"

    async def start(self) -> None:
        """Connects. Raises what the driver raises, or RuntimeError where row-level security would not bind us."""
        async with self.engine.begin() as connection:
            if not await connection.scalar(_BINDS_US):
                if not await connection.scalar(_ROLE_EXISTS, {"role": ROWS_ROLE}):
                    raise RuntimeError(
                        f"the login bypasses row-level security and there is no role {ROWS_ROLE}: migrate"
                    )
                self.role = ROWS_ROLE
        self.replicas.start()

    @asynccontextmanager
    async def transaction(
        self, tenant: str, user: str | None = None, **origin: str | None
    ) -> AsyncIterator[AsyncSession]:
        """A transaction that sees `tenant`'s rows only; committed at the end, rolled back by an exception.

        `origin`, the ids of the request that it belongs to, goes on with the jobs that it starts.
        """
        session = self._session(self.engine, tenant, user, origin)
        async with session, session.begin():
            yield session
        if session.info.get("written"):
            self.replicas.wrote(tenant)
        if session.info.get("jobs"):
            self.on_jobs(session.info["jobs"])

    @asynccontextmanager
    async def reading(self, tenant: str, *, primary: bool = False) -> AsyncIterator[AsyncSession]:
        """The same for reading only, on a replica that has all that this tenant wrote here, else on the primary.

        Raises ReplicaLost where the replica fails: doing it all again with `primary` helps.
        """
        replica = None if primary else self.replicas.choose(tenant)
        if replica is None:
            async with self.transaction(tenant) as session:
                yield session
            return
        try:
            session = self._session(replica.engine, tenant, None)
            async with session, session.begin():
                yield session
        except Exception as error:
            if is_unavailable(error):
                replica.lost()
                raise ReplicaLost(str(error)) from error
            raise

    async def tenant_of_public(self, table: Any, public_id: Any) -> str | None:
        """The tenant of the row of a table with `__public__` that has this public id; None where there is none.

        The transaction names no tenant, so row-level security shows it that one row and nothing else.
        """
        known = table.__table__.c
        found = select(known.tenant_id).where(known[table.__public__] == public_id, known.deleted_at.is_(None))
        async with self.engine.begin() as connection:
            await connection.execute(_BY_PUBLIC_ID, {"public_id": str(public_id), "role": self.role})
            tenant: str | None = await connection.scalar(found)
            return tenant

    def _session(
        self, engine: AsyncEngine, tenant: str, user: str | None, origin: Mapping[str, str | None] | None = None
    ) -> AsyncSession:
        info = {"tenant": tenant, "user": user, "role": self.role, "job_table": self.job_table}
        return AsyncSession(
            engine,
            sync_session_class=TenantSession,
            info={**info, **self.info, **(origin or {})},
            expire_on_commit=False,
            autoflush=False,  # a rule that looks something up must not write the half-made row it is judging
        )

    async def ping(self) -> None:
        """Raises what the driver raises if the database does not answer."""
        async with self.engine.begin() as connection:
            await connection.execute(text("select 1"))

    async def close(self) -> None:
        """Closes the pools."""
        await self.replicas.close()
        await self.engine.dispose()
