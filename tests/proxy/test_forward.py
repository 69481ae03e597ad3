"""Hazard: a verdict on an attempt that costs the client a reply, or the upstream a second request. Over sockets:
`faults/test_retries.py`, `faults/test_pooled_connections.py`.
"""

import asyncio
import random
import socket
from time import monotonic
from typing import Any

import pytest

from gateway.core.ejection import EjectRule
from gateway.core.errors import BODY_TOO_LARGE, UPSTREAM_RESET, UPSTREAM_UNREACHABLE, GatewayError
from gateway.core.headers import Headers
from gateway.observe.metrics import WorkerMetrics
from gateway.plugin_api import Exchange, Reply, RouteInfo
from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.forward import Forwarder, ForwardPolicy
from gateway.proxy.outbox import Outbox
from gateway.proxy.upstream_error import UpstreamError
from gateway.upstreams.registry import Care, Registry, UpstreamShape
from tests.support.plugins import Pieces, exchange

REFUSED = UpstreamError(UPSTREAM_UNREACHABLE, "x", "connect", is_sent=False)
RESET = UpstreamError(UPSTREAM_RESET, "x", "reset")
STALE = UpstreamError(UPSTREAM_RESET, "x", "reset", is_stale=True)


class Judge:
    """A forwarder with one route, two attempts and everything on its list, and what it counts."""

    def __init__(self, **more: Any) -> None:
        care = Care(eject=EjectRule(errors=5, for_s=30.0, at_most=0.5))
        shape = UpstreamShape("crm", (("http://127.0.0.1:1", 1),), "round_robin", 1, 60.0, care=care)
        loop = asyncio.get_running_loop()
        self.counted: list[str] = []
        self.upstream = Registry(loop, random.Random(1), WorkerMetrics()).upstream(shape)
        settings: dict[str, Any] = {
            "rewrite": None,
            "location": None,
            "connect_timeout_s": 1.0,
            "idle_timeout_s": None,
            "attempts": 2,
            "retry_on": frozenset({"connect", "reset", "503"}),
            "retry_ratio": 0.2,
        }
        self.upstream.take_charge()
        self.forwarder = Forwarder(loop, Outbox(loop))
        policy = ForwardPolicy(upstream=self.upstream, count_attempt=self.counted.append, **{**settings, **more})
        self.forwarder.policies = {"crm": policy}

    def is_final(self, outcome: Reply | GatewayError, method: str = "GET", **more: Any) -> bool:
        return self.forwarder.judge(self.asked(method, **more), outcome)

    def asked(
        self, method: str = "GET", *, attempts: int = 1, deadline_s: float | None = None, **more: Any
    ) -> Exchange:
        asked = exchange(method, "/", **more)
        asked.route = RouteInfo("crm", "/*", None, "crm")
        asked.endpoint = "127.0.0.1:1"
        asked.attempts = attempts
        asked.deadline_s = deadline_s
        return asked


async def test_a_good_reply_is_final_whatever_its_status_below_500() -> None:
    judge = Judge()
    for status in (200, 304, 404, 429, 499):
        assert judge.is_final(Reply(status))
    assert judge.counted == ["ok"] * 5


@pytest.mark.parametrize(
    ("outcome", "method", "more", "is_final"),
    [
        (Reply(503), "GET", {}, False),
        (Reply(503), "POST", {}, True),
        (Reply(500), "GET", {}, True),
        (Reply(503), "GET", {"attempts": 2}, True),
        (Reply(503), "GET", {"deadline_s": 1.0}, True),
        (Reply(503), "GET", {"body": Pieces(b"x")}, True),
        (RESET, "GET", {}, False),
        (RESET, "PUT", {}, False),
        (RESET, "PATCH", {}, True),
        (Reply(503, Headers([(b"retry-after", b"1")])), "GET", {}, False),
        (Reply(503, Headers([(b"retry-after", b"60")])), "GET", {}, True),
        (Reply(503, Headers([(b"retry-after", b"1")])), "GET", {"deadline_s": monotonic() + 0.5}, True),
        (REFUSED, "POST", {}, False),
        (REFUSED, "POST", {"body": Pieces(b"x")}, False),
        (STALE, "PUT", {}, False),
        (STALE, "GET", {"attempts": 9}, False),
        (STALE, "POST", {}, True),
        (STALE, "PUT", {"body": Pieces(b"x")}, True),
        (GatewayError(BODY_TOO_LARGE), "GET", {}, True),
    ],
    ids=lambda value: getattr(value, "cause", None) or (str(value.status) if isinstance(value, Reply) else None),
)
async def test_what_is_tried_again(
    outcome: Reply | GatewayError, method: str, more: dict[str, Any], is_final: bool
) -> None:
    assert Judge().is_final(outcome, method, **more) is is_final


@pytest.mark.parametrize(
    ("outcome", "failures"),
    [
        (Reply(200), 0),
        (Reply(404), 0),
        (Reply(500), 0),
        (Reply(503), 3),
        (RESET, 3),
        (REFUSED, 3),
        (STALE, 2),  # an idle connection that was closed says nothing of its endpoint
        (GatewayError(BODY_TOO_LARGE), 2),
    ],
)
async def test_each_outcome_is_told_to_its_endpoint(outcome: Reply | GatewayError, failures: int) -> None:
    judge = Judge()
    judge.is_final(Reply(503))
    judge.is_final(Reply(502))
    judge.is_final(outcome)
    assert judge.upstream.endpoints[0].report()["failures"] == failures


async def test_a_stale_connection_is_no_attempt_and_takes_nothing_of_the_budget() -> None:
    judge = Judge()
    before = judge.upstream.retry_budget.tokens
    asked = judge.asked()
    assert judge.forwarder.judge(asked, STALE) is False
    assert asked.attempts == 0
    assert judge.upstream.retry_budget.tokens == before
    assert judge.counted == ["reset"]


async def test_a_retry_takes_its_token_and_without_one_there_is_none() -> None:
    judge = Judge()
    judge.upstream.retry_budget.tokens = 1.5
    assert not judge.is_final(RESET)
    assert judge.is_final(RESET)


async def test_a_reply_that_is_given_up_for_another_attempt_is_closed() -> None:
    body = Pieces(b"x")
    assert not Judge().is_final(Reply(503, body=body))
    assert body.is_closed
    kept = Pieces(b"x")
    assert Judge(attempts=1).is_final(Reply(503, body=kept))
    assert not kept.is_closed


async def test_the_clients_fault_is_not_counted_against_the_upstream() -> None:
    judge = Judge()
    judge.is_final(GatewayError(BODY_TOO_LARGE))
    assert judge.counted == []


async def test_what_was_refused_is_raised_after_the_last_attempt() -> None:
    judge = Judge(connect_timeout_s=5.0)
    asked = judge.asked(attempts=0)
    with pytest.raises(GatewayError, match="upstream_unreachable"):
        await judge.forwarder.send(asked)
    assert asked.attempts == 2
    assert asked.endpoint == "127.0.0.1:1"
    assert judge.counted == ["connect", "connect"]
    assert judge.upstream.endpoints[0].pool.open == 0
    assert 0 < asked.upstream_started_s <= monotonic()


async def test_a_start_without_a_connection_at_hand_leaves_its_choice_to_send() -> None:
    judge = Judge()
    asked = judge.asked(attempts=0)
    assert judge.forwarder.start(asked, lambda _: None) is None
    assert (asked.endpoint, asked.attempts) == ("127.0.0.1:1", 0)
    assert judge.forwarder.start(judge.asked(attempts=0, body=Pieces(b"x")), lambda _: None) is None


@pytest.mark.parametrize(
    ("asked", "is_used"),
    [
        (exchange("GET", "/"), True),  # it may be sent again
        (exchange("POST", "/"), False),
        (exchange("PATCH", "/", body=b"x"), False),
        (exchange("PUT", "/", body=Pieces(b"x")), False),
    ],
    ids=["GET", "POST", "PATCH", "PUT of a stream"],
)
async def test_what_may_not_be_sent_twice_goes_over_no_connection_that_the_kernel_knows_is_closed(
    asked: Exchange, is_used: bool
) -> None:
    judge = Judge()
    endpoint = judge.upstream.endpoints[0]
    pool = endpoint.pool
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert pool.reserve()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: UpstreamConnection(loop, Outbox(loop), pool.put, pool.forget), *server.getsockname()
        )
        peer, _ = server.accept()
        pool.put(connection)
        assert judge.forwarder._idle(asked, endpoint) is connection
        pool.put(connection)
        # Without a turn of the loop, which would tell the pool.
        peer.close()
        assert judge.forwarder._idle(asked, endpoint) is (connection if is_used else None)
        connection.close()
    assert pool.open == 0
