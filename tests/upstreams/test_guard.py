"""Hazard: a ticket that is lost keeps a place for ever; a refusal that names the wrong reason."""

import asyncio

import pytest

from gateway.core.adaptive_limit import LimitSettings
from gateway.core.circuit_breaker import BreakerSettings, State
from gateway.core.errors import GatewayError
from gateway.observe.metrics import WorkerMetrics
from gateway.upstreams.admission import NORMAL, AdmissionSettings
from gateway.upstreams.breaker import UNKNOWN
from gateway.upstreams.guard import Guard

BREAKER = BreakerSettings(error_rate=0.5, window_s=10.0, least=2, open_s=30.0, trials=1)
ONE_PLACE = AdmissionSettings(LimitSettings(1, 1, 1), queue=0, wait_s=1.0)


def make(breaker: BreakerSettings | None = BREAKER, admission: AdmissionSettings | None = ONE_PLACE) -> Guard:
    return Guard("crm", (breaker, admission), asyncio.get_running_loop(), WorkerMetrics())


def in_flight(guard: Guard) -> int:
    assert guard.admission is not None
    return guard.admission.in_flight


async def opened() -> Guard:
    guard = make()
    now_s = asyncio.get_running_loop().time()
    for _ in range(2):
        ticket = guard.enter_now(now_s)
        assert ticket is not None
        guard.leave(ticket, "connect", now_s)
    assert guard.breaker is not None and guard.breaker.state is State.OPEN
    return guard


async def test_an_open_breaker_refuses_with_its_time_and_keeps_no_place() -> None:
    guard = await opened()
    loop = asyncio.get_running_loop()
    assert guard.enter_now(loop.time()) is None
    assert not guard.may_repeat
    with pytest.raises(GatewayError, match="upstream_circuit_open") as raised:
        await guard.enter("t1", NORMAL, 1.0, loop)
    assert dict(raised.value.headers)[b"retry-after"] == b"30"
    assert guard.refusal(loop.time()).kind.code == "upstream_circuit_open"
    assert in_flight(guard) == 0


async def test_a_full_upstream_refuses() -> None:
    guard = make()
    loop = asyncio.get_running_loop()
    ticket = await guard.enter("t1", NORMAL, 1.0, loop)
    assert guard.enter_now(0.0) is None
    assert guard.refusal(0.0).kind.code == "upstream_overloaded"
    with pytest.raises(GatewayError, match="upstream_overloaded") as raised:
        await guard.enter("t2", NORMAL, 1.0, loop)
    assert dict(raised.value.headers)[b"retry-after"] == b"1"
    guard.leave(ticket, "ok", loop.time())
    assert guard.enter_now(0.0) is not None


@pytest.mark.parametrize("cause", ["ok", "500", "503", "connect", "busy", UNKNOWN])
async def test_each_end_gives_the_place_back(cause: str) -> None:
    guard = make()
    ticket = guard.enter_now(1.0)
    assert ticket is not None
    guard.leave(ticket, cause, 2.0)
    assert in_flight(guard) == 0


async def test_either_half_may_be_off() -> None:
    only_breaker, only_limit = make(admission=None), make(breaker=None)
    for guard in (only_breaker, only_limit):
        ticket = guard.enter_now(1.0)
        assert ticket is not None
        guard.leave(ticket, "503", 1.0)
    assert only_breaker.may_repeat and only_limit.may_repeat
    assert repr(only_limit).startswith("<Guard None <Admission crm in_flight=0 ")


@pytest.mark.parametrize(
    ("cause", "is_measured", "baseline_s"),
    [("ok", True, 0.5), ("ok", False, 0.0), ("500", True, 0.0), ("connect", True, 0.0)],
)
async def test_only_a_good_reply_to_a_whole_request_says_how_fast_the_upstream_is(
    cause: str, is_measured: bool, baseline_s: float
) -> None:
    guard = make(breaker=None, admission=AdmissionSettings(LimitSettings(9, 9, 9), 0, 1.0))
    for turn in range(10):
        ticket = guard.enter_now(turn)
        assert ticket is not None
        guard.leave(ticket, cause, turn + 0.5, is_measured=is_measured)
    assert guard.admission is not None
    assert guard.admission._limit.baseline_s == baseline_s


async def test_a_repeat_takes_the_place_of_what_it_repeats_and_only_the_last_one_counts() -> None:
    guard = make()
    for turn in range(9):
        ticket = guard.enter_now(1.0)
        assert ticket is not None
        assert guard.may_repeat
        guard.leave(ticket, "connect" if turn % 2 == 0 else "ok", 1.0, is_final=turn % 2 == 1)
    assert guard.breaker is not None and guard.breaker.state is State.CLOSED


async def test_nobody_who_waits_is_overtaken_by_a_repeat() -> None:
    guard = make(admission=AdmissionSettings(LimitSettings(1, 1, 1), queue=1, wait_s=1.0))
    loop = asyncio.get_running_loop()
    ticket = guard.enter_now(loop.time())
    assert ticket is not None
    waiting = loop.create_task(guard.enter("t1", NORMAL, 1.0, loop))
    await asyncio.sleep(0)
    assert not guard.may_repeat
    guard.leave(ticket, "503", loop.time())
    await waiting


async def test_a_failed_trial_is_not_repeated() -> None:
    guard = await opened()
    trial = guard.enter_now(asyncio.get_running_loop().time() + 31.0)
    assert trial is not None
    assert not guard.may_repeat
