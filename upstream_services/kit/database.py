"""One PostgreSQL database, reached through SQLAlchemy and asyncpg, directly or behind PgBouncer in transaction mode.

PgBouncer may give every transaction another server connection. So nothing may live longer than a transaction:
statements are prepared without a name (a name left on one server clashes or is missing on the next), nothing is cached
by connection, and every statement runs in a transaction, which also keeps "parse" and "execute" of one statement on
one server.
"""

import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import URL, MetaData, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from upstream_services.kit.tenancy import TenantSession

POOL_MIN = 5
POOL_MAX = 20
POOL_WAIT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
# Enforced by asyncpg, which cancels the statement on the server: a server setting would need a round trip for each
# transaction, and as a startup parameter it is refused by PgBouncer.
STATEMENT_TIMEOUT_S = 5.0


def database_url(text_url: str) -> URL:
    """Accepts `postgresql://` and `postgresql+asyncpg://`. Raises ValueError, that tells no password, for others."""
    try:
        url = make_url(text_url)
    except (ArgumentError, ValueError):
        raise ValueError("not a database URL; it looks like postgresql://user:password@host:5432/name") from None
    if url.drivername not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise ValueError(f"not a PostgreSQL URL but {url.drivername}://")
    return url.set(drivername="postgresql+asyncpg")


class Database:
    """A bounded pool of connections and the tenants' transactions on it."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.engine = create_async_engine(
            url,
            pool_size=POOL_MIN,
            max_overflow=POOL_MAX - POOL_MIN,
            pool_timeout=POOL_WAIT_S,
            pool_pre_ping=True,
            connect_args={
                "prepared_statement_cache_size": 0,  # SQLAlchemy's own
                "prepared_statement_name_func": lambda: "",
                "statement_cache_size": 0,  # asyncpg's
                "command_timeout": STATEMENT_TIMEOUT_S,
                "timeout": CONNECT_TIMEOUT_S,
            },
        )

    def __repr__(self) -> str:
        return f"<Database {self.url.render_as_string()} {self.engine.pool.status()}>"

    @asynccontextmanager
    async def transaction(self, tenant: str) -> AsyncIterator[AsyncSession]:
        """A transaction that sees `tenant`'s rows only; committed at the end, rolled back by an exception."""
        session = AsyncSession(
            self.engine,
            sync_session_class=TenantSession,
            info={"tenant": tenant},
            expire_on_commit=False,
            autoflush=False,  # a rule that looks something up must not write the half-made row it is judging
        )
        async with session, session.begin():
            yield session

    async def create_tables(self, metadata: MetaData) -> None:
        """Creates what is missing. Processes that start together take turns by an advisory lock."""
        lock = zlib.crc32(b"upstream_services.create_tables")
        async with self.engine.begin() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": lock})
            await connection.run_sync(metadata.create_all)

    async def ping(self) -> None:
        """Raises what the driver raises if the database does not answer."""
        async with self.engine.begin() as connection:
            await connection.execute(text("select 1"))

    async def close(self) -> None:
        """Closes the pool."""
        await self.engine.dispose()
