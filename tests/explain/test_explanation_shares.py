"""Hazard: nobody can say why a caller gets the other version, or that a third party gets a copy."""

import pytest

from gateway.core.weighted_choice import WeightedChoice
from gateway.explain.explanation import explain, read_request
from gateway.explain.origins import policy_rows
from gateway.explain.rehearsal import Rehearsal
from gateway.explain.table_tests import run_table_tests
from gateway.explain.text import explanation_text
from tests.explain.material import load

TABLE = """\
version: 1
auth: {main: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
defaults: {auth: main}
upstreams:
  old: {endpoints: ["http://127.0.0.1:1"]}
  new: {endpoints: ["http://127.0.0.1:2"]}
  log: {endpoints: ["http://127.0.0.1:3"]}
routes:
- id: deals
  match: /deals/*
  split: [{to: old, weight: 90}, {to: new, weight: 10}]
  mirror: {to: log, percent: 5%}
  allow: [crm.read]
  cache: {ttl: 60s, scope: tenant}
tests:
- {get: /deals/1, as: {tenant: t1, user: OLD, scopes: [crm.read]}, expect: {route: deals, upstream: old}}
- {get: /deals/1, as: {tenant: t1, user: NEW, scopes: [crm.read]}, expect: {upstream: new, cache: {tenant: t1}}}
- {get: /deals/1, as: {tenant: t1, user: NEW}, expect: {status: 403}}
"""
CHOICE = WeightedChoice([("old", 90), ("new", 10)])
OLD, NEW = (
    next(f"u{number}" for number in range(99) if CHOICE.choose(f"user:t1/u{number}") == name) for name in ("old", "new")
)
TEXT = TABLE.replace("OLD", OLD).replace("NEW", NEW)
REHEARSAL = Rehearsal(load(TEXT))


@pytest.mark.parametrize(("user", "version", "share"), [(OLD, "old", "90%"), (NEW, "new", "10%")])
async def test_the_choice_is_told_with_its_reason(user: str, version: str, share: str) -> None:
    asked = read_request("GET", "/deals/1", caller={"tenant": "t1", "user": user, "scopes": "crm.read"})
    found = await explain(REHEARSAL, asked)
    assert found["route"] == {"id": "deals", "position": "routes.yaml:9:3"}
    assert found["why"] == f"deals at routes.yaml:9:3 sends it to {version} as /deals/1"
    assert found["reports"]["split"] == {
        "key": f"user:t1/{user}",
        "upstream": version,
        "share": share,
        "of": ["old 90", "new 10"],
    }
    assert (found["upstream"]["name"], found["upstream"]["mirror"]) == (version, {"to": "log", "percent": "5%"})
    lines = [" ".join(line.split()) for line in explanation_text(found).splitlines()]
    assert f"split user:t1/{user} upstream {version}, share {share}, of [old 90, new 10]" in lines
    assert "split route at routes.yaml:11:3 [{to: old, weight: 90}, {to: new, weight: 10}]" in lines
    assert "mirror route at routes.yaml:12:3 {to: log, percent: 5%}" in lines
    assert "copies: 5% of such requests to log" in lines


async def test_a_refusal_before_the_choice_names_no_upstream() -> None:
    found = await explain(REHEARSAL, read_request("GET", "/deals/1", caller={"tenant": "t1", "user": NEW}))
    assert (found["outcome"]["code"], found["upstream"], found["reports"].get("split")) == ("scope_missing", None, None)
    assert found["route"] == {"id": "deals", "position": "routes.yaml:9:3"}


def test_the_rows_of_policies_are_in_the_order_in_which_they_run() -> None:
    (route,) = REHEARSAL.snapshot.routes
    names = [row["policy"] for row in policy_rows(REHEARSAL.snapshot, REHEARSAL.loaded, route)]
    assert names[:5] == ["auth", "allow", "split", "cache", "body_max"]
    assert names[-1] == "mirror"


def test_tests_of_a_table_expect_an_upstream_of_a_split() -> None:
    assert run_table_tests(load(TEXT)) == []
    (problem,) = run_table_tests(load(TEXT.replace("upstream: old", "upstream: new")))
    assert problem.message.startswith("GET /deals/1 as t1: expected upstream new, came old; deals at routes.yaml:9:3")
