"""Hazard: a trial that hits more than it says, or that nobody can tell from a real failure."""

import asyncio
import contextlib
import random
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.core.errors import GatewayError
from gateway.plugin_api import Exchange, Reply
from plugins.fault import Fault
from tests.support.plugins import LentServices, build, exchange
from tests.support.virtual_loop import VirtualLoop, run


class Tried:
    """A plugin around an upstream that counts."""

    def __init__(self, policy: Any) -> None:
        self.services = LentServices()
        self.plugin = build(Fault, policy, self.services)
        self.asked = 0
        self.call = self.plugin.wrap_upstream(self._upstream)

    async def _upstream(self, exchange: Exchange) -> Reply:
        self.asked += 1
        return Reply(200)

    @property
    def counted(self) -> float:
        return self.services.metrics.counts["gateway_faults", ("route", "test")]


async def test_a_status_is_answered_and_nobody_asked() -> None:
    tried, asked = Tried({"status": 502}), exchange()
    with pytest.raises(GatewayError) as raised:
        await tried.call(asked)
    assert (raised.value.kind.code, raised.value.kind.status) == ("fault_injected", 502)
    assert raised.value.headers == ()
    assert (tried.asked, tried.counted, asked.verdicts) == (0, 1, {"fault": "failed"})


@pytest.mark.parametrize("status", [429, 503])
async def test_what_asks_for_patience_says_for_how_long(status: int) -> None:
    with pytest.raises(GatewayError) as raised:
        await Tried({"status": status}).call(exchange())
    assert raised.value.headers == ((b"retry-after", b"1"),)


@pytest.mark.parametrize("policy", [{"delay": "3s"}, {"delay": "3s", "status": 500}])
def test_a_delay_is_waited_for_before_what_follows(policy: dict[str, Any]) -> None:
    async def tried() -> tuple[float, int, str]:
        trial, asked = Tried(policy), exchange()
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        with contextlib.suppress(GatewayError):
            await trial.call(asked)
        return loop.time() - started_s, trial.asked, asked.verdicts["fault"]

    expected = (0, "failed") if "status" in policy else (1, "delayed")
    assert run(VirtualLoop(), tried()) == (3.0, *expected)


async def test_only_its_share_is_hit() -> None:
    tried = Tried({"status": 500, "percent": "10%"})
    tried.plugin.rng = random.Random(1)
    failed = 0
    for _ in range(1000):
        try:
            await tried.call(exchange())
        except GatewayError:
            failed += 1
    assert 70 <= failed <= 130
    assert tried.asked == 1000 - failed
    assert tried.counted == failed


async def test_none_of_them_is_none() -> None:
    tried = Tried({"status": 500, "percent": "0%"})
    for _ in range(100):
        await tried.call(exchange())
    assert tried.asked == 100


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({}, "name a delay or a status"),
        ({"percent": "10%"}, "name a delay or a status"),
        ({"status": 200}, "greater than or equal to 400"),
        ({"status": 503, "percent": 10}, "not a percent"),
        ({"delay": 3}, "not a duration"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(policy: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(Fault, policy)
