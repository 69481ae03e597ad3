"""Which reads may go to a replica: to one that is up, not far behind, and that has all that the tenant has written.

Once a second the primary is asked how far its log is (`pg_current_wal_lsn`), and each replica how far it has replayed.
A replica that has replayed the log up to what the primary said at moment T has every commit before T: it is as fresh as
T. A tenant's reads go there when it last wrote (through this process) before T. That needs no clock of another machine
and no guess; and while the primary is away nothing is written, so what was fresh stays so.

Writes of other processes are not known here: with several processes of a service, the gateway's `balance: hash` with
`hash_on: tenant` keeps a tenant at one.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine

from upstream_services.kit.errors import DATABASE_ERRORS

LAG_MAX_S = 5.0
EVERY_S = 1.0
ASK_TIMEOUT_S = 2.0
SAMPLES_MAX = 120

_WRITTEN = text("select pg_current_wal_lsn() - '0/0'::pg_lsn")
_REPLAYED = text(
    "select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end - '0/0'::pg_lsn"
)


class ReplicaLost(Exception):  # noqa: N818 - an event
    """A replica failed in the middle of a read; the primary can answer it."""


class Replica:
    """A replica and how fresh it is: it has every commit before `fresh_at`, in seconds of the monotonic clock."""

    def __init__(self, url: URL, engine: AsyncEngine) -> None:
        self.url, self.engine = url, engine
        self.fresh_at: float | None = None  # None: it does not answer

    def __repr__(self) -> str:
        return f"<Replica {self.url.host}:{self.url.port} {'away' if self.fresh_at is None else 'up'}>"

    def lost(self) -> None:
        """It failed: nothing more goes there until it has answered again."""
        self.fresh_at = None


class Replicas:
    """All replicas of a primary, and when each tenant last wrote."""

    def __init__(self, primary: AsyncEngine, replicas: list[Replica]) -> None:
        self._primary, self._replicas = primary, replicas
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES_MAX)
        self._wrote: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._turn = 0
        self._is_primary_up = True

    def __repr__(self) -> str:
        return f"<Replicas {self._replicas}>"

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._replicas)

    def start(self) -> None:
        """Looks at them from now on, where there are any."""
        if self._replicas:
            self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stops looking and closes their pools."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for replica in self._replicas:
            await replica.engine.dispose()

    def wrote(self, tenant: str) -> None:
        """A transaction of the tenant that wrote has just been committed."""
        if self._replicas:
            self._wrote[tenant] = time.monotonic()

    def choose(self, tenant: str) -> Replica | None:
        """A replica for a read of the tenant, by turns; None: the primary."""
        if not self._replicas:
            return None
        now, wrote = time.monotonic(), self._wrote.get(tenant)
        fit = [replica for replica in self._replicas if self._is_fit(replica, now, wrote)]
        if not fit:
            return None
        self._turn += 1
        return fit[self._turn % len(fit)]

    def _is_fit(self, replica: Replica, now: float, wrote: float | None) -> bool:
        if replica.fresh_at is None or (wrote is not None and replica.fresh_at <= wrote):
            return False
        return self.lag_s(replica, now) <= LAG_MAX_S

    def lag_s(self, replica: Replica, now: float) -> float:
        """How far a replica is behind, in seconds; infinite for one that does not answer."""
        if replica.fresh_at is None:
            return float("inf")
        if not self._is_primary_up and self._samples and replica.fresh_at >= self._samples[-1][0]:
            return 0.0
        return now - replica.fresh_at

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Asks the primary how far it is, then each replica."""
        asked_at = time.monotonic()
        position = await _ask(self._primary, _WRITTEN)
        self._is_primary_up = position is not None
        if position is not None:
            self._samples.append((asked_at, position))
        await asyncio.gather(*map(self._look_at, self._replicas))
        oldest = min((replica.fresh_at for replica in self._replicas if replica.fresh_at is not None), default=None)
        if oldest is not None:
            self._wrote = {tenant: at for tenant, at in self._wrote.items() if at >= oldest}

    async def _look_at(self, replica: Replica) -> None:
        replayed = await _ask(replica.engine, _REPLAYED)
        if replayed is None:
            replica.lost()
            return
        reached = [at for at, position in self._samples if position <= replayed]
        replica.fresh_at = max(reached, default=None)


async def _ask(engine: AsyncEngine, question: object) -> int | None:
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S), engine.begin() as connection:
            return int(await connection.scalar(question))  # type: ignore[call-overload, no-any-return]
    except DATABASE_ERRORS:
        return None
