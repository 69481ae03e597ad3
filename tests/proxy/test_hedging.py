"""Hazard: the slower reply wins, a loser's connection stays open, or a hedge doubles the load. Over sockets:
`faults/test_hedging.py`.
"""

import asyncio
from typing import Any

import pytest

from gateway.core.errors import UPSTREAM_UNREACHABLE, GatewayError
from gateway.plugin_api import Reply
from gateway.proxy.hedging import Hedge, HedgedAttempt, Runner, may_hedge, race
from gateway.proxy.upstream_error import UpstreamError
from tests.support.plugins import Pieces, exchange

REFUSED = UpstreamError(UPSTREAM_UNREACHABLE, "x", "connect", is_sent=False)


class Attempt:
    """An attempt that ends when the test says how."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.runner = Runner(None, None, asyncio.get_running_loop().create_task(self._run()))  # type: ignore[arg-type]

    async def _run(self) -> Reply:
        return await self.future

    def end(self, outcome: Reply | GatewayError) -> None:
        if isinstance(outcome, Reply):
            self.future.set_result(outcome)
        else:
            self.future.set_exception(outcome)


class Race:
    def __init__(self, delay_s: float = 0.0) -> None:
        self.first, self.other = Attempt(), Attempt()
        self.is_started = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(race(self.first.runner, delay_s, self._second))

    def _second(self) -> Runner | None:
        self.is_started.set()
        return self.other.runner


async def test_the_first_good_head_wins_and_the_other_attempt_is_cancelled() -> None:
    run = Race()
    await run.is_started.wait()
    run.other.end(Reply(200))
    assert await run.task == (run.other.runner, run.first.runner)
    await asyncio.sleep(0)
    assert run.first.runner.task.cancelled()


async def test_a_first_that_is_quick_has_no_other() -> None:
    run = Race(delay_s=60.0)
    run.first.end(Reply(200))
    assert await run.task == (run.first.runner, None)
    assert not run.is_started.is_set()
    run.other.runner.task.cancel()


@pytest.mark.parametrize("bad", [Reply(503), REFUSED], ids=["503", "refused"])
@pytest.mark.parametrize("is_first_bad", [True, False])
async def test_a_bad_head_does_not_win_while_the_other_may_be_good(
    bad: Reply | GatewayError, is_first_bad: bool
) -> None:
    run = Race()
    await run.is_started.wait()
    one, two = (run.first, run.other) if is_first_bad else (run.other, run.first)
    one.end(bad)
    await asyncio.sleep(0.01)
    assert not run.task.done()
    two.end(Reply(200))
    assert await run.task == (two.runner, one.runner)


async def test_where_both_fail_the_first_counts() -> None:
    run = Race()
    await run.is_started.wait()
    run.other.end(Reply(503))
    run.first.end(REFUSED)
    assert await run.task == (run.first.runner, run.other.runner)
    assert run.first.runner.outcome is REFUSED


async def test_a_reply_that_lost_is_let_go() -> None:
    run = Race()
    await run.is_started.wait()
    body = Pieces(b"x")
    run.first.end(Reply(200))
    run.other.end(Reply(200, body=body))
    assert (await run.task)[0] is run.first.runner
    await asyncio.sleep(0)
    assert body.is_closed


async def test_a_client_that_leaves_ends_both() -> None:
    run = Race()
    await run.is_started.wait()
    run.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run.task
    await asyncio.sleep(0)
    assert run.first.runner.task.cancelled() and run.other.runner.task.cancelled()


async def test_a_fault_of_ours_is_no_outcome() -> None:
    attempt = Attempt()
    attempt.future.set_exception(ZeroDivisionError())
    await asyncio.wait([attempt.runner.task])
    with pytest.raises(ZeroDivisionError):
        _ = attempt.runner.outcome


def test_after_is_a_time_or_the_p95_of_what_was_seen() -> None:
    fixed, adaptive = Hedge(0.05, 0.1, lambda _: None), Hedge(None, 0.1, lambda _: None)
    for hedge in (fixed, adaptive):
        for value in range(1, 101):
            hedge.saw(float(value))
    assert (fixed.delay_s(), adaptive.delay_s()) == (0.05, 95.0)
    assert Hedge(None, 0.1, lambda _: None).delay_s() is None


class Two:
    """As much of an upstream as hedging asks for."""

    endpoints = ("one", "other")


@pytest.mark.parametrize(
    ("method", "more", "endpoints", "is_hedged"),
    [
        ("GET", {}, 2, True),
        ("HEAD", {"body": b"query"}, 2, True),
        ("GET", {}, 1, False),
        ("PUT", {}, 2, False),
        ("POST", {}, 2, False),
        ("GET", {"body": Pieces(b"x")}, 2, False),
        ("GET", {"headers": {"Upgrade": "websocket"}}, 2, False),
    ],
)
def test_only_what_is_safe_and_here_may_be_at_two_endpoints(
    method: str, more: dict[str, Any], endpoints: int, is_hedged: bool
) -> None:
    upstream: Any = type("Some", (), {"endpoints": ("e",) * endpoints})()
    assert may_hedge(exchange(method, "/", **more), upstream) is is_hedged


def test_a_hedged_attempt_needs_no_guard() -> None:
    hedged = HedgedAttempt(exchange(), Two(), None, Hedge(0.1, 0.1, lambda _: None), lambda _: None)  # type: ignore[arg-type]
    assert hedged._second is None
