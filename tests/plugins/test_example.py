"""How to test a plugin: build it from its policy as routes.yaml has it, call its hooks in the order of the pipeline."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.core.errors import GatewayError
from gateway.plugin_api import Exchange, PolicyError, Reply
from plugins.example import Example
from tests.support.plugins import LentServices, Pieces, build, exchange, reply


def test_the_short_form_and_the_long_form_are_the_same() -> None:
    for policy in ("hello", {"greeting": "hello"}):
        made = exchange()
        assert build(Example, policy).on_request(made) is None
        assert made.headers.get(b"x-greeting") == b"hello"


@pytest.mark.parametrize(
    ("policy", "message"),
    [("", "one line of text"), ("a\nb", "one line of text"), ({"greting": "a"}, "greeting"), (7, "dictionary")],
)
def test_a_bad_policy_is_refused_at_load(policy: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(Example, policy)


def test_a_policy_that_cannot_work_here_says_where_it_is_wrong() -> None:
    with pytest.raises(PolicyError, match="every method") as caught:
        build(Example, {"greeting": "a", "refuse": ["GET"]}, methods=["GET"])
    assert caught.value.path == ("refuse",)


def test_a_hook_may_answer_or_refuse() -> None:
    plugin = build(Example, {"greeting": "hello", "refuse": ["DELETE"]})
    answer = plugin.on_request(exchange(headers={"X-Greeting": "self"}))
    assert answer is not None
    assert answer.body == b"hello"
    with pytest.raises(GatewayError) as caught:
        plugin.on_request(exchange("DELETE"))
    assert caught.value.kind.code == "method_not_allowed"


def test_the_reply_is_marked_and_its_body_changed_where_asked() -> None:
    plugin = build(Example, "hello")
    made = exchange(headers={"X-Shout": "1"})
    plugin.on_request(made)
    made.reply = reply(200, body=b"hi")
    plugin.on_response(made)
    assert made.reply.headers.get(b"x-greeted") == b"yes"
    transform = plugin.body_transform(made)
    assert transform is not None
    assert transform.feed(b"hi") + transform.flush() + transform.finish() == b"HI"


def test_an_error_is_not_marked_and_a_body_left_alone() -> None:
    plugin = build(Example, "hello")
    made = exchange()
    plugin.on_request(made)
    made.reply = reply(502)
    plugin.on_response(made)
    assert b"x-greeted" not in made.reply.headers
    assert plugin.body_transform(made) is None


async def test_the_call_to_the_upstream_is_wrapped() -> None:
    teapot = Pieces(b"short and stout")
    replies = [reply(418, body=teapot), reply(200), reply(418), reply(418)]

    async def call(made: Exchange) -> Reply:
        return replies.pop(0)

    wrapped = build(Example, "hello").wrap_upstream(call)
    assert (await wrapped(exchange())).status == 200
    assert teapot.is_closed
    assert (await wrapped(exchange())).status == 418
    assert replies == []


def test_the_end_is_counted_also_without_a_reply() -> None:
    services = LentServices()
    plugin = build(Example, "hello", services)
    made = exchange()
    plugin.on_finish(made)
    assert services.metrics.counts == {("gateway_example_greeted", ("route", "test")): 1}
    assert made.verdicts == {"example": "greeted"}
    plugin.close()
