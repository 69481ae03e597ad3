"""Hazard: what decides is in the data, and not in what an operator reads."""

from gateway.explain.explanation import explain, read_request
from gateway.explain.rehearsal import Rehearsal
from gateway.explain.text import explanation_text, in_words
from tests.explain.material import load

LEFT_OUT = "(built in: by tenant, on_store_down local, cost 1, mode enforce)"
TERMS = "scope tenant, tenant t1, vary [accept], ttl_s 180.0, layers [l1, l2]"
REHEARSAL = Rehearsal(load())


async def text_of(url: str, **caller: str) -> list[str]:
    text = explanation_text(await explain(REHEARSAL, read_request("GET", url, caller=caller)))
    assert text.endswith("\n")
    assert "  \n" not in text
    return [" ".join(line.split()) for line in text.splitlines()]


async def test_every_line_of_a_request_that_is_sent_on() -> None:
    lines = await text_of("/api/crm/x", tenant="t1", plan="pro", scopes="crm.read")
    assert lines[0].startswith("GET /api/crm/x (host gateway, table ")
    for line in (
        "lists at routes.yaml:16:3 sends it to crm as /crm/x",
        "tenant t1, plan pro, scopes crm.read, jwt:main",
        "writes routes.yaml:27:3 method: POST only",
        "auth defaults at routes.yaml:9:3, auth at routes.yaml:3:3 main",
        f"limit defaults at routes.yaml:10:3 {{plan: true}} {LEFT_OUT}",
        "timeout.total defaults at routes.yaml:12:13 9s",
        "limit plan:tenant:t1 by tenant, plan pro, windows [500/min], cost 1, mode enforce (plans at routes.yaml:7:3)",
        f'cache ["t2:t1", "http", "gateway", "/api/crm/x", ""] {TERMS}',
        "upstream crm at routes.yaml:14:3",
        "endpoints: http://127.0.0.1:8101, round_robin",
        "timeouts: connect 1s, total 9s, idle none, send true; retry: never",
        "GET /crm/x",
        "x-tenant-id: t1",
    ):
        assert line in lines


async def test_a_refusal_and_a_request_without_route() -> None:
    lines = await text_of("/api/crm/x")
    assert "nobody is known" in lines
    assert "the request does not come this far" in lines
    lines = await text_of("/opens")
    assert lines[1] == "no route serves it: 404 no_route"
    assert not any(line.startswith(("upstream", "policies", "keys")) for line in lines)


def test_values_are_shown_as_a_table_has_them() -> None:
    assert in_words({"a": [1, None, True], "b": {"c": "d"}}) == "{a: [1, none, true], b: {c: d}}"
    assert in_words(list(range(8))) == "[0, 1, 2, 3, 4, 5, and 2 more]"
