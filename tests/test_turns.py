"""Hazard: requests wait for work that nobody waits for; or what such work leaves behind is never cleared away."""

import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from gateway import turns
from gateway.turns import PAUSE_S, STRETCH_S, Turns, undisturbed


class Thing:
    """In a cycle with itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def nothing_frozen() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("nothing_frozen")
def test_undisturbed_puts_everything_back() -> None:
    before = sys.getswitchinterval()
    with undisturbed():
        assert not gc.isenabled()
        assert sys.getswitchinterval() < before
    assert (gc.isenabled(), sys.getswitchinterval()) == (True, before)


@pytest.mark.usefixtures("nothing_frozen")
def test_no_collection_looks_through_what_was_built() -> None:
    with undisturbed():
        built = [Thing()]
    assert not any(thing is built for thing in gc.get_objects())
    # What is in no cycle goes all the same.
    gone = weakref.ref(built[0])
    built[0].itself = None  # type: ignore[assignment]
    built.clear()
    assert gone() is None


@pytest.mark.usefixtures("nothing_frozen")
def test_garbage_in_cycles_goes_when_it_is_thorough() -> None:
    with undisturbed():
        gone = weakref.ref(Thing())
    gc.collect()
    with undisturbed():
        pass
    assert gone() is not None
    with undisturbed(is_thorough=True):
        assert gone() is None


async def test_a_stretch_is_followed_by_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, pauses = 5.0, []

    async def sleep(delay_s: float) -> None:
        nonlocal now_s
        pauses.append(delay_s)
        now_s += delay_s

    monkeypatch.setattr(turns.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    ours = Turns()
    for _ in range(20):
        now_s += STRETCH_S / 2 + 1e-9
        await ours.pause()
    assert pauses == [PAUSE_S] * 10
