from typing import Any

import pytest
from pydantic import ValidationError

from gateway.core.errors import GatewayError
from gateway.plugin_api import Exchange, PolicyError
from plugins.cors import Cors
from tests.support.plugins import build, exchange, reply

APP = "https://app.example"


def ask(plugin: Cors, method: str = "GET", upstream: dict[str, str] | None = None, **headers: str) -> Exchange:
    """The exchange after all hooks, as the pipeline runs them."""
    made = exchange(method, headers={name.replace("_", "-"): value for name, value in headers.items()})
    made.reply = plugin.on_request(made) or reply(200, upstream)
    plugin.on_response(made)
    return made


def head(made: Exchange) -> dict[str, str]:
    assert made.reply is not None
    lines = [(name.decode(), value.decode()) for name, value in made.reply.headers]
    assert len(dict(lines)) == len(lines), "a browser refuses a CORS field that is repeated"
    return dict(lines)


def preflight(plugin: Cors, origin: str = APP, **headers: str) -> Exchange:
    return ask(plugin, "OPTIONS", Origin=origin, Access_Control_Request_Method="PUT", **headers)


def test_a_preflight_is_answered_with_all_that_the_page_may_do() -> None:
    made = preflight(
        build(Cors, {"origins": [APP], "headers": ["X-A", "X-B"], "max_age": "1h"}, methods=["PUT", "GET"])
    )
    assert made.reply is not None
    assert made.reply.status == 204
    assert made.reply.body == b""
    allowed = head(made)
    assert allowed.pop("access-control-expose-headers")
    assert allowed == {
        "access-control-allow-origin": APP,
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "X-A, X-B",
        "access-control-max-age": "3600",
        "vary": "Origin",
    }


def test_the_usual_methods_and_headers_are_allowed_unless_said() -> None:
    allowed = head(preflight(build(Cors, [APP])))
    assert allowed["access-control-allow-methods"] == "DELETE, GET, HEAD, PATCH, POST, PUT"
    assert "Authorization" in allowed["access-control-allow-headers"].split(", ")


def test_a_preflight_of_a_stranger_is_refused() -> None:
    plugin = build(Cors, [APP])
    with pytest.raises(GatewayError) as caught:
        preflight(plugin, "https://evil.example")
    assert caught.value.kind.code == "origin_refused"


def test_any_header_is_answered_by_name() -> None:
    plugin = build(Cors, {"origins": [APP], "headers": ["*"], "credentials": True})
    allowed = head(preflight(plugin, Access_Control_Request_Headers="authorization, x-z"))
    assert allowed["access-control-allow-headers"] == "authorization, x-z"
    assert "access-control-allow-headers" not in head(preflight(plugin))


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": APP}, {"Access_Control_Request_Method": "PUT"}],
)
def test_an_options_request_that_is_no_preflight_goes_on(headers: dict[str, str]) -> None:
    made = ask(build(Cors, [APP]), "OPTIONS", **headers)
    assert made.reply is not None
    assert made.reply.status == 200


def test_a_get_is_never_a_preflight() -> None:
    made = ask(build(Cors, [APP]), Origin=APP, Access_Control_Request_Method="PUT")
    assert made.reply is not None
    assert made.reply.status == 200


def test_replies_say_who_may_read_them_and_what() -> None:
    plugin = build(Cors, {"origins": [APP], "expose": ["ETag"], "credentials": True})
    assert head(ask(plugin, Origin=APP)) == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "ETag",
        "vary": "Origin",
    }


def test_strangers_and_those_without_an_origin_get_the_reply_but_no_leave() -> None:
    plugin = build(Cors, {"origins": [APP], "credentials": True})
    assert head(ask(plugin, Origin="https://evil.example")) == {"vary": "Origin"}
    assert head(ask(plugin)) == {"vary": "Origin"}


def test_what_the_upstream_says_of_cors_is_replaced() -> None:
    upstream = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "X-Secret",
        "Vary": "Accept",
    }
    plugin = build(Cors, {"origins": [APP], "expose": []})
    assert head(ask(plugin, upstream=upstream, Origin=APP)) == {
        "access-control-allow-origin": APP,
        "vary": "Accept, Origin",
    }
    assert head(ask(plugin, upstream=upstream, Origin="null")) == {"vary": "Accept, Origin"}


def test_every_page_may_read_with_a_star() -> None:
    plugin = build(Cors, {"origins": ["*"], "expose": []})
    assert head(ask(plugin)) == head(ask(plugin, Origin="null")) == {"access-control-allow-origin": "*"}
    assert head(preflight(plugin, "https://any.example"))["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("origin", "may_read"),
    [
        ("https://a.example", True),
        ("https://b.a.example", True),
        ("https://example", False),
        ("https://.example", False),
        ("http://a.example", False),
        ("https://a.example:8443", False),
        ("https://a.example.evil", False),
        ("https://evil.com/.example", False),
        ("https://a.example\n", False),
        ("https://aXexample", False),
        ("https://x.port.test:8443", True),
        ("https://x.port.test", False),
        ("https://exact.test", True),
        ("https://sub.exact.test", False),
        ("null", False),
    ],
)
def test_a_star_in_an_origin_is_labels_and_nothing_else(origin: str, may_read: bool) -> None:
    plugin = build(Cors, ["https://*.example", "https://*.port.test:8443", "https://exact.test"])
    assert ("access-control-allow-origin" in head(ask(plugin, Origin=origin))) == may_read


@pytest.mark.parametrize("key", ["origins", "methods", "expose"])
def test_a_star_with_credentials_is_refused_at_load(key: str) -> None:
    with pytest.raises(PolicyError, match="list them") as caught:
        build(Cors, {"origins": [APP], "credentials": True, key: ["*"]})
    assert caught.value.path == (key,)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ([], "at least 1"),
        (["app.example"], "not an origin"),
        (["https://app.example/"], "not an origin"),
        (["https://*"], "not an origin"),
        (["https://a*.example"], "not an origin"),
        (["https://App.example"], "not an origin"),
        (["null"], "not an origin"),
        (["https://app.example:443"], "leave the port out"),
        ({"origins": [APP], "headers": ["a b"]}, "not a name"),
        ({"origins": [APP], "methods": ["GET\r\n"]}, "not a name"),
        ({"origins": [APP], "max_age": 600}, "duration"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(policy: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(Cors, policy)
