"""All that a worker keeps of replies: its own memory, the store behind it, and who is filling what right now.

Theory of operation. A request that its own memory cannot answer calls `find`, which gives an `Answer`, the right and
duty to ask the upstream (a `Ticket`), or None: go to the upstream, nothing will be kept.

    nobody fills it here    look into the store -> an answer | filled elsewhere: wait | take the lease: a Ticket
    somebody does           wait for the landing -> an answer | failed: start over | not kept: None

A ticket ends by `keep` or by `give_up`, exactly once; either lets those go who wait here. Those who wait in other
workers look into the store every few milliseconds, and are let go by the end of the lease at the latest. Nobody waits
longer than a lease for one filler, nor for more than two.

Purges. The mark of both layers is read before the upstream is asked, and said when the reply is kept; what was purged
in between is not taken. Who waited for a filler that asked before a purge does not get that reply either.
"""

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NamedTuple

from gateway.core.cache_encoding import decode, encode
from gateway.core.cache_reply import StoredReply
from gateway.core.kept_replies import (
    PASS,
    Answer,
    CacheKey,
    Found,
    Purge,
    ReplyStore,
    Sought,
    Ticket,
    ToKeep,
    Variant,
)
from gateway.plugin_api import StoreDown
from gateway.stores.local_replies import LocalReplies

LEASE_S: Final = 5.0
"""How long others wait for one filler."""
PASS_S: Final = 2.0
"""How long nobody waits for a reply that turned out not to be kept."""
POLL_FIRST_S: Final = 0.005
POLL_MAX_S: Final = 0.05
OWED_EVERY_S: Final = 0.25

_ROUNDS: Final = 3
_PASSES_MAX: Final = 10_000
_STORED_MAX_S: Final = 7 * 86_400.0
# What can be asked for again by its validator is kept beyond its use, for as long again or this long.
_FOR_VALIDATION_S: Final = 3_600.0

_log = logging.getLogger("gateway.stores")

_Id = tuple[CacheKey, bytes]


class Landing(NamedTuple):
    """How a filling ended. variant: what came of it, if anything. is_kept: False where it will not be kept either."""

    variant: Variant | None
    is_kept: bool


_FAILED: Final = Landing(None, True)
_NOT_KEPT: Final = Landing(None, False)


class _Flight:
    """One filling under way in this worker, and who waits for it."""

    __slots__ = ("mark", "timer", "waiters")

    def __init__(self, mark: int) -> None:
        self.mark = mark
        self.timer: asyncio.TimerHandle | None = None
        self.waiters: list[asyncio.Future[Landing]] = []

    def land(self, landing: Landing) -> None:
        if self.timer is not None:
            self.timer.cancel()
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(landing)


class KeptReplies:
    """One for a worker; outlives a table. now_s: wall clock. tell: passes a purge on to the other workers of this
    gateway, where the store is not shared. spawn: runs in the background what nobody waits for.
    """

    def __init__(
        self,
        local: LocalReplies,
        store: ReplyStore,
        *,
        now_s: Callable[[], float],
        tell: Callable[[Purge], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.local = local
        self.store = store
        self._now_s = now_s
        self._tell = tell
        self._sleep = sleep
        self._loop = asyncio.get_running_loop()
        self._flights: dict[_Id, _Flight] = {}
        self._passes: dict[_Id, float] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._owed: list[Purge] = []
        self._is_paying = False

        # As a bound method it is the whole of a look-up.
        self.find_local = local.find

    @property
    def mark(self) -> int:
        """See `LocalReplies.mark`."""
        return self.local.mark

    # -- looking ----------------------------------------------------------------------------------------------------

    async def find(self, sought: Sought) -> Answer | Ticket | None:
        """See the module's theory of operation."""
        name = sought.name_of(sought.vary)
        for _ in range(_ROUNDS):
            if self._passes.get((sought.key, name), 0.0) > self._loop.time():
                return None
            flight = self._flights.get((sought.key, name))
            if flight is None:
                return await self._fill(sought, name)
            waiter: asyncio.Future[Landing] = self._loop.create_future()
            flight.waiters.append(waiter)
            variant, is_kept = await waiter
            if not is_kept:
                return None
            if variant is None:
                continue
            stored = variant.stored
            if self.local.is_purged(sought.key, stored.tags, flight.mark):
                continue
            name = sought.name_of(stored.vary)
            if name == variant.name and sought.may_use(stored):
                return Answer(stored, "coalesced")
        return None

    async def look(self, sought: Sought) -> StoredReply | None:
        """What the store has that may be used at once; for a request that nothing can be kept of."""
        if self._owed or not self._uses_store(sought):
            return None
        try:
            _, stored, _ = await self._get(sought, sought.name_of(sought.vary))
        except StoreDown:
            return None
        return stored if stored is not None and sought.may_use(stored) else None

    async def begin(self, sought: Sought) -> Ticket | None:
        """The right to fill, for a refresh that nobody waits for; None where somebody is at it."""
        name = sought.name_of(sought.vary)
        if (sought.key, name) in self._flights:
            return None
        ticket = self._ticket(sought, name)
        try:
            if self._uses_store(sought):
                found = await self.store.get(sought.key, sought.group, name, sought.tags)
                if found.lease or not await self._lease(ticket, found):
                    self.give_up(ticket)
                    return None
        except StoreDown:
            pass
        except BaseException:
            self.give_up(ticket)
            raise
        return ticket

    async def _fill(self, sought: Sought, name: bytes) -> Answer | Ticket | None:
        """Become the one who fills, before anything is waited for."""
        ticket = self._ticket(sought, name)
        if not self._uses_store(sought):
            return ticket
        try:
            return await self._look(sought, ticket)
        except StoreDown:
            return ticket
        except BaseException:
            self.give_up(ticket)
            raise

    async def _look(self, sought: Sought, ticket: Ticket) -> Answer | Ticket | None:
        if self._owed:
            # The store does not know yet what is purged.
            raise StoreDown("purges are owed")
        poll_s = POLL_FIRST_S
        until_s = self._loop.time() + LEASE_S
        while True:
            found, stored, name = await self._get(sought, ticket.name)
            if stored is not None and sought.may_use(stored):
                variant = Variant(name, stored)
                if sought.in_local:
                    self.local.put(ticket.key, variant, ticket.local_mark)
                self._land(ticket, Landing(variant, True))
                ticket.is_over = True
                return Answer(stored, "l2")
            if found.lease == PASS:
                self._pass(ticket)
                self._land(ticket, _NOT_KEPT)
                ticket.is_over = True
                return None
            ticket.stale = stored or ticket.stale
            if not self.store.is_shared:
                ticket.mark = found.mark
                return ticket
            if not found.lease and await self._lease(ticket, found):
                return ticket
            if self._loop.time() > until_s:
                return ticket
            if found.lease:
                await self._sleep(poll_s * random.uniform(0.5, 1.0))
                poll_s = min(2 * poll_s, POLL_MAX_S)

    async def _get(self, sought: Sought, name: bytes) -> tuple[Found, StoredReply | None, bytes]:
        """What the store has, by the request fields that it says count."""
        vary = sought.vary
        found = await self.store.get(sought.key, sought.group, name, sought.tags)
        if found.data is None and found.fields is not None and found.fields != fields_text(vary):
            vary = tuple(found.fields.split(b",")) if found.fields else ()
            name = sought.name_of(vary)
            found = await self.store.get(sought.key, sought.group, name, sought.tags)
        if found.data is None:
            return found, None, name
        try:
            stored = decode(found.data)
        except ValueError:
            # Of another version of the gateway, say.
            return found, None, name
        # Chosen by other fields than it was asked for by: not for this request.
        return found, stored if sought.name_of(stored.vary) == name else None, name

    def _uses_store(self, sought: Sought) -> bool:
        # A store of this worker alone has nothing that its first layer has not.
        return sought.in_store and (self.store.is_shared or not sought.in_local)

    def _ticket(self, sought: Sought, name: bytes) -> Ticket:
        flight = self._flights[sought.key, name] = _Flight(self.local.mark)
        ticket = Ticket(sought, name, flight.mark)
        flight.timer = self._loop.call_later(LEASE_S, self._too_slow, ticket, flight)
        return ticket

    def _too_slow(self, ticket: Ticket, flight: _Flight) -> None:
        """Let those go who wait: one of them fills, beside the slow one."""
        if self._flights.get((ticket.key, ticket.name)) is flight:
            del self._flights[ticket.key, ticket.name]
        flight.land(_FAILED)

    async def _lease(self, ticket: Ticket, found: Found) -> bool:
        token = os.urandom(12).hex().encode()
        ticket.token = token
        if self.store.is_shared and not await self.store.lease(ticket.key, ticket.name, token, LEASE_S, found.fills):
            ticket.token = None
            return False
        ticket.mark = found.mark
        return True

    # -- keeping ----------------------------------------------------------------------------------------------------

    def keep(self, ticket: Ticket, stored: StoredReply) -> None:
        """What the upstream answered: into the layers that the sought said, and to those who wait."""
        assert not ticket.is_over
        ticket.is_over = True
        sought = ticket.sought
        variant = Variant(sought.name_of(stored.vary), stored)
        if sought.in_local:
            self.local.put(ticket.key, variant, ticket.local_mark)
        self._land(ticket, Landing(variant, True))
        self._passes.pop((ticket.key, ticket.name), None)
        if ticket.mark is not None:
            self._spawn(self._put(ticket, variant))

    def give_up(self, ticket: Ticket, *, is_kept: bool = True) -> None:
        """Nothing came of it; harmless where it has ended. is_kept: False where the reply was there, and is of a kind
        that is not kept, so that nobody waits for the next ones.
        """
        if ticket.is_over:
            return
        ticket.is_over = True
        if not is_kept:
            self._pass(ticket)
        self._land(ticket, _FAILED if is_kept else _NOT_KEPT)
        if ticket.token is not None:
            self._spawn(self.store.release(ticket.key, ticket.name, ticket.token, 0.0 if is_kept else PASS_S))

    def _land(self, ticket: Ticket, landing: Landing) -> None:
        # Perhaps of another one, who began when this one was too slow: what is here is good for it as well.
        flight = self._flights.pop((ticket.key, ticket.name), None)
        if flight is not None:
            flight.land(landing)

    def _pass(self, ticket: Ticket) -> None:
        if len(self._passes) >= _PASSES_MAX:
            self._passes.clear()
        self._passes[ticket.key, ticket.name] = self._loop.time() + PASS_S

    async def _put(self, ticket: Ticket, variant: Variant) -> None:
        stored, now_s = variant.stored, self._now_s()
        ttl_s = max(0.0, stored.useful_until_s() - now_s)
        if stored.has_validator:
            ttl_s += min(max(ttl_s, 60.0), _FOR_VALIDATION_S)
        assert ticket.mark is not None
        kept = ToKeep(
            key=ticket.key,
            group=ticket.sought.group,
            asked=ticket.name,
            name=variant.name,
            data=encode(stored),
            fields=fields_text(stored.vary),
            tags=stored.tags,
            mark=ticket.mark,
            ttl_s=min(ttl_s, _STORED_MAX_S),
        )
        await self.store.put(kept, ticket.token or b"")

    # -- purging ----------------------------------------------------------------------------------------------------

    def hear(self, purge: Purge) -> None:
        """A purge of another worker or gateway."""
        self.local.purge(purge)

    async def purge(self, purge: Purge) -> None:
        """Drop it everywhere. Raises StoreDown where the store could not be told; it is told as soon as it can be, and
        is not looked into by this worker before.
        """
        self.local.purge(purge)
        self._tell(purge)
        try:
            await self.store.purge(purge)
        except StoreDown:
            self._owed.append(purge)
            if len(self._owed) > _PASSES_MAX:
                self._owed = [Purge(everything=True)]
            if not self._is_paying:
                self._is_paying = True
                self._spawn(self._pay())
            raise
        finally:
            # Who looked into the store while it was not told yet has brought back what was just dropped here.
            self.local.purge(purge)

    async def _pay(self) -> None:
        while self._owed:
            await self._sleep(OWED_EVERY_S)
            owed = self._owed
            tags = tuple(dict.fromkeys(tag for purge in owed for tag in purge.tags))
            keys = tuple(dict.fromkeys(key for purge in owed for key in purge.keys))
            try:
                await self.store.purge(Purge(tags, keys, any(purge.everything for purge in owed)))
            except StoreDown:
                continue
            self._owed = self._owed[len(owed) :]
        self._is_paying = False

    async def close(self) -> None:
        """Let everybody go, finish what is on its way to the store as far as that goes at once."""
        for flight in self._flights.values():
            flight.land(_FAILED)
        self._flights.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.store.close()

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        # Where the store is down it has said so itself.
        if error is not None and not isinstance(error, StoreDown):
            _log.error("a kept reply did not get to the store", exc_info=error)

    def __repr__(self) -> str:
        return f"<KeptReplies {self.local!r}, {self.store!r}, {len(self._flights)} filling>"


def fields_text(vary: tuple[bytes, ...]) -> bytes:
    """The request fields as one text, as stores keep it."""
    return b",".join(vary)
