import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.plugin_api import LIMITS_REPORT, PolicyError, RouteInfo
from plugins.respond import Respond
from tests.support.plugins import LentServices, build, exchange


@pytest.mark.parametrize(
    ("policy", "status", "content_type", "body"),
    [
        ({"json": {"ok": True, "name": "é"}}, 200, b"application/json", '{"ok": true, "name": "é"}'),
        ({"json": None}, 200, b"application/json", "null"),
        ({"text": "Back at noon"}, 200, b"text/plain; charset=utf-8", "Back at noon"),
        ({"status": 503, "text": ""}, 503, b"text/plain; charset=utf-8", ""),
        ({"text": "<p>", "headers": {"Content-Type": "text/html"}}, 200, b"text/html", "<p>"),
        ({"status": 204}, 204, None, ""),
        ({}, 200, None, ""),
    ],
)
def test_the_answer_is_what_the_table_says(policy: Any, status: int, content_type: bytes | None, body: str) -> None:
    answer = build(Respond, policy).on_request(exchange())
    assert (answer.status, answer.headers.get(b"content-type"), answer.body) == (status, content_type, body.encode())


def test_each_exchange_has_headers_of_its_own() -> None:
    plugin = build(Respond, {"headers": {"Retry-After": "600"}})
    plugin.on_request(exchange()).headers.add(b"x-a", b"1")
    assert plugin.on_request(exchange()).headers.lines == [(b"retry-after", b"600")]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"json": None, "text": ""}, "not both"),
        ({"status": 204, "text": ""}, "no body"),
        ({"status": 304, "json": {}}, "no body"),
        ({"status": 101}, "greater than or equal to 200"),
        ({"status": 600}, "less than or equal to 599"),
        ({"headers": {"Content-Length": "1"}}, "the gateway's own"),
        ({"json_body": 1}, "not permitted"),
        ({"limits": True, "text": ""}, "the whole answer"),
        ({"limits": True, "status": 201}, "the whole answer"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(policy: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(Respond, policy)


def test_what_is_no_json_is_refused_at_load() -> None:
    with pytest.raises(PolicyError, match="cannot be written as JSON"):
        build(Respond, {"json": {"a": float("inf")}})


def test_limits_is_what_limit_found_of_the_caller() -> None:
    route = RouteInfo("mine", "/me", None, None, {"limit": "any"})
    plugin = Respond(TypeAdapter(Respond.Policy).validate_python("limits"), route, LentServices())  # type: ignore[arg-type]
    asked = exchange()
    asked.state[LIMITS_REPORT] = {"plan": "free", "windows": []}
    answer = plugin.on_request(asked)
    assert json.loads(answer.body) == {"plan": "free", "windows": []}
    assert answer.headers.lines == [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


def test_limits_where_there_is_no_limit_is_refused_at_load() -> None:
    with pytest.raises(PolicyError, match="give the route a limit"):
        build(Respond, "limits")
