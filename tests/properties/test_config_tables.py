"""Any table that the model allows loads and compiles; any other is refused with places inside of its file."""

import copy
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.forms import METHODS
from gateway.config.problems import Problem, TableInvalid
from gateway.config.snapshot import Snapshot
from gateway.config.tree import Node, read_tree
from gateway.core.headers import Headers
from gateway.core.routing import Found
from tests.config.sample_plugins import ENVIRON, GOOD, compile_text

SECRET = ENVIRON["KEY"]
RICH = (
    GOOD.replace("    endpoints:", "    balance: random_two\n    pool: {max: 5, idle: 5s}\n    endpoints:")
    + """\
  rewrite: {strip: /api}
  timeout: {connect: 1s, total: none}
  retry: {attempts: 3, on: [connect, 503], budget: 20%}
  mark: {words: ["${env:KEY}", b], level: high, either: {a: 1}}
- &second
  id: second
  match: {path: "/b/{id}", host: "*.example.com", methods: [GET, POST], headers: {X-A: "1"}, query: {q: "*"}}
  respond: "hi ${env:NAME:-you}"
  auth: none
- <<: *second
  id: third
  match: /c
gateway: {trusted_proxies: [127.0.0.1/32], limits: {body_max: 5KiB}}
tests:
- {get: /api/crm/x, as: {tenant: t}, expect: {route: crm, status: 200}}
"""
)

durations = st.builds(
    lambda number, unit: f"{number}{unit}", st.integers(1, 999), st.sampled_from(["ms", "s", "m", "h"])
)
words = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)


def some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


timeouts = some(connect=durations, total=durations | st.just("none"), idle=durations | st.just("none"))
retries = st.just("none") | some(
    attempts=st.integers(1, 10),
    on=st.lists(st.sampled_from(["connect", "reset", "timeout", 502, "503"]), min_size=1),
    budget=st.builds("{}%".format, st.integers(0, 100)),
)
sizes = st.builds("{}{}".format, st.integers(0, 999), st.sampled_from(["B", "KiB", "MiB"]))
upstreams = st.fixed_dictionaries(
    {
        "endpoints": st.lists(st.integers(1, 65535), min_size=1, max_size=3, unique=True).map(
            lambda ports: [
                f"http://h:{port}" if port % 2 else {"url": f"https://h:{port}", "weight": 2} for port in ports
            ]
        )
    },
    optional={
        "balance": st.sampled_from(["round_robin", "least_requests", "random_two", "hash"]),
        "hash_on": st.sampled_from(["tenant", "ip", "header:X-A", "cookie:sid"]),
        "health": st.fixed_dictionaries({"path": st.just("/health")}, optional={"every": durations}),
        "slow_start": durations,
        "resolve": durations,
        "eject": some(errors=st.integers(1, 9), **{"for": durations}),
        "breaker": some(window=durations, min=st.integers(1, 99), trials=st.integers(1, 9)),
        "overload": some(max=st.integers(10, 99), min=st.integers(1, 9), queue=st.integers(0, 99), wait=durations),
        "pool": some(max=st.integers(1, 999), idle=durations),
    },
)
policies = some(
    timeout=timeouts,
    retry=retries,
    hedge=st.just("none") | some(after=st.just("p95") | durations),
    priority=st.sampled_from(["critical", "high", "normal", "low"]),
    body_max=sizes,
    stamp=st.text("ab c", min_size=1).filter(lambda text: text.strip() == text),
    mark=st.just("none") | st.lists(words, min_size=1, max_size=3).filter(lambda listed: "never" not in listed),
    keep=durations,
)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(words, min_size=1, max_size=3, unique=True))
    ids = draw(st.lists(words, min_size=1, max_size=5, unique=True))
    routes = []
    for index, name in enumerate(ids):
        route: dict[str, Any] = {"id": name, **draw(policies)}
        path = f"/r{index}/" + draw(st.sampled_from(["*", "x", "{id}", "{id:int}/y"]))
        methods = draw(st.none() | st.lists(st.sampled_from(METHODS), min_size=1, unique=True))
        route["match"] = path if methods is None else {"path": path, "methods": methods}
        if draw(st.booleans()):
            route["to"] = draw(st.sampled_from(names))
            if draw(st.booleans()):
                route["rewrite"] = draw(
                    st.sampled_from(["none", {"strip": f"/r{index}"}, {"prefix": "/p"}, {"path": "/q"}])
                )
        else:
            route["respond"] = "hello"
        routes.append(route)
    return {
        "version": 1,
        "auth": {"main": {"secret": "${env:KEY}"}},
        "defaults": {"auth": "main", **draw(policies)},
        "upstreams": {name: draw(upstreams) for name in names},
        "routes": routes,
    }


@settings(max_examples=35)
@given(tables(), st.booleans())
def test_any_table_of_the_model_loads_compiles_and_serves_its_routes(table: dict[str, Any], is_flow: bool) -> None:
    text = yaml.safe_dump(table, default_flow_style=is_flow, sort_keys=False)

    snapshot = compile_text(text)

    assert [route.info.id for route in snapshot.routes] == [route["id"] for route in table["routes"]]
    for compiled, written in zip(snapshot.routes, table["routes"], strict=True):
        match = written["match"]
        path = match if isinstance(match, str) else match["path"]
        method = "PUT" if isinstance(match, str) else match["methods"][0]
        path = path.replace("{id:int}", "7").replace("{id}", "seven").replace("*", "any/thing")
        found = snapshot.router.match(method, "", path, Headers(), "")
        assert isinstance(found, Found)
        assert found.target is compiled
        assert (compiled.call is None) == ("respond" in written)
        assert compiled.info.upstream == written.get("to")
        assert len(compiled.unwinding) == len(compiled.request_hooks) + 1
        mark = written.get("mark", table["defaults"].get("mark", "none"))
        assert ("mark" in compiled.info.policies) == (mark != "none")
        assert compiled.retry is None or compiled.retry.attempts >= 1
    assert snapshot.config["routes"] == table["routes"]


def attempt(text: str) -> tuple[Snapshot | None, list[Problem]]:
    try:
        snapshot = compile_text(text)
    except TableInvalid as error:
        return None, error.problems
    return snapshot, list(snapshot.warnings)


def check_places(text: str, problems: list[Problem]) -> None:
    lines = text.splitlines() or [""]
    for problem in problems:
        assert problem.severity in ("error", "warning")
        assert problem.file == "routes.yaml"
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
        assert problem.message
        assert "\n" not in str(problem)
        assert "pydantic" not in str(problem)
        assert SECRET not in str(problem)


def test_the_table_that_is_mutated_is_good() -> None:
    assert attempt(RICH)[0] is not None


@settings(max_examples=120)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(RICH)), st.integers(0, 6), st.text(" \n\t:-[]{}&*!|>'\"%#,$0az\u00e9", max_size=4)
        ),
        max_size=4,
    )
)
def test_a_mutated_text_is_refused_with_places_or_is_good(edits: list[tuple[int, int, str]]) -> None:
    text = RICH
    for start, length, new in edits:
        text = text[:start] + new + text[start + length :]

    snapshot, problems = attempt(text)

    assert (snapshot is None) == any(problem.severity == "error" for problem in problems)
    check_places(text, problems)


_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["none", "5s", "5%", "/x", "crm", "${env:KEY}", "${env:KEY:-}", "${nothing}", "${file:routes.yaml}"]
    )
    | st.text(max_size=5)
)
values = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(place for key, inner in items for place in _places(inner, (*path, key)))]


def _plain_rich() -> Any:
    node = read_tree(RICH, "routes.yaml", lambda problem: None, lambda text, place: Node(place, text))
    assert node is not None
    return node.plain()


PLAIN = _plain_rich()


@settings(max_examples=80)
@given(st.lists(st.tuples(st.sampled_from(_places(PLAIN)), values), min_size=1, max_size=3), st.booleans())
def test_any_value_anywhere_is_refused_with_places_or_is_good(
    edits: list[tuple[tuple[Any, ...], Any]], is_flow: bool
) -> None:
    table = copy.deepcopy(PLAIN)
    for path, value in edits:
        inner: Any = table
        try:
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = value
        except (KeyError, TypeError, IndexError):
            continue
    text = yaml.safe_dump(table, default_flow_style=is_flow, sort_keys=False, allow_unicode=True)

    snapshot, problems = attempt(text)

    assert (snapshot is None) == any(problem.severity == "error" for problem in problems)
    check_places(text, problems)
