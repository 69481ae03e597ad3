"""Hazard: a worker that never ends, since something in it forgot that it was told to."""

import asyncio

import pytest

from gateway.stores import ending
from gateway.stores.ending import end


async def test_who_forgets_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "AGAIN_S", 0.01)
    told = 0

    async def forgetful() -> None:
        nonlocal told
        while told < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told += 1

    async def obedient() -> None:
        await asyncio.Event().wait()

    tasks = [asyncio.ensure_future(work()) for work in (forgetful, obedient)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end(*tasks)
    assert told == 2
    assert [task.cancelled() for task in tasks] == [False, True]


async def test_who_failed_is_no_trouble() -> None:
    async def failing() -> None:
        raise ValueError("as asked")

    task = asyncio.ensure_future(failing())
    await asyncio.sleep(0)
    await end(task)
    await end()
