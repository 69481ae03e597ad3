"""Hazard: many requests for one thing all go to the upstream, or wait for ever, or one gets what was purged."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.core.kept_replies import Answer, Found, Purge, Sought, Ticket, ToKeep
from gateway.plugin_api import StoreDown
from gateway.stores import kept_replies
from gateway.stores.kept_replies import KeptReplies
from gateway.stores.local_replies import LocalReplies
from gateway.stores.memory_replies import MemoryReplies
from tests.stores.reply_material import KEY, OTHER, sought, stored
from tests.stores.test_local_replies import Evictions


class SharedStore(MemoryReplies):
    """As several workers share it. is_down: every call fails."""

    is_shared = True

    def __init__(self) -> None:
        super().__init__(1 << 20, lambda: 0.0)
        self.is_down = False
        self.calls: list[str] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.is_down:
            raise StoreDown("down")

    async def get(self, *args: Any) -> Found:
        self._called("get")
        return await super().get(*args)

    async def lease(self, *args: Any) -> bool:
        self._called("lease")
        return await super().lease(*args)

    async def put(self, kept: ToKeep, token: bytes) -> bool:
        self._called("put")
        return await super().put(kept, token)

    async def purge(self, purge: Purge) -> None:
        self._called("purge")
        await super().purge(purge)


class Workers:
    """Several workers over one store."""

    def __init__(self) -> None:
        self.store = SharedStore()
        self.made: list[KeptReplies] = []
        self.told: list[Purge] = []
        self.slept: list[float] = []
        self.asleep = asyncio.Event()
        self.wake = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.asleep.set()
        await self.wake.wait()
        self.wake.clear()

    def add(self, store: Any = None) -> KeptReplies:
        made = KeptReplies(
            LocalReplies(1 << 20, Evictions(), lambda size: None),
            self.store if store is None else store,
            now_s=lambda: 1_000.0,
            tell=self.told.append,
            sleep=self.sleep,
        )
        self.made.append(made)
        return made


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers()
    yield made
    for worker in made.made:
        await worker.close()


async def settled() -> None:
    """Until what can go on has gone on: nothing here waits for anything outside."""
    for _ in range(20):
        await asyncio.sleep(0)


async def ticket_of(worker: KeptReplies, wanted: Sought) -> Ticket:
    found = await worker.find(wanted)
    assert isinstance(found, Ticket)
    return found


def body_of(found: Any) -> bytes:
    assert isinstance(found, Answer), found
    return found.stored.body


async def test_of_a_thousand_one_gets_the_ticket_and_the_others_its_reply(workers: Workers) -> None:
    worker = workers.add()
    finding = [asyncio.create_task(worker.find(sought())) for _ in range(1_000)]
    await settled()
    first = [task.result() for task in finding if task.done()]
    assert len(first) == 1
    assert isinstance(first[0], Ticket)
    worker.keep(first[0], stored(b"one"))
    found = await asyncio.gather(*finding)
    assert [body_of(each) for each in found[1:]] == [b"one"] * 999
    assert {each.source for each in found[1:] if isinstance(each, Answer)} == {"coalesced"}


async def test_of_two_workers_one_gets_the_ticket_and_the_other_finds_the_reply_in_the_store(workers: Workers) -> None:
    one, other = workers.add(), workers.add()
    ticket = await ticket_of(one, sought())
    finding = [asyncio.create_task(other.find(sought())) for _ in range(3)]
    await workers.asleep.wait()
    one.keep(ticket, stored(b"one"))
    await settled()
    workers.wake.set()
    assert [body_of(each) for each in await asyncio.gather(*finding)] == [b"one"] * 3
    assert [each.stored.body for each in other.local.find(KEY) or []] == [b"one"]


async def test_a_reply_in_the_store_fills_this_workers_memory_where_the_route_says_so(workers: Workers) -> None:
    one, other = workers.add(), workers.add()
    one.keep(await ticket_of(one, sought(in_local=False)), stored(b"one"))
    await settled()
    assert one.local.find(KEY) is None
    assert body_of(await other.find(sought(in_local=False))) == b"one"
    assert other.local.find(KEY) is None
    assert body_of(await other.find(sought())) == b"one"
    assert other.local.find(KEY) is not None


async def test_a_route_without_the_store_never_asks_it(workers: Workers) -> None:
    worker = workers.add()
    worker.keep(await ticket_of(worker, sought(in_store=False)), stored())
    await settled()
    assert workers.store.calls == []
    assert worker.local.find(KEY) is not None


async def test_a_store_of_this_worker_alone_is_only_used_instead_of_its_first_layer(workers: Workers) -> None:
    class OwnStore(SharedStore):
        is_shared = False

    store = OwnStore()
    worker = workers.add(store)
    worker.keep(await ticket_of(worker, sought()), stored())
    await settled()
    assert store.calls == []
    worker.keep(await ticket_of(worker, sought(OTHER, in_local=False)), stored(b"other"))
    await settled()
    assert store.calls == ["get", "put"]
    assert body_of(await worker.find(sought(OTHER, in_local=False))) == b"other"


async def test_where_the_filler_fails_the_next_one_fills(workers: Workers) -> None:
    worker = workers.add()
    ticket = await ticket_of(worker, sought(in_store=False))
    finding = [asyncio.create_task(worker.find(sought(in_store=False))) for _ in range(5)]
    await settled()
    worker.give_up(ticket)
    await settled()
    tickets = [task.result() for task in finding if task.done()]
    assert len(tickets) == 1
    assert isinstance(tickets[0], Ticket)
    worker.keep(tickets[0], stored(b"second"))
    assert [body_of(each) for each in (await asyncio.gather(*finding))[1:]] == [b"second"] * 4


async def test_where_all_fillers_fail_nobody_waits_for_a_fourth(workers: Workers) -> None:
    worker = workers.add()
    finding = [asyncio.create_task(worker.find(sought(in_store=False))) for _ in range(10)]
    ended: set[int] = set()
    for _ in range(3):
        await settled()
        for number, task in enumerate(finding):
            if task.done() and number not in ended:
                ended.add(number)
                ticket = task.result()
                assert isinstance(ticket, Ticket)
                worker.give_up(ticket)
    found = await asyncio.gather(*finding)
    assert found.count(None) == 7


async def test_what_is_not_kept_lets_all_go_at_once_also_in_other_workers(workers: Workers) -> None:
    one, other = workers.add(), workers.add()
    ticket = await ticket_of(one, sought())
    here = [asyncio.create_task(one.find(sought())) for _ in range(3)]
    there = asyncio.create_task(other.find(sought()))
    await workers.asleep.wait()
    one.give_up(ticket, is_kept=False)
    await settled()
    workers.wake.set()
    assert await asyncio.gather(*here, there) == [None] * 4
    # And the next ones do not even look.
    workers.store.calls.clear()
    assert [await one.find(sought()), await other.find(sought())] == [None, None]
    assert workers.store.calls == []
    assert isinstance(await one.find(sought(OTHER)), Ticket)


async def test_after_a_while_somebody_tries_again_whether_it_is_kept(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_replies, "PASS_S", 0.0)
    worker = workers.add()
    worker.give_up(await ticket_of(worker, sought()), is_kept=False)
    await settled()
    assert isinstance(await worker.find(sought()), Ticket)


async def test_a_slow_filler_is_not_waited_for_longer_than_a_lease(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_replies, "LEASE_S", 0.01)
    worker = workers.add()
    slow = await ticket_of(worker, sought(in_store=False))
    second = await worker.find(sought(in_store=False))
    assert isinstance(second, Ticket)
    third = asyncio.create_task(worker.find(sought(in_store=False)))
    await settled()
    # What comes from the slow one all the same is good for those who wait for the second.
    worker.keep(slow, stored(b"slow"))
    assert body_of(await third) == b"slow"
    worker.keep(second, stored(b"second"))
    assert [each.stored.body for each in worker.local.find(KEY) or []] == [b"second"]


async def test_a_filler_of_another_worker_that_never_ends_is_not_waited_for_longer_than_a_lease(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = workers.add(), workers.add()
    await ticket_of(one, sought())
    monkeypatch.setattr(kept_replies, "LEASE_S", -1.0)
    found = await other.find(sought())
    assert isinstance(found, Ticket)
    assert found.token is None
    # It may keep it in its own memory, and leaves the store to the one who has the lease.
    other.keep(found, stored())
    await settled()
    assert other.local.find(KEY) is not None
    assert "put" not in workers.store.calls


async def test_one_who_goes_away_while_he_looks_leaves_nobody_waiting(workers: Workers) -> None:
    one, other = workers.add(), workers.add()
    await ticket_of(one, sought())
    gone = asyncio.create_task(other.find(sought()))
    await workers.asleep.wait()
    left = asyncio.create_task(other.find(sought()))
    await settled()
    gone.cancel()
    await settled()
    assert not left.done()
    # Who waited for the one that left looks now, and finds that it is still filled elsewhere.
    assert "1 filling" in repr(other)
    left.cancel()
    await settled()
    assert "0 filling" in repr(other)


async def test_a_reply_that_does_not_suit_is_not_taken_from_another_request(workers: Workers) -> None:
    """One asks with `Accept: a`, the other with `Accept: b`, and the reply says that this counts."""
    worker = workers.add()

    def by_accept(value: bytes) -> Sought:
        return sought(name_of=lambda vary: value if vary else b"")

    ticket = await ticket_of(worker, by_accept(b"a"))
    alike, unlike = (asyncio.create_task(worker.find(by_accept(value))) for value in (b"a", b"b"))
    await settled()
    worker.keep(ticket, stored(b"for a", vary=(b"accept",)))
    assert body_of(await alike) == b"for a"
    second = await unlike
    assert isinstance(second, Ticket)
    worker.keep(second, stored(b"for b", vary=(b"accept",)))
    await settled()
    # Another worker, which does not know yet that the field counts, learns it from the store.
    other = workers.add()
    assert body_of(await other.find(by_accept(b"b"))) == b"for b"
    assert body_of(await other.find(by_accept(b"a"))) == b"for a"


async def test_what_may_not_be_used_at_once_comes_with_the_ticket(workers: Workers) -> None:
    one, other = workers.add(), workers.add()
    one.keep(await ticket_of(one, sought()), stored(b"old"))
    await settled()
    found = await other.find(sought(may_use=lambda kept: False))
    assert isinstance(found, Ticket)
    assert found.stale is not None
    assert found.stale.body == b"old"
    assert await other.look(sought(may_use=lambda kept: False)) is None


async def test_a_look_leaves_no_trace(workers: Workers) -> None:
    one, other = workers.add(), workers.add()
    assert await other.look(sought()) is None
    one.keep(await ticket_of(one, sought()), stored(b"one"))
    await settled()
    kept = await other.look(sought())
    assert kept is not None
    assert kept.body == b"one"
    assert "0 filling" in repr(other)


async def test_a_refresh_is_one_for_all_workers(workers: Workers) -> None:
    one, other = workers.add(), workers.add()
    ticket = await one.begin(sought())
    assert ticket is not None
    assert [await one.begin(sought()), await other.begin(sought())] == [None, None]
    one.keep(ticket, stored())
    await settled()
    assert await other.begin(sought()) is not None


# -- purges -----------------------------------------------------------------------------------------------------------


async def test_a_purge_reaches_both_layers_and_is_told(workers: Workers) -> None:
    worker = workers.add()
    worker.keep(await ticket_of(worker, sought(tags=("a",))), stored(tags=("a",)))
    await settled()
    await worker.purge(Purge(tags=("a",)))
    assert worker.local.find(KEY) is None
    assert isinstance(await worker.find(sought(tags=("a",))), Ticket)
    assert workers.told == [Purge(tags=("a",))]


async def test_who_waited_for_one_who_asked_before_a_purge_asks_anew(workers: Workers) -> None:
    worker, wanted = workers.add(), sought(tags=("a",), in_store=False)
    ticket = await ticket_of(worker, wanted)
    await worker.purge(Purge(tags=("a",)))
    late = asyncio.create_task(worker.find(wanted))
    await settled()
    worker.keep(ticket, stored(b"old", tags=("a",)))
    second = await late
    assert isinstance(second, Ticket)
    worker.keep(second, stored(b"new", tags=("a",)))
    assert [each.stored.body for each in worker.local.find(KEY) or []] == [b"new"]


STEPS = ("ask", "answer", "keep", "write", "purge")
"""Of a fill: the upstream is asked, answers with what it has at that moment, the reply is kept. Of a write: the
upstream changes, then the purge comes, and only then has the writer his answer."""


@pytest.mark.parametrize("way", ["in the same worker", "in another worker", "heard late"])
@pytest.mark.parametrize("known", [True, False], ids=["tag of the route", "tag of the upstream"])
@pytest.mark.parametrize(
    "order",
    [
        order
        for order in itertools.permutations(STEPS)
        if order.index("ask") < order.index("answer") < order.index("keep")
        and order.index("write") < order.index("purge")
    ],
    ids=" ".join,
)
async def test_whatever_a_purge_and_a_fill_do_to_each_other_the_old_reply_is_not_found_afterwards(
    workers: Workers, order: tuple[str, ...], way: str, *, known: bool
) -> None:
    filler, writer = workers.add(), workers.add()
    if way == "in the same worker":
        writer = filler
    wanted = sought(tags=("a",) if known else ())
    truth = answer = b"old"
    ticket: Ticket | None = None
    for step in order:
        if step == "ask":
            ticket = await ticket_of(filler, wanted)
        elif step == "answer":
            answer = truth
        elif step == "keep":
            assert ticket is not None
            filler.keep(ticket, stored(answer, tags=("a",)))
            await settled()
        elif step == "write":
            truth = b"new"
        else:
            await writer.purge(Purge(tags=("a",)))
            if way == "in another worker":
                filler.hear(Purge(tags=("a",)))
    if way == "heard late":
        filler.hear(Purge(tags=("a",)))
    assert [each.stored.body for each in filler.local.find(KEY) or [] if each.stored.body == b"old"] == []
    for worker in (filler, writer, workers.add()):
        found = await worker.look(wanted)
        assert found is None or found.body == b"new"


@pytest.mark.parametrize("is_down", [False, True])
async def test_what_the_store_still_had_during_a_purge_is_not_in_memory_afterwards(
    workers: Workers, *, is_down: bool
) -> None:
    other, worker, wanted = workers.add(), workers.add(), sought(tags=("a",))
    other.keep(await ticket_of(other, wanted), stored(b"old", tags=("a",)))
    await settled()
    is_told, go_on = asyncio.Event(), asyncio.Event()
    purge_now = workers.store.purge

    async def purge_late(purge: Purge) -> None:
        is_told.set()
        await go_on.wait()
        workers.store.is_down = is_down
        await purge_now(purge)

    workers.store.purge = purge_late  # type: ignore[method-assign]
    purging = asyncio.create_task(worker.purge(Purge(tags=("a",))))
    await is_told.wait()
    assert body_of(await worker.find(wanted)) == b"old"  # its writer has no answer yet
    go_on.set()
    await asyncio.gather(purging, return_exceptions=True)
    workers.store.is_down = False
    assert worker.local.find(KEY) is None
    assert isinstance(await worker.find(wanted), Ticket)


# -- a store that is down ---------------------------------------------------------------------------------------------


async def test_without_the_store_there_is_this_workers_memory_and_the_upstream(workers: Workers) -> None:
    worker = workers.add()
    workers.store.is_down = True
    ticket = await ticket_of(worker, sought())
    waiting = asyncio.create_task(worker.find(sought()))
    await settled()
    worker.keep(ticket, stored(b"one"))
    assert body_of(await waiting) == b"one"
    assert worker.local.find(KEY) is not None
    assert await worker.look(sought()) is None
    refresh = await worker.begin(sought())
    assert refresh is not None
    worker.give_up(refresh)
    await settled()


async def test_a_purge_that_the_store_did_not_hear_is_owed_and_the_store_not_asked_before(workers: Workers) -> None:
    worker, other = workers.add(), workers.add()
    worker.keep(await ticket_of(worker, sought(tags=("a",))), stored(b"old", tags=("a",)))
    await settled()
    workers.store.is_down = True
    with pytest.raises(StoreDown):
        await worker.purge(Purge(tags=("a",)))
    workers.store.is_down = False
    found = await worker.find(sought(tags=("a",)))
    assert isinstance(found, Ticket)
    assert found.stale is None
    worker.give_up(found)
    assert await worker.look(sought()) is None
    await settled()
    workers.wake.set()
    await settled()
    assert await other.look(sought()) is None
    assert isinstance(await other.find(sought(tags=("a",))), Ticket)


async def test_what_is_owed_is_tried_until_it_is_heard(workers: Workers) -> None:
    worker = workers.add()
    workers.store.is_down = True
    for tag in ("a", "b"):
        with pytest.raises(StoreDown):
            await worker.purge(Purge(tags=(tag,)))
    for _ in range(2):
        await settled()
        workers.wake.set()
        await settled()
    workers.store.is_down = False
    workers.store.calls.clear()
    workers.wake.set()
    await settled()
    # Both in one.
    assert workers.store.calls == ["purge"]
    assert set(workers.slept) == {kept_replies.OWED_EVERY_S}


async def test_what_cannot_be_read_in_the_store_is_not_there(workers: Workers) -> None:
    worker = workers.add()
    name = sought().name_of(())
    await workers.store.put(ToKeep(KEY, "g", name, name, b"\xff of a later version", b"", (), 0, 60.0), b"")
    assert isinstance(await worker.find(sought()), Ticket)


async def test_closing_lets_everybody_go(workers: Workers) -> None:
    worker = workers.add()
    await ticket_of(worker, sought(in_store=False))
    waiting = asyncio.create_task(worker.find(sought(in_store=False)))
    await settled()
    await worker.close()
    assert isinstance(await waiting, Ticket)
    await worker.close()
