"""Hazard: the tests of a table pass where the gateway would do something else, or fail without saying why."""

import asyncio

import pytest

from gateway.config.problems import TableInvalid
from gateway.explain.table_tests import run_table_tests
from tests.explain.material import ENVIRON, TABLE, load

AS = "as: {tenant: t1, plan: pro, user: u1, scopes: [crm.read]}"
REFUSED = "lists at routes.yaml:16:3 answers 401 token_missing: A token is needed"
LINE = len(TABLE.splitlines()) + 2


def failures(*tests: str, table: str = TABLE) -> list[str]:
    """What is said of each test that fails, less the reason after the last semicolon."""
    text = f"{table}tests:\n" + "".join(f"- {{{test}}}\n" for test in tests)
    return [str(problem) for problem in run_table_tests(load(text))]


@pytest.mark.parametrize(
    "test",
    [
        f"get: /api/crm/x, {AS}, expect: {{route: lists, upstream: crm, upstream_path: /crm/x}}",
        f"get: '/api/crm/x?a=b', {AS}, expect: {{upstream_path: /crm/x}}",
        f"get: '/api/crm/x?a=b', {AS}, expect: {{upstream_path: '/crm/x?a=b'}}",
        "get: /api/crm/x, expect: {status: 401, code: token_missing, cache: none, limit: none}",
        "get: /api/crm/x, as: {tenant: t1}, expect: {status: 403, code: scope_missing}",
        "get: /api/crm/x, as: {user: u1}, expect: {status: 401, code: token_claim_missing}",
        "get: /api/crm/x, headers: {authorization: Bearer a.b.c}, expect: {code: token_malformed}",
        "get: /nowhere, expect: {status: 404, code: no_route}",
        "put: /api/crm/x, expect: {status: 405, code: method_not_allowed}",
        "get: /open, as: {tenant: t1}, expect: {status: 203, route: open, limit: none, cache: none}",
        f"get: /api/crm/x, {AS}, expect: {{cache: {{scope: tenant, tenant: t1, vary: [accept], ttl: 180s}}}}",
        f"get: /api/crm/7, {AS}, expect: {{route: records, cache: none}}",
        f"get: /api/crm/x, {AS}, expect: {{limit: {{key: 'plan:tenant:t1', by: tenant, windows: [500/min]}}}}",
        "get: /api/crm/7, as: {tenant: t1, plan: unheard-of}, expect: {limit: {plan: free, windows: [60/min, 1000/h]}}",
        "post: /api/crm/x, as: {tenant: t1}, body: {a: 1}, expect: {limit: {plan: none, windows: [5/min]}}",
        f"get: /api/crm/x, {AS}, expect: {{upstream_headers: {{X-Tenant-Id: t1, X-User-Id: u1, X-Foo: none}}}}",
        "get: /api/crm/x, as: {tenant: t1}, headers: {x-beta: '1'}, expect: {route: beta}",
        "get: /api/crm/7, as: {tenant: t1}, headers: {x-tenant-id: t2}, expect: {upstream_headers: {x-tenant-id: t1}}",
        "get: /api/x, headers: {host: API.example}, as: {tenant: t1}, expect: {route: hosted, upstream: crm}",
    ],
)
def test_what_is_so_passes(test: str) -> None:
    assert failures(test) == []


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("route: records", "expected route records, came lists"),
        ("status: 200", "expected status 200, came none"),
        ("code: no_route", "expected code no_route, came none"),
        ("upstream_path: /api/crm/x", "expected upstream_path /api/crm/x, came /crm/x"),
        ("limit: none", 'expected limit none, came "plan:tenant:t1"'),
        ("limit: {by: user}", "expected limit by user, came tenant"),
        ("limit: {windows: [60/min]}", "expected limit windows [60/min], came [500/min]"),
        ("cache: none", 'expected cache none, came ["t2:t1", "http", "gateway", "/api/crm/x", ""]'),
        ("cache: {scope: public}", "expected cache scope public, came tenant"),
        ("cache: {vary: []}", "expected cache vary [], came [accept]"),
        ("cache: {ttl: 3s}", "expected cache ttl 3s, came 180s"),
        ("upstream_headers: {x-plan: free}", "expected upstream header x-plan free, came pro"),
        ("upstream_headers: {x-plan: none}", "expected upstream header x-plan none, came pro"),
        ("upstream_headers: {x-foo: '1'}", "expected upstream header x-foo 1, came none"),
    ],
)
def test_what_is_not_so_is_a_problem_at_its_place_that_says_why(expect: str, said: str) -> None:
    (problem,) = failures(f"get: /api/crm/x, {AS}, expect: {{{expect}}}")
    assert problem == (
        f"routes.yaml:{LINE}:3: test_failed: GET /api/crm/x as t1: {said}; "
        "lists at routes.yaml:16:3 sends it to crm as /crm/x"
    )


def test_each_expectation_that_fails_is_told_and_each_test_at_its_own_line() -> None:
    found = failures(
        "get: /open, expect: {status: 200, limit: {by: ip}}",
        "get: /open, expect: {status: 203}",
        "get: /api/crm/x, expect: {upstream_headers: {x-plan: none}}",
        "get: /opens, expect: {route: open}",
    )
    assert [text.removeprefix("routes.yaml:").replace(":3: test_failed: GET ", " ") for text in found] == [
        f"{LINE} /open: expected status 200, came 203; open at routes.yaml:38:3 answers 203",
        f"{LINE} /open: expected limit a key, came none; open at routes.yaml:38:3 answers 203",
        f"{LINE + 2} /api/crm/x: expected upstream header x-plan none, came none; " + REFUSED,
        f"{LINE + 3} /opens: expected route open, came none; no route serves it: 404 no_route",
    ]


def test_a_secret_in_a_header_for_the_upstream_is_not_printed() -> None:
    (problem,) = failures(f"get: /api/crm/7, {AS}, expect: {{upstream_headers: {{x-key: wrong}}}}")
    assert "expected upstream header x-key wrong, came ${env:KEY}" in problem
    assert ENVIRON["KEY"] not in problem


def test_parts_of_a_batch_go_the_same_way() -> None:
    table = TABLE + "- {id: batch, match: /batch, batch: {max: 5}}\n"
    test = (
        "post: /batch, as: {tenant: t1}, body: {requests: [{id: a, method: GET, path: /open}]}, "
        "expect: {status: 200, route: batch}"
    )
    assert failures(test, table=table) == []


async def test_it_may_be_called_where_a_loop_runs() -> None:
    assert len(failures("get: /open, expect: {status: 200}")) == 1
    assert asyncio.get_running_loop().is_running()


def test_a_table_that_cannot_be_compiled_is_not_rehearsed() -> None:
    with pytest.raises(TableInvalid):
        failures("get: /open, expect: {status: 203}", table=TABLE.replace("auth: machines", "auth: nobody"))


def test_without_tests_nothing_is_compiled() -> None:
    assert run_table_tests(load(TABLE.replace("auth: machines", "auth: nobody"))) == []
