from typing import Any

import pytest
from pydantic import ValidationError

from gateway.plugin_api import Stage
from plugins.headers import HeadersPlugin
from tests.support.plugins import build, exchange, reply


def test_lines_are_removed_then_set_then_added() -> None:
    plugin = build(
        HeadersPlugin,
        {
            "request": {"set": {"X-A": "new"}, "add": {"X-B": "more"}, "remove": ["X-C"]},
            "reply": {"set": {"X-D": "é"}, "add": {"X-E": "1"}, "remove": ["Server", "X-E", "X-Absent"]},
        },
    )
    made = exchange(headers={"x-a": "old", "x-b": "first", "x-c": "gone", "x-d": "kept"})
    plugin.on_request(made)
    assert made.headers.lines == [(b"x-b", b"first"), (b"x-d", b"kept"), (b"x-a", b"new"), (b"x-b", b"more")]
    made.reply = reply(200, {"Server": "secret/1", "X-E": "0", "X-D": "old"})
    plugin.on_response(made)
    assert made.reply.headers.lines == [(b"x-d", "é".encode()), (b"x-e", b"1")]


def test_one_direction_leaves_the_other_alone() -> None:
    plugin = build(HeadersPlugin, {"reply": {"add": {"X-A": "1"}}})
    made = exchange(headers={"x-a": "0"})
    plugin.on_request(made)
    assert made.headers.lines == [(b"x-a", b"0")]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({}, "name something"),
        ({"request": {}}, "name something"),
        ({"request": {"set": {"Host": "a"}}}, "the gateway's own"),
        ({"request": {"set": {"Content-Length": "1"}}}, "the gateway's own"),
        ({"request": {"remove": ["Connection"]}}, "the gateway's own"),
        ({"request": {"add": {"X_Tenant_Id": "t1"}}}, "only the gateway"),
        ({"request": {"set": {"X-Forwarded-For": "1.2.3.4"}}}, "only the gateway"),
        ({"reply": {"set": {"Transfer-Encoding": "chunked"}}}, "the gateway's own"),
        ({"reply": {"set": {"X-A": "a\r\nX-B: b"}}}, "no line breaks"),
        ({"reply": {"set": {"X A": "a"}}}, "not a header name"),
        ({"reply": {"set": {"X-A": 1}}}, "valid string"),
    ],
)
def test_what_no_policy_may_touch_is_refused_at_load(policy: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(HeadersPlugin, policy)


def test_it_runs_first_so_that_errors_get_the_lines_too() -> None:
    assert HeadersPlugin.stage is Stage.EDGE
