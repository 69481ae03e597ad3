"""Hazard: a stand-in that the real service is asked beside, or that is not what the table says."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.plugin_api import Exchange, PolicyError, Reply, RouteInfo
from plugins.mock import Mock
from tests.support.plugins import LentServices, exchange


def build(policy: Any, upstream: str | None = "crm") -> Mock:
    return Mock(TypeAdapter(Mock.Policy).validate_python(policy), RouteInfo("r", "/r", None, upstream), LentServices())  # type: ignore[arg-type]


async def nobody(exchange: Exchange) -> Reply:
    raise AssertionError("the upstream was asked")


@pytest.mark.parametrize(
    ("policy", "status", "lines", "body"),
    [
        ({"json": {"a": "é"}}, 200, [(b"content-type", b"application/json")], '{"a": "é"}'),
        ({"status": 404, "text": "no"}, 404, [(b"content-type", b"text/plain; charset=utf-8")], "no"),
        ({"text": "<p>", "headers": {"Content-Type": "text/html"}}, 200, [(b"content-type", b"text/html")], "<p>"),
        ({"status": 204}, 204, [], ""),
    ],
)
async def test_the_reply_is_what_the_table_says(
    policy: Any, status: int, lines: list[tuple[bytes, bytes]], body: str
) -> None:
    asked = exchange()
    call = build(policy).wrap_upstream(nobody)
    for _ in range(2):
        reply = await call(asked)
        assert (reply.status, reply.headers.lines, reply.body) == (status, lines, body.encode())
        # Each exchange has headers of its own.
        reply.headers.add(b"x-a", b"1")
    assert asked.verdicts == {"mock": "answered"}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"json": None, "text": ""}, "not both"),
        ({"status": 204, "json": {}}, "no body"),
        ({"status": 101}, "greater than or equal to 200"),
        ({"headers": {"Content-Length": "1"}}, "the gateway's own"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(policy: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(policy)


def test_what_cannot_be_known_before_the_route_is_refused_at_load() -> None:
    with pytest.raises(PolicyError, match="use respond"):
        build({}, upstream=None)
    with pytest.raises(PolicyError, match="cannot be written as JSON"):
        build({"json": float("nan")})
