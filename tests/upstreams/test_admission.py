"""Hazard: a place that is lost or given twice, a wait without end, a refusal that nobody sees."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.adaptive_limit import LimitSettings
from gateway.observe.metrics import WorkerMetrics
from gateway.observe.metrics_buffer import map_buffer
from gateway.observe.metrics_reader import MetricsReader
from gateway.upstreams.admission import NORMAL, PRIORITIES, Admission, AdmissionSettings, Overloaded
from tests.support.gateway import metric


class Clock:
    """A loop of which the test moves the time; its futures are the real loop's."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.timers: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []
        self.create_future = asyncio.get_running_loop().create_future

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, call: Callable[..., None], *args: Any) -> Any:
        timer = (self.now_s + delay_s, call, args)
        self.timers.append(timer)

        class Handle:
            def cancel(_) -> None:  # noqa: N805
                if timer in self.timers:
                    self.timers.remove(timer)

        return Handle()

    async def advance(self, by_s: float) -> None:
        self.now_s += by_s
        for timer in sorted(self.timers, key=lambda timer: timer[0]):
            if timer[0] <= self.now_s and timer in self.timers:
                self.timers.remove(timer)
                timer[1](*timer[2])
        await turns()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Rig:
    def __init__(self, places: int = 1, queue: int = 2, wait_s: float = 1.0) -> None:
        self.clock = Clock()
        memory = map_buffer()
        self.reader = MetricsReader([memory])
        settings = AdmissionSettings(LimitSettings(places, places, places), queue, wait_s)
        self.admission = Admission("crm", settings, self.clock, WorkerMetrics(memory))  # type: ignore[arg-type]

    def waiting(self, flow: str = "t1", priority: int = NORMAL, wait_s: float = 60.0) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self.admission.enter(flow, priority, wait_s))

    def metric(self, name: str, **labels: str) -> float:
        return metric(self.reader.text(), name, upstream="crm", **labels)


async def test_places_are_given_up_to_the_limit_and_then_in_turn() -> None:
    rig = Rig()
    assert rig.admission.enter_now()
    assert not rig.admission.enter_now()
    one, other = rig.waiting("t1"), rig.waiting("t2")
    await turns()
    assert rig.metric("gateway_upstream_queued") == 2
    rig.admission.leave(0.01, 1000.0)
    await turns()
    assert one.done() and not other.done()
    assert rig.admission.in_flight == 1
    rig.admission.leave(0.01, 1000.0)
    await other
    assert rig.metric("gateway_upstream_queued") == 0
    assert rig.metric("gateway_upstream_concurrency_limit") == 1
    assert repr(rig.admission).startswith("<Admission crm in_flight=1 <AdaptiveLimit 1 ")


async def test_nobody_overtakes_who_waits() -> None:
    rig = Rig()
    assert rig.admission.enter_now()
    waiting = rig.waiting()
    await turns()
    rig.admission.leave(None, 1000.0)
    assert not rig.admission.enter_now()
    await waiting


@pytest.mark.parametrize(("own_s", "at_s"), [(60.0, 1.0), (0.2, 0.2)])
async def test_who_waits_too_long_is_refused(own_s: float, at_s: float) -> None:
    rig = Rig()
    rig.admission.enter_now()
    waiting = rig.waiting(wait_s=own_s)
    await turns()
    await rig.clock.advance(at_s - 0.01)
    assert not waiting.done()
    await rig.clock.advance(0.02)
    with pytest.raises(Overloaded):
        await waiting
    assert rig.metric("gateway_upstream_shed_total", priority="normal") == 1
    assert rig.metric("gateway_upstream_queued") == 0


async def test_where_the_queue_is_full_the_least_important_is_refused() -> None:
    rig = Rig(queue=1)
    rig.admission.enter_now()
    low = rig.waiting(priority=PRIORITIES.index("low"))
    await turns()
    critical = rig.waiting(priority=PRIORITIES.index("critical"))
    with pytest.raises(Overloaded):
        await low
    with pytest.raises(Overloaded):
        await rig.waiting()
    rig.admission.leave(None, 1000.0)
    await critical
    assert rig.metric("gateway_upstream_shed_total", priority="critical") == 0


async def test_who_leaves_the_queue_gives_up_nobodys_place() -> None:
    rig = Rig()
    rig.admission.enter_now()
    gone, other = rig.waiting(), rig.waiting()
    await turns()
    gone.cancel()
    await turns()
    rig.admission.leave(None, 1000.0)
    await other
    assert rig.admission.in_flight == 1
    assert rig.clock.timers == []


async def test_a_place_that_comes_as_its_client_leaves_is_the_next_ones() -> None:
    rig = Rig()
    rig.admission.enter_now()
    gone, other = rig.waiting(), rig.waiting()
    await turns()
    rig.admission.leave(None, 1000.0)
    gone.cancel()
    await turns()
    assert gone.cancelled() and other.done()
    assert rig.admission.in_flight == 1


async def test_refusals_are_told_when_they_begin_and_when_they_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway")
    rig = Rig(queue=0)
    rig.admission.enter_now()
    for _ in range(3):
        with pytest.raises(Overloaded):
            await rig.waiting()
    await rig.clock.advance(3.0)
    with pytest.raises(Overloaded):
        await rig.waiting()
    await rig.clock.advance(2.0)
    assert len(caplog.records) == 1
    await rig.clock.advance(3.0)
    assert [record.getMessage() for record in caplog.records] == [
        "upstream crm has too much to do: requests are refused; 1 under way, the limit is 1, 0 wait",
        "upstream crm keeps up again: no request was refused for 5 s, 4 were before; the limit is 1",
    ]
    with pytest.raises(Overloaded):
        await rig.waiting()
    assert len(caplog.records) == 3
