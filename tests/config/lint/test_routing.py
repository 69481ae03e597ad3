"""Hazard: a route that never serves anything, and a door that one route closes and another leaves open."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config.compile import compile_loaded
from gateway.config.forms import METHODS
from gateway.config.lint.routing import lint_routing
from gateway.config.lint.view import Lint
from gateway.config.lint.witness import Witness, Witnesses, ask
from gateway.config.load import read_table
from gateway.config.source import from_memory
from gateway.core.headers import Headers
from gateway.core.routing import Found
from tests.config.lint.good_table import ENVIRON, GOOD, check, edited, found, routes


def test_a_route_whose_paths_others_take_never_serves() -> None:
    text = routes(
        "{id: all, match: /crm/*, to: crm}",
        "{id: top, match: /crm, to: crm}",
        '{id: below, match: "/crm/{area}/*", to: crm}',
    )
    assert found(text) == [
        (
            '12 /crm/*: shadowed_route: "all" never serves a request: "below" (routes.yaml:14:3) and "top" '
            '(routes.yaml:13:3) take all that it matches; GET /crm/x goes to "below"; take this route out, or narrow '
            "the others by methods, headers or query"
        )
    ]


def test_a_route_that_serves_one_request_is_not_shadowed() -> None:
    text = routes(
        "{id: all, match: /crm/*, to: crm}",
        "{id: top, match: {path: /crm, methods: [GET]}, to: crm}",
        '{id: below, match: "/crm/{area}/*", to: crm}',
    )
    assert found(text) == []


def test_what_a_route_refuses_by_method_must_not_be_served_to_nobody() -> None:
    text = routes(
        "{id: admin, match: {path: /site/admin, methods: [GET]}, to: crm}",
        "{id: site, match: /site/*, to: crm, auth: none, limit: none}",
    )
    assert found(text) == [
        (
            '12 {path: falls_through: POST /site/admin asks nobody who they are: "admin" serves GET only, so it '
            "goes to "
            '"site" (routes.yaml:13:3), which has auth: none; leave methods out here, or give the open route methods '
            "or a path of its own"
        )
    ]
    assert found(text.replace("auth: none, limit: none", "limit: none")) == []
    assert found(text.replace(", methods: [GET]", "")) == []


def test_a_header_that_only_the_gateway_sets_tells_no_routes_apart() -> None:
    assert found(routes("{id: crm, match: {path: /crm/*, headers: {X-Tenant-Id: t1}}, to: crm}")) == [
        (
            '12 X-Tenant-Id: stripped_header: "X-Tenant-Id" is for the gateway to set: any client can send it, and '
            "no upstream "
            "sees what it sent; match by path, host or a header of your own; to ask who the caller is, write allow"
        )
    ]


def test_a_route_without_a_test_is_told_the_test_that_it_lacks() -> None:
    text = edited(
        (
            "routes:\n",
            "routes:\n- {id: top, match: {path: '/crm/{id:int}', host: '*.example.com', methods: [PUT]}, to: crm}\n",
        )
    )
    assert found(text) == [
        (
            '12 top: untested_route: no test of the table comes to "top"; add to tests: '
            "- {put: /crm/1, headers: {host: x.example.com}, expect: {route: top}}"
        )
    ]
    suggested = "- {put: /crm/1, headers: {host: x.example.com}, expect: {route: top}}\n"
    assert found(text + suggested) == []


def test_a_table_without_tests_is_told_so_once() -> None:
    text = GOOD.split("tests:")[0]
    assert found(text, without=()) == [
        "1 version: no_tests: the table has no tests; add: tests: [{get: /crm/x, expect: {route: crm}}]"
    ]


SEGMENTS = st.sampled_from(["a", "x", "{p}", "{n:int}", "1"])
PATHS = st.builds(
    lambda segments, is_prefix: "/" + "/".join([*segments, *(["*"] if is_prefix else [])]),
    st.lists(SEGMENTS, max_size=3),
    st.booleans(),
).map(lambda path: _with_names_of_its_own(path))
MATCHES = st.fixed_dictionaries(
    {"path": PATHS},
    optional={
        "methods": st.lists(st.sampled_from(["GET", "HEAD", "POST"]), min_size=1, max_size=2, unique=True),
        "host": st.sampled_from(["h.example", "*.example", "x.example"]),
        "headers": st.sampled_from([{"x-a": "1"}, {"x-a": "*"}, {"x-b": "x"}]),
        "query": st.sampled_from([{"q": "x"}, {"q": "*"}]),
    },
)
REQUESTS = st.builds(
    Witness,
    st.sampled_from([*METHODS, "PROPFIND"]),
    st.sampled_from(["", "h.example", "x.example", "y.example"]),
    st.lists(st.sampled_from(["a", "x", "xx", "1", "22", "b"]), max_size=5).map(lambda parts: "/" + "/".join(parts)),
    st.sampled_from([(), (("x-a", "1"),), (("x-a", "z"),), (("x-b", "x"),), (("x-a", "1"), ("x-b", "x"))]),
    st.sampled_from(["", "q=x", "q=y"]),
)


def _with_names_of_its_own(path: str) -> str:
    parts = path.split("/")
    return "/".join(part.replace("{p", f"{{p{i}").replace("{n", f"{{n{i}") for i, part in enumerate(parts))


def compiled(matches: list[dict[str, Any]]) -> Any:
    lines = [f"{{id: r{index}, match: {match!r}, to: crm}}" for index, match in enumerate(matches)]
    read_file, find_files = from_memory({"routes.yaml": routes(*lines)})
    loaded = read_table("routes.yaml", environ=ENVIRON, read_file=read_file, find_files=find_files)
    return loaded, compile_loaded(loaded)


SHADOWED = [
    {"path": "/a/*"},
    {"path": "/a", "methods": ["GET"]},
    {"path": "/a/{p}/*"},
    {"path": "/a/{p}"},
    {"path": "/a"},
]


@example(SHADOWED, [Witness("GET", "", "/a/x/1"), Witness("POST", "", "/a")])
@given(st.lists(MATCHES, min_size=1, max_size=6), st.lists(REQUESTS, max_size=60))
def test_a_shadowed_route_serves_nothing_and_its_witness_is_true(
    matches: list[dict[str, Any]], requests: list[Witness]
) -> None:
    checked = check(routes(*(f"{{id: r{index}, match: {match!r}, to: crm}}" for index, match in enumerate(matches))))
    if checked.snapshot is None:
        assert {problem.code for problem in checked.problems} == {"route_tie"}
        return
    snapshot = checked.snapshot
    shadowed = {
        problem.message.split('"')[1]: problem.message
        for problem in checked.problems
        if problem.code == "shadowed_route"
    }
    witnesses = Witnesses(route.match for route in snapshot.table.routes)
    for route, compiled_route in zip(snapshot.table.routes, snapshot.routes, strict=True):
        own = list(witnesses.of(route.match))
        takers = [ask(snapshot.router, witness) for witness in own]
        assert None not in takers, "a witness that its own route does not match"
        assert any(taker is compiled_route for taker in takers) == (route.id not in shadowed)
        for witness in own:
            if route.id in shadowed and f"; {witness} goes to" in shadowed[route.id]:
                taker = ask(snapshot.router, witness)
                assert taker is not None
                assert shadowed[route.id].endswith(f'goes to "{taker.info.id}"')
                break
        else:
            assert route.id not in shadowed
    for request in requests:
        taker = ask(snapshot.router, request)
        assert taker is None or taker.info.id not in shadowed


@example(
    [
        {"path": "/a/*", "query": {"q": "*"}},
        {"path": "/a/*", "query": {"q": "x"}},
        {"path": "/a/*", "headers": {"x-a": "1"}},
    ]
)
@given(st.lists(MATCHES, min_size=2, max_size=5))
def test_the_witness_of_a_tie_is_served_by_either_route_once_the_other_is_gone(matches: list[dict[str, Any]]) -> None:
    lines = [f"{{id: r{index}, match: {match!r}, to: crm}}" for index, match in enumerate(matches)]
    checked = check(routes(*lines))
    for problem in checked.problems:
        if problem.code != "route_tie":
            continue
        first, second = problem.message.split('"')[1], problem.message.split('"')[3]
        words = problem.message.split(" both serve ")[1].split("; ")[0]
        for gone, stays in ((first, second), (second, first)):
            alone = check(
                routes(*(line for line in lines if f"id: {gone}," not in line and (line.startswith(f"{{id: {stays},"))))
            )
            assert alone.snapshot is not None
            assert served_by(alone.snapshot.router, words) == stays


def served_by(router: Any, words: str) -> str | None:
    """The id of the route that serves a request as messages write it: `GET /a?q=x with host: h, x-a: 1`."""
    line, _, fields = words.partition(" with ")
    method, target = line.split(" ")
    path, _, query = target.partition("?")
    headers = dict(field.split(": ") for field in fields.split(", ")) if fields else {}
    host = headers.pop("host", "")
    lines = Headers([(name.encode(), value.encode()) for name, value in headers.items()])
    match = router.match(method, host, path, lines, query)
    return match.target.info.id if isinstance(match, Found) else None


@pytest.mark.parametrize("count", [1_000])
def test_a_thousand_routes_are_looked_at_in_a_moment(count: int) -> None:
    loaded, snapshot = compiled([{"path": f"/a/r{index}/*"} for index in range(count)])
    lint = Lint(loaded, snapshot)
    lint_routing(lint)
    assert lint.findings == []
