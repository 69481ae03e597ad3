"""Hazard: an explanation leaves out what decides, or what is asked is read as another request."""

from typing import Any

import pytest

from gateway.config.table_test import Caller
from gateway.explain.explanation import RequestInvalid, explain, read_request
from gateway.explain.rehearsal import Rehearsal
from tests.explain.material import ENVIRON, load

REHEARSAL = Rehearsal(load())


async def explained(method: str, url: str, **more: Any) -> dict[str, Any]:
    return await explain(REHEARSAL, read_request(method, url, **more))


async def test_a_request_that_goes_to_its_upstream() -> None:
    found = await explained(
        "get", "https://shop.example/api/crm/x?a=b", caller={"tenant": "t1", "plan": "pro", "scopes": "crm.read, b"}
    )
    assert found["request"] == {"method": "GET", "host": "shop.example", "target": "/api/crm/x?a=b"}
    assert found["route"] == {"id": "lists", "position": "routes.yaml:16:3"}
    assert found["why"] == "lists at routes.yaml:16:3 sends it to crm as /crm/x?a=b"
    assert found["caller"] == {
        "tenant": "t1",
        "user": None,
        "plan": "pro",
        "scopes": ["b", "crm.read"],
        "credential": "jwt:main",
    }
    assert [row["policy"] for row in found["policies"]][:4] == ["auth", "allow", "limit", "cache"]
    assert found["reports"]["limit"]["windows"] == ["500/min"]
    assert found["reports"]["limit"]["from"] == "plans at routes.yaml:7:3"
    assert found["reports"]["cache"]["key"] == ["t2:t1", "https", "shop.example", "/api/crm/x", "a=b"]
    upstream = found["upstream"]
    assert (upstream["name"], upstream["position"]) == ("crm", "routes.yaml:14:3")
    assert upstream["endpoints"] == [{"url": "http://127.0.0.1:8101", "weight": 1}]
    assert upstream["target"] == "/crm/x?a=b"
    assert upstream["timeouts"] == {"connect": "1s", "total": "9s", "idle": "none", "send": "true"}
    assert ["x-tenant-id", "t1"] in upstream["headers"]


async def test_a_request_that_is_refused_says_how_far_it_came() -> None:
    found = await explained("GET", "/api/crm/x")
    assert found["outcome"]["code"] == "token_missing"
    assert (found["caller"], found["reports"]) == (None, {})
    assert (found["upstream"]["target"], found["upstream"]["headers"]) == (None, [])


async def test_a_request_that_no_route_serves_names_the_nearest() -> None:
    found = await explained("GET", "/api/x")
    assert (found["route"], found["upstream"], found["policies"]) == (None, None, [])
    assert found["why"] == (
        "no route serves it: 404 no_route; nearest: hosted at routes.yaml:34:3 (host: api.example is wanted)"
    )


async def test_secrets_are_not_shown() -> None:
    found = await explained(
        "GET", "/api/crm/7", caller={"tenant": "t1"}, headers=["Authorization: Basic c2VjcmV0", "Cookie: a=secret"]
    )
    assert ENVIRON["KEY"] not in str(found)
    assert "secret" not in str(found)
    assert "c2VjcmV0" not in str(found)
    assert ["x-key", "${env:KEY}"] in found["upstream"]["headers"]


def test_a_request_as_an_operator_writes_it() -> None:
    request = read_request("post", "/a b/ü?q=1#x", headers=["Accept:  text/html "], token="abc")
    assert (request.method, request.target) == ("POST", "/a%20b/%C3%BC?q=1")
    assert request.headers == (("Accept", "text/html"), ("authorization", "Bearer abc"))
    assert request.caller is None
    assert read_request("GET", "//x/y").target == "//x/y"
    assert read_request("GET", "http://h").target == "/"
    assert read_request("GET", "/a%2Fb").target == "/a%2Fb"
    caller = read_request("GET", "/", caller={"tenant": None, "modules": "crm,hr"}).caller
    assert caller == Caller(claims={"modules": ["crm", "hr"]})


@pytest.mark.parametrize(
    ("method", "url", "headers", "said"),
    [
        ("FETCH", "/", [], "FETCH is not a method"),
        ("GET", "a", [], "begins with /"),
        ("GET", "ftp://a/b", [], "neither a path nor"),
        ("GET", "http://a b/", [], "neither a path nor"),
        ("GET", "http:///a", [], "neither a path nor"),
        ("GET", "/", ["a b: c"], "is no header"),
        ("GET", "/", ["a"], "is no header"),
        ("GET", "/", ["a: b\r\nc: d"], "is no header"),
    ],
)
def test_what_is_no_request_is_refused(method: str, url: str, headers: list[str], said: str) -> None:
    with pytest.raises(RequestInvalid, match=said):
        read_request(method, url, headers=headers)
