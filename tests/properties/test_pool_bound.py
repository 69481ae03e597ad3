"""Any order of opening, freeing, closing, waiting and leaving: the bound holds, and no place is lost."""

import asyncio
import contextlib

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.upstreams.pool import Pool
from tests.upstreams.fake_connection import FakeConnection


class PoolMachine(RuleBasedStateMachine):
    """working: connections in use. places: reserved, not yet a connection. waiting: tasks in line."""

    SIZE = 3

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.pool = Pool(self.loop, self.SIZE, 3600.0)
        self.working: list[FakeConnection] = []
        self.everyone: list[FakeConnection] = []
        self.waiting: list[asyncio.Task[object]] = []
        self.places = 0

    def turn(self) -> None:
        """One turn of the loop and a few more, after which nothing is on its way."""
        for _ in range(4):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        for task in [task for task in self.waiting if task.done()]:
            self.waiting.remove(task)
            got = task.result()
            if got is None:
                self.places += 1
            elif isinstance(got, FakeConnection) and not got.is_closed:
                self.working.append(got)

    @rule()
    def begin(self) -> None:
        connection = self.pool.take_idle()
        if connection is not None:
            assert isinstance(connection, FakeConnection) and not connection.is_closed
            self.working.append(connection)
        elif self.pool.reserve():
            self.places += 1
        else:
            self.waiting.append(self.loop.create_task(self.pool.wait(3600)))
            self.turn()

    @precondition(lambda self: self.places)
    @rule(works=st.booleans())
    def connect(self, works: bool) -> None:
        self.places -= 1
        if works:
            connection = FakeConnection(self.pool)
            self.everyone.append(connection)
            self.working.append(connection)
        else:
            self.pool.discard()
            self.turn()

    @precondition(lambda self: self.working)
    @rule(ends=st.sampled_from(["free", "close", "free and close"]), data=st.data())
    def end(self, ends: str, data: st.DataObject) -> None:
        connection = self.working.pop(data.draw(st.integers(0, len(self.working) - 1)))
        if ends != "close":
            self.pool.put(connection)
        if ends != "free":
            connection.close()
        self.turn()

    @precondition(lambda self: self.waiting)
    @rule(frees=st.booleans(), data=st.data())
    def leave(self, frees: bool, data: st.DataObject) -> None:
        task = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        if frees and self.working:
            self.pool.put(self.working.pop())  # perhaps to the very one that leaves
        task.cancel()
        self.turn()
        assert task.done()
        if not task.cancelled():
            got = task.result()
            assert isinstance(got, FakeConnection)
            self.working.append(got)

    @invariant()
    def the_bound_holds(self) -> None:
        alive = [connection for connection in self.everyone if not connection.is_closed]
        assert len(alive) + self.places == self.pool.open <= self.SIZE
        assert self.pool.in_use == len(self.working) + self.places

    @invariant()
    def nobody_waits_while_there_is_room(self) -> None:
        if self.waiting:
            assert self.pool.open == self.SIZE
            assert self.pool.in_use == self.SIZE

    def teardown(self) -> None:
        for task in self.waiting:
            task.cancel()
        for task in self.waiting:
            with contextlib.suppress(asyncio.CancelledError):
                self.loop.run_until_complete(task)
        self.pool.close()
        self.loop.close()


PoolMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPool = PoolMachine.TestCase
