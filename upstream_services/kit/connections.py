"""What a transaction costs beside its statements, kept to two round trips: one says whose it is, one commits.

A list is one statement, of which PostgreSQL makes two round trips. To ask whether the connection lives (three), BEGIN,
and the settings of the transaction (two) were six more, and a third of the service's CPU for a list.
"""

import time
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine

ASK_AFTER_S = 1.0
"""A connection that has lain longer is asked whether it lives. Of any other, that its socket was closed is known."""


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection whose next transaction may begin with a statement of the session's own."""

    __slots__ = ("opening",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.opening = ""  # what goes with the next BEGIN

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 - the driver's
        """As the driver's; a transaction begins by it, with `BEGIN`."""
        opening = self.opening
        if not opening or not query.startswith("BEGIN"):
            return str(await super().execute(query, *args, timeout=timeout))
        self.opening = ""
        try:
            return str(await super().execute(f"{query} {opening}", timeout=timeout))
        except BaseException:
            # A transaction has begun that is nobody's, and the driver does not think so.
            self.terminate()
            raise


def open_with(connection: Any, statement: str) -> None:
    """Makes `statement` the first of the transaction of SQLAlchemy's `connection`, before whatever is executed there.

    Within a transaction (a savepoint) nothing happens: what was set holds on.
    """
    driver = connection.connection.driver_connection
    if not driver.is_in_transaction():
        driver.opening = statement


def watch(engine: AsyncEngine) -> None:
    """Has the pool give out connections that live."""
    event.listen(engine.sync_engine, "checkout", _require_alive)
    event.listen(engine.sync_engine, "checkin", _came_back)


def _came_back(connection: Any, record: Any) -> None:
    record.info["since"] = time.monotonic()
    if connection is not None:
        connection.driver_connection.opening = ""  # of a transaction that executed nothing


def _require_alive(connection: Any, record: Any, _proxy: Any) -> None:
    """Where it raises, the pool connects anew."""
    since = record.info.get("since")
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError
    if since is not None and time.monotonic() - since > ASK_AFTER_S:
        try:
            connection.ping()
        except Exception as error:
            raise InvalidatePoolError from error
