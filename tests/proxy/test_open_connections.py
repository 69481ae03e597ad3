"""Hazard: a connection that nobody looks at, or a worker that cannot end because of one."""

import asyncio

from gateway.proxy.open_connections import OpenConnections


class One:
    def __init__(self, lane: OpenConnections) -> None:
        self.lane = lane
        self.told: list[str] = []
        self.looked_at = asyncio.Event()
        lane.add(self)

    def close_if_late(self, now_s: float) -> None:
        self.looked_at.set()

    def close_when_done(self) -> None:
        self.told.append("close_when_done")

    def abort(self) -> None:
        self.told.append("abort")
        self.lane.discard(self)


def lane(sweep_s: float = 0.001) -> OpenConnections:
    return OpenConnections(asyncio.get_running_loop(), sweep_s)


async def test_all_are_looked_at_again_and_again_while_there_are_any() -> None:
    connections = lane()
    one, other = One(connections), One(connections)
    for _ in range(2):
        await one.looked_at.wait()
        await other.looked_at.wait()
        one.looked_at.clear()
        other.looked_at.clear()
    connections.discard(one)
    connections.discard(other)
    while connections._sweeper is not None:
        await asyncio.sleep(0)
    await One(connections).looked_at.wait()
    await connections.shutdown(0)


async def test_at_the_end_those_at_rest_leave_and_the_others_have_their_time() -> None:
    connections = lane()
    one, other = One(connections), One(connections)
    connections.close_idle()
    assert one.told == other.told == ["close_when_done"]
    ended = asyncio.create_task(connections.shutdown(30))
    await asyncio.sleep(0)
    connections.discard(one)
    assert not ended.done()
    connections.discard(other)
    await ended
    assert connections._sweeper is None


async def test_those_that_take_longer_are_broken_off() -> None:
    connections = lane()
    one = One(connections)
    await connections.shutdown(0)
    assert one.told == ["abort"]


async def test_without_any_the_end_is_at_once() -> None:
    await lane().shutdown(30)
