"""Hazard: a ticket is given back twice, or never."""

import asyncio

import pytest

from gateway.core.adaptive_limit import LimitSettings
from gateway.core.errors import GatewayError
from gateway.core.identity import Identity
from gateway.observe.metrics import WorkerMetrics
from gateway.proxy.attempt_notes import enter, leave, notes_of
from gateway.upstreams.admission import NORMAL, AdmissionSettings
from gateway.upstreams.guard import Guard
from tests.support.plugins import exchange


def make(queue: int = 0) -> Guard:
    settings = AdmissionSettings(LimitSettings(1, 1, 1), queue, 1.0)
    return Guard("crm", (None, settings), asyncio.get_running_loop(), WorkerMetrics())


def in_flight(guard: Guard) -> int:
    assert guard.admission is not None
    return guard.admission.in_flight


async def test_a_ticket_is_given_back_once() -> None:
    guard, asked = make(), exchange()
    leave(asked, guard, "ok")
    await enter(asked, guard, NORMAL, asyncio.get_running_loop())
    assert in_flight(guard) == 1
    leave(asked, guard, "ok")
    leave(asked, guard, "ok")
    assert in_flight(guard) == 0
    assert notes_of(asked) is notes_of(asked)


async def test_a_repeat_does_not_wait_for_a_place() -> None:
    guard, first, again = make(queue=9), exchange(), exchange()
    loop = asyncio.get_running_loop()
    await enter(first, guard, NORMAL, loop)
    again.attempts = 1
    with pytest.raises(GatewayError, match="upstream_overloaded"):
        await enter(again, guard, NORMAL, loop)


async def test_nobody_waits_longer_than_to_his_deadline() -> None:
    guard, first, late = make(queue=9), exchange(), exchange()
    loop = asyncio.get_running_loop()
    await enter(first, guard, NORMAL, loop)
    late.deadline_s = loop.time() - 1.0
    with pytest.raises(GatewayError, match="upstream_overloaded"):
        await enter(late, guard, NORMAL, loop)


async def test_who_takes_turns_is_the_tenant_and_the_address_where_there_is_none() -> None:
    guard = make(queue=3)
    loop = asyncio.get_running_loop()
    await enter(exchange(), guard, NORMAL, loop)
    waiting = {}
    for name, tenant, address in (("a1", "a", "192.0.2.1"), ("a2", "a", "192.0.2.2"), ("n1", None, "192.0.2.1")):
        one = exchange(client_ip=address)
        if tenant is not None:
            one.identity = Identity(
                tenant=tenant, user=None, plan=None, scopes=frozenset(), claims={}, credential="jwt:a"
            )
        waiting[name] = loop.create_task(enter(one, guard, NORMAL, loop))
    await asyncio.sleep(0)
    # The queue is full: the latest of the tenant that has two in it has to go.
    waiting["n2"] = loop.create_task(enter(exchange(client_ip="192.0.2.3"), guard, NORMAL, loop))
    with pytest.raises(GatewayError, match="upstream_overloaded"):
        await waiting.pop("a2")
    for _ in waiting:
        assert guard.admission is not None
        guard.admission.leave(None, 0.0)
    await asyncio.gather(*waiting.values())


async def test_what_nobody_waits_for_makes_room_for_all_others() -> None:
    guard = make(queue=1)
    loop = asyncio.get_running_loop()
    await enter(exchange(), guard, NORMAL, loop)
    ahead = exchange()
    ahead.is_background = True
    fetching = loop.create_task(enter(ahead, guard, NORMAL, loop))
    await asyncio.sleep(0)
    asked = loop.create_task(enter(exchange(), guard, NORMAL, loop))
    with pytest.raises(GatewayError, match="upstream_overloaded"):
        await fetching
    assert guard.admission is not None
    guard.admission.leave(None, 0.0)
    await asked
