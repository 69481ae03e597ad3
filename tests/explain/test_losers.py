"""Hazard: nobody can say why a request got another route, or none."""

import pytest

from gateway.explain.losers import losers_of
from gateway.explain.rehearsal import Rehearsal, Request
from tests.explain.material import load

REHEARSAL = Rehearsal(load())


async def lost(request: Request, rehearsal: Rehearsal = REHEARSAL) -> dict[str, str]:
    outcome = await rehearsal.run(request)
    return {loser.id: loser.why for loser in losers_of(rehearsal.snapshot, outcome.exchange, outcome.route)}


async def test_every_other_route_with_that_path_says_why() -> None:
    assert await lost(Request("GET", "/api/crm/7")) == {
        "lists": "less specific than records: /api/crm/* against /api/crm/{id:int}",
        "writes": "method: POST only",
        "beta": "header: x-beta: 1 is wanted",
        "hosted": "host: api.example is wanted",
    }


async def test_a_route_may_have_several_reasons() -> None:
    found = await lost(Request("POST", "/api/crm/x"))
    assert found["beta"] == "method: GET only; header: x-beta: 1 is wanted"


async def test_where_the_method_is_missing_the_routes_say_theirs() -> None:
    assert await lost(Request("DELETE", "/api/crm/x")) == {
        "lists": "method: GET only",
        "writes": "method: POST only",
        "beta": "method: GET only; header: x-beta: 1 is wanted",
        "hosted": "host: api.example is wanted",
    }


async def test_where_nothing_has_the_path_the_nearest_are_named() -> None:
    found = await lost(Request("GET", "/api/crn/x"))
    assert found["hosted"] == "host: api.example is wanted"
    table = load(
        "version: 1\nroutes:\n"
        + "".join(
            f"- {{id: {name}, match: {path}, auth: none, respond: {{text: a}}}}\n"
            for name, path in (("near", "/a/b/c"), ("nearer", "/a/b/{id}/d"), ("far", "/x"), ("root", "/a"))
        ).replace("match: /a/b/{id}/d", 'match: "/a/b/{id}/d"')
    )
    assert await lost(Request("GET", "/a/b/x"), Rehearsal(table)) == {"nearer": "path: /a/b/{id}/d is wanted"}
    assert await lost(Request("GET", "/nothing"), Rehearsal(table)) == {}


async def test_of_a_preflight_the_method_asked_about_counts() -> None:
    headers = (("origin", "https://a"), ("access-control-request-method", "POST"))
    found = await lost(Request("OPTIONS", "/api/crm/x", headers=headers))
    assert found["lists"] == "method: GET only"
    assert "writes" not in found


@pytest.mark.parametrize(("query", "said"), [("a=1", "query: b=2 is wanted"), ("b=2", "query: a is wanted")])
async def test_a_query_that_is_missing_is_named(query: str, said: str) -> None:
    table = load(
        'version: 1\nroutes:\n- {id: q, match: {path: /q, query: {a: "*", b: "2"}}, auth: none, respond: {text: a}}\n'
    )
    assert await lost(Request("GET", f"/q?{query}"), Rehearsal(table)) == {"q": said}
