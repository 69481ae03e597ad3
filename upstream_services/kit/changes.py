"""The change feed: what a tenant's writes tell its listeners, from whichever process of the service they were made.

A flush that writes a row whose class has a `__feed__` noun adds a NOTIFY to its own transaction, so a change is told
when it is committed and never when it is rolled back. Each process keeps one LISTEN connection and hands the changes
to its listeners. (LISTEN needs a session of its own: behind PgBouncer in transaction mode, `--listen-database` names
PostgreSQL itself.)
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
from sqlalchemy import URL, event, inspect, text
from sqlalchemy.orm import Session

from upstream_services.kit.errors import Problem
from upstream_services.kit.tenancy import TenantSession

CHANNEL = "changes"
QUEUE_MAX = 1000  # changes that one slow listener may be behind before it is let go
RECONNECT_S = 1.0

_NOTIFY = text("select pg_notify('changes', change) from unnest(cast(:changes as text[])) change")

Change = dict[str, Any]  # {"tenant": ..., "type": "contact.created", "id": ..., "version": ...}
Queue = asyncio.Queue[Change | None]  # None: the feed has ended


@event.listens_for(TenantSession, "after_flush")
def _tell(session: Session, _context: Any) -> None:
    changes = []
    for verb, rows in (("created", session.new), ("updated", session.dirty), ("deleted", session.deleted)):
        for row in rows:
            noun = getattr(row, "__feed__", None)
            if noun is not None and (verb != "updated" or session.is_modified(row)):
                told = {"tenant": row.tenant_id, "type": f"{noun}.{_verb(row, verb)}", "id": str(row.id)}
                told["version"] = row.version
                changes.append(json.dumps(told))
    if changes:
        session.connection().execute(_NOTIFY, {"changes": changes})


def _verb(row: Any, verb: str) -> str:
    """A row that is kept when it is deleted has, for its listeners, gone and come again."""
    history = inspect(row).attrs.deleted_at.history
    if verb != "updated" or not history.has_changes():
        return verb
    return "deleted" if row.deleted_at is not None else "restored"


class ChangeFeed:
    """Listens on the database and hands each tenant's changes to its listeners."""

    def __init__(self, url: URL) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._queues: defaultdict[str, set[Queue]] = defaultdict(set)
        self._connection: asyncpg.Connection | None = None
        self._lost = asyncio.Event()

    def __repr__(self) -> str:
        state = "listening" if self._connection else "away"
        return f"<ChangeFeed {state} listeners={sum(map(len, self._queues.values()))}>"

    async def connect(self) -> None:
        """Starts to listen. Raises what the driver raises if the database does not answer."""
        connection = await asyncpg.connect(self._dsn, timeout=5, statement_cache_size=0)
        await connection.add_listener(CHANNEL, self._on_notify)
        connection.add_termination_listener(self._on_terminated)
        self._connection = connection
        self._lost.clear()

    async def keep_connected(self) -> None:
        """Listens again after each loss of the connection, until cancelled."""
        while True:
            await self._lost.wait()
            try:
                await self.connect()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(RECONNECT_S)

    def _on_notify(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        change: Change = json.loads(payload)
        for queue in tuple(self._queues.get(change.pop("tenant"), ())):
            if queue.qsize() < QUEUE_MAX:
                queue.put_nowait(change)
            else:
                self._let_go(queue)

    def _on_terminated(self, _connection: Any) -> None:
        # What is committed from now on will not be heard, so every listener must start anew and look again.
        self._connection = None
        self._lost.set()
        self.end_streams()

    @staticmethod
    def _let_go(queue: Queue) -> None:
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)

    def end_streams(self) -> None:
        """Ends every stream; clients of server-sent events connect again by themselves."""
        for queues in self._queues.values():
            for queue in queues:
                self._let_go(queue)

    @contextmanager
    def listen(self, tenant: str) -> Iterator[Queue]:
        """The tenant's changes from now on. Raises a 503 problem while the database is away."""
        if self._connection is None:
            raise Problem(503, "changes_unavailable", "the change feed is away", headers={"Retry-After": "1"})
        queue: Queue = asyncio.Queue()
        self._queues[tenant].add(queue)
        try:
            yield queue
        finally:
            self._queues[tenant].discard(queue)
            if not self._queues[tenant]:
                del self._queues[tenant]

    async def close(self) -> None:
        """Ends the streams and the connection."""
        self.end_streams()
        if self._connection is not None:
            self._connection.remove_termination_listener(self._on_terminated)
            await self._connection.close()
