"""Hazard: endpoints are looked after all at the same moment, twice, or after one fault never again."""

import asyncio
import random

import pytest

from gateway.upstreams.rounds import Round, Rounds


class Clock:
    """Sleeps that end when the test says so."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._waiters: list[asyncio.Future[None]] = []

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    async def tick(self) -> None:
        """End every sleep, and run until all sleep again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)


def make() -> tuple[Rounds, Clock, list[str]]:
    clock = Clock()
    return Rounds(random.Random(1), clock.sleep), clock, []


def doing(done: list[str], name: str, every_s: float = 5.0) -> Round:
    async def work() -> None:
        done.append(name)

    return Round(every_s, work)


async def test_the_first_turn_is_soon_and_pauses_are_spread() -> None:
    rounds, clock, done = make()
    rounds.follow({name: doing(done, name) for name in "abcdef"})
    await clock.tick()
    assert len(set(clock.asked)) == 6 and all(0 <= pause <= 1 for pause in clock.asked)
    assert done == []
    clock.asked.clear()
    for _ in range(10):
        await clock.tick()
    assert sorted(set(done)) == list("abcdef") and len(done) == 60
    assert all(4.5 <= pause <= 5.5 for pause in clock.asked) and len(set(clock.asked)) > 50
    rounds.close()


async def test_what_is_known_goes_on_as_it_is_and_what_is_gone_ends() -> None:
    rounds, clock, done = make()
    rounds.follow({"a": doing(done, "a"), "b": doing(done, "b")})
    await clock.tick()
    await clock.tick()
    rounds.follow({"a": doing(done, "another"), "c": doing(done, "c")})
    await clock.tick()
    await clock.tick()
    await clock.tick()
    assert "another" not in done and "c" in done
    assert done.count("b") == 1 and done.count("a") >= 3
    rounds.close()


async def test_a_fault_in_the_work_is_logged_and_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    rounds, clock, done = make()

    async def work() -> None:
        done.append("x")
        raise ZeroDivisionError

    rounds.follow({"a": Round(1.0, work)})
    for _ in range(4):
        await clock.tick()
    assert len(done) == 3
    assert [record.getMessage() for record in caplog.records] == ["looking after an endpoint failed"] * 3
    rounds.close()


async def test_after_the_end_nothing_is_done() -> None:
    rounds, clock, done = make()
    rounds.follow({"a": doing(done, "a")})
    await clock.tick()
    rounds.close()
    for _ in range(3):
        await clock.tick()
    assert done == []
