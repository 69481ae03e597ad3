"""Hazard: connections beyond the bound, places that are never given back, connections that are too old."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.upstreams.pool import Pool
from tests.upstreams.fake_connection import FakeConnection


class FakeLoop:
    """The clock and the timers of a loop; futures are real."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now_s

    def create_future(self) -> "asyncio.Future[object]":
        return asyncio.get_running_loop().create_future()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> "FakeLoop":
        self.timers.append((self.now_s + delay_s, callback))
        return self

    def cancel(self) -> None:
        self.timers.clear()

    def advance(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.timers and min(self.timers)[0] <= end_s:
            due = min(self.timers, key=lambda timer: timer[0])
            self.timers.remove(due)
            self.now_s = due[0]
            due[1]()
        self.now_s = end_s


def make(size_max: int = 2, idle_s: float = 60.0) -> tuple[Pool, FakeLoop]:
    loop = FakeLoop()
    return Pool(loop, size_max, idle_s), loop  # type: ignore[arg-type]


def opened(pool: Pool, hint_s: float | None = None, now_s: float = 0.0) -> FakeConnection:
    assert pool.reserve()
    return FakeConnection(pool, now_s, hint_s)


def test_the_newest_idle_connection_is_taken_first() -> None:
    pool, _ = make()
    one, other = opened(pool), opened(pool)
    pool.put(one)
    pool.put(other)
    assert repr(pool) == "<Pool open=2/2 idle=2 waiting=0>"
    assert pool.in_use == 0
    assert pool.take_idle() is other
    assert pool.take_idle() is one
    assert pool.take_idle() is None
    assert pool.in_use == 2


def test_no_more_than_the_bound_are_opened() -> None:
    pool, _ = make(2)
    one = opened(pool)
    opened(pool)
    assert not pool.reserve()
    one.close()
    assert pool.reserve()


def test_a_closed_connection_is_never_handed_out() -> None:
    pool, _ = make()
    connection = opened(pool)
    pool.put(connection)
    connection.close()
    assert pool.take_idle() is None
    assert pool.open == 0


async def test_who_waits_gets_the_next_free_connection_in_turn() -> None:
    pool, _ = make(1)
    connection = opened(pool)
    first, second = (asyncio.create_task(pool.wait(5)) for _ in range(2))
    await asyncio.sleep(0)
    assert repr(pool) == "<Pool open=1/1 idle=0 waiting=2>"
    pool.put(connection)
    assert await first is connection
    assert not second.done()
    connection.close()
    # A place to open a connection of one's own.
    assert await second is None
    assert pool.open == 1


async def test_who_waits_too_long_hears_so_and_leaves_the_line() -> None:
    pool, _ = make(1)
    connection = opened(pool)
    with pytest.raises(TimeoutError):
        await pool.wait(0.01)
    pool.put(connection)
    assert pool.take_idle() is connection


async def test_what_was_handed_to_somebody_who_leaves_in_the_same_turn_is_not_lost() -> None:
    pool, _ = make(1)
    connection = opened(pool)
    leaving = asyncio.create_task(pool.wait(5))
    await asyncio.sleep(0)
    pool.put(connection)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert pool.take_idle() is connection


async def test_a_place_that_was_handed_to_somebody_who_leaves_in_the_same_turn_is_not_lost() -> None:
    pool, _ = make(1)
    connection = opened(pool)
    leaving = asyncio.create_task(pool.wait(5))
    await asyncio.sleep(0)
    connection.close()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert pool.open == 0


async def test_a_connection_that_ends_while_it_is_handed_over_is_not_kept() -> None:
    pool, _ = make(1)
    connection = opened(pool)
    leaving = asyncio.create_task(pool.wait(5))
    await asyncio.sleep(0)
    pool.put(connection)
    connection.close()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (pool.open, pool.in_use) == (0, 0)
    assert pool.take_idle() is None


def test_an_idle_connection_grows_old_and_is_closed() -> None:
    pool, loop = make(idle_s=10.0)
    connection = opened(pool)
    pool.put(connection)
    loop.advance(9.5)
    assert not connection.is_closed
    loop.advance(1.0)
    assert connection.is_closed
    assert pool.open == 0
    # Nothing is left to be looked after.
    assert loop.timers == []


def test_the_peers_hint_counts_less_a_second() -> None:
    pool, loop = make(idle_s=60.0)
    kept, doomed = opened(pool, hint_s=5.0), opened(pool, hint_s=1.0)
    pool.put(kept)
    pool.put(doomed)
    assert doomed.is_closed
    loop.advance(3.5)
    assert not kept.is_closed
    loop.advance(1.0)
    assert kept.is_closed


def test_a_closed_pool_keeps_nothing() -> None:
    pool, loop = make()
    idle, working = opened(pool), opened(pool)
    pool.put(idle)
    pool.close()
    assert idle.is_closed and not working.is_closed
    assert loop.timers == []
    pool.put(working)
    assert working.is_closed
    assert pool.open == 0


def test_who_waits_never_gets_a_connection_to_an_address_that_is_gone() -> None:
    pool, _ = make(2)
    gone, kept = opened(pool), opened(pool)
    pool.note_address(gone, "192.0.2.1")
    pool.note_address(kept, "192.0.2.2")
    pool.keep_only(frozenset({"192.0.2.2"}))
    pool.put(gone)
    pool.put(kept)
    assert (gone.is_closed, kept.is_closed) == (True, False)
    untold = opened(pool)
    pool.put(untold)
    assert not untold.is_closed
    assert pool._addresses == {kept: "192.0.2.2"}


async def test_the_line_is_counted_without_those_who_have_left() -> None:
    pool, _ = make(1)
    opened(pool)
    waiting = [asyncio.create_task(pool.wait(5)) for _ in range(3)]
    await asyncio.sleep(0)
    assert pool.waiting == 3
    waiting[1].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert pool.waiting == 2
    for task in waiting:
        task.cancel()
