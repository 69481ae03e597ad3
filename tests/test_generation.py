"""Hazard: a table that was replaced is closed under an exchange that it still serves, or is never closed."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import generation, turns
from gateway.config.snapshot import Snapshot, Uses
from gateway.generation import Background, Generation, Generations, Lasting, Lent, close_part


class Part:
    def __init__(self, log: list[str], name: str, *, waits: bool = False, fails: bool = False) -> None:
        self._log, self._name, self._waits, self._fails = log, name, waits, fails

    def close(self) -> Awaitable[None] | None:
        if self._fails:
            raise ValueError("it will not close")
        if not self._waits:
            self._log.append(self._name)
            return None
        return self._later()

    async def _later(self) -> None:
        await asyncio.sleep(0)
        self._log.append(self._name)


async def no_refetch(exchange: Any, state: Any) -> None:
    raise AssertionError


class Knowing:
    """As much that plugins share, it knows who lends it."""

    def __init__(self, lent: Lent) -> None:
        self._lent = lent


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PAUSE_S", 0.0)


class House:
    """Generations made of parts that say when they are closed."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.served: list[str] = []
        self.counts: list[float] = []
        self.lasting = Lasting()

    def make(self, name: str, *upstreams: str) -> Generation:
        lent = Lent(Background(no_refetch), self.lasting)
        plugins: Any = (Part(self.log, f"{name} plugin", waits=True),)
        snapshot = Snapshot(name, None, (), None, None, (), plugins, uses=Uses())  # type: ignore[arg-type]
        lent.shared("part", lambda: Part(self.log, f"{name} shared"))
        return Generation(snapshot, SimpleNamespace(policies={}), upstreams, lent)  # type: ignore[arg-type]

    def generations(self, first: Generation) -> Generations:
        return Generations(first, lambda names: self.served.append(" ".join(names)), self.counts.append)  # type: ignore[arg-type]


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_table_is_closed_with_its_last_exchange_and_not_before() -> None:
    house = House()
    one, two = house.make("one", "crm", "hr"), house.make("two", "crm")
    generations = house.generations(one)
    one.snapshot.uses.count += 2
    generations.prepared = two
    assert generations.swap() is two
    assert (one.lent.is_in_force, two.lent.is_in_force) == (False, True)
    one.snapshot.uses.leave()
    await settled()
    assert (house.log, house.served, house.counts) == ([], ["crm"], [1, 2])
    one.snapshot.uses.leave()
    await settled()
    assert (house.log, house.served, house.counts) == (["one plugin", "one shared"], ["crm"], [1, 2, 1])
    assert "two" in repr(generations)


async def test_a_table_without_exchanges_is_closed_at_once_and_only_once() -> None:
    house = House()
    one = house.make("one", "crm")
    generations = house.generations(one)
    generations.prepared = house.make("two", "crm")
    generations.swap()
    await settled()
    assert house.log == ["one plugin", "one shared"]
    # The counter of a closed table says nothing any more.
    one.snapshot.uses.count += 1
    one.snapshot.uses.leave()
    await settled()
    assert len(house.log) == 2


async def test_what_is_prepared_and_abandoned_leaves_the_upstreams_in_force() -> None:
    house = House()
    one = house.make("one", "old")
    generations = house.generations(one)
    generations.prepared = house.make("two", "new")
    generations.swap()
    generations.prepared = house.make("three", "old", "newer")
    await settled()
    assert house.served == ["new"]
    await generations.abandon()
    assert house.served == ["new", "new"]
    assert house.log[-2:] == ["three plugin", "three shared"]
    await generations.abandon()
    assert len(house.log) == 4


async def test_the_end_closes_all_whatever_their_exchanges_do() -> None:
    house = House()
    one, two = house.make("one"), house.make("two")
    one.snapshot.uses.count = two.snapshot.uses.count = 1
    generations = house.generations(one)
    generations.prepared = two
    generations.swap()
    await generations.close()
    assert sorted(house.log) == ["one plugin", "one shared", "two plugin", "two shared"]


async def test_what_lasts_is_the_same_for_the_next_table_and_closed_with_the_last_that_asked() -> None:
    house = House()
    one, two, three = (house.make(name) for name in ("one", "two", "three"))
    generations = house.generations(one)

    def ask(generation: Generation) -> Part:
        return generation.lent.lasting("key", lambda: Part(house.log, "lasting"))

    kept = ask(one)
    for new in (two, three):
        if new is two:
            assert ask(two) is kept
        generations.prepared = new
        generations.swap()
        await settled()
        assert ("lasting" in house.log) == (new is three)
    assert ask(three) is not kept
    assert repr(house.lasting) == "<Lasting 1 objects>"


async def test_work_in_the_background_of_an_old_table_may_end_and_is_then_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(generation, "GRACE_S", 0.01)
    house = House()
    one = house.make("one")
    generations = house.generations(one)
    ended = []

    async def quick() -> None:
        await asyncio.sleep(0)
        ended.append("quick")

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("endless")

    one.lent.background.spawn(endless())
    generations.prepared = house.make("two")
    one.lent.background.spawn(quick())
    generations.swap()
    async with asyncio.timeout(5):
        while house.counts[-1] != 1:
            await asyncio.sleep(0.001)
    assert ended == ["quick", "endless"]


async def test_one_that_cannot_be_closed_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    for part in (Part(log, "bad", fails=True), Part(log, "good"), object()):
        await close_part(part)
    assert log == ["good"]
    assert "Part cannot be closed" in caplog.text


def test_now_and_then_what_no_collection_looks_through_is_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    @contextmanager
    def noted(*, is_thorough: bool) -> Iterator[None]:
        seen.append(is_thorough)
        yield

    monkeypatch.setattr(generation, "undisturbed", noted)
    generations = House().generations(House().make("one"))
    for _ in range(2 * generation.THOROUGH_EVERY):
        with generations.building():
            pass
    assert seen.count(True) == 2 and seen[-1]


async def test_a_table_that_is_gone_needs_no_collector() -> None:
    house = House()
    generations = house.generations(house.make("one"))
    gone = weakref.ref(generations.current.lent.shared("knowing", partial(Knowing, generations.current.lent)))
    gc.disable()
    try:
        generations.prepared = house.make("two")
        generations.swap()
        await settled()
        assert gone() is None
    finally:
        gc.enable()
