"""Hazard: of a table nobody thought of, a change that opens something is not called so, or no change is called one."""

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.explain.tables import lines, widens

Table = dict[str, Any]
Route = dict[str, Any]

MAIN = {"jwt": {"algorithms": ["HS256"], "secret": "${env:SECRET}", "issuer": "us", "audience": "here", "leeway": "5s"}}
PATHS = ("/a/*", "/a/b", "/a/b/*", "/a/{id}", "/a/{id:int}", "/a/{id}/c", "/d", "/d/*", "/e/{one}/{two}", "/f/g/h")
METHODS = ("GET", "POST", "PUT", "DELETE")
LIMITS = st.sampled_from(
    [
        {"plan": True},
        {"rate": "60/min"},
        {"rates": ["60/min", "500/h"], "by": "user"},
        {"rate": "5/s", "on_store_down": "closed", "cost": 2},
        {"concurrent": 7},
    ]
)
CACHES = st.fixed_dictionaries(
    {"ttl": st.sampled_from(["5s", "3m"]), "scope": st.sampled_from(["user", "tenant"])},
    optional={"vary": st.just(["accept", "x-plan"]), "stale": st.just("9s")},
)
CORS = st.fixed_dictionaries(
    {"origins": st.sampled_from([["https://a.example"], ["https://*.a.example", "https://b.example"]])},
    optional={"headers": st.just(["X-One"]), "methods": st.just(["GET"])},
)
ALLOWED = st.fixed_dictionaries(
    {"scopes": st.sampled_from([["x"], ["x", "y"]]), "modules": st.just(["crm"])},
    optional={"addresses": st.just(["10.1.0.0/16"])},
)
OPTIONAL = {
    "limit": LIMITS,
    "cache": CACHES,
    "cors": CORS,
    "allow": ALLOWED,
    "compress": st.just(["gzip"]),
    "body_max": st.sampled_from(["1KiB", "5MiB"]),
    "timeout": st.fixed_dictionaries({}, optional={"total": st.just("4s"), "connect": st.just("2s")}),
    "retry": st.just({"attempts": 3}),
}


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Valid ones: at each path one route, or two that differ in their methods."""
    routes: list[Route] = []
    for number, path in enumerate(draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=5, unique=True))):
        kinds = draw(st.sampled_from([[None], [["GET"]], [["GET"], ["POST", "PUT"]]]))
        for methods in kinds:
            route = draw(st.fixed_dictionaries({}, optional=OPTIONAL))
            match = {"path": path} if methods is None else {"path": path, "methods": methods}
            routes.append({"id": f"r{number}-{len(routes)}", "match": match, "to": "one", **route})
    defaults = draw(st.fixed_dictionaries({"auth": st.just("main")}, optional=OPTIONAL))
    return {
        "version": 1,
        "gateway": {"trusted_proxies": ["10.1.0.0/16"], "limits": {"header_max": "16KiB"}},
        "auth": {"main": MAIN},
        "plans": {"free": {"limits": ["60/min", "900/h"]}, "pro": {"limits": ["500/min"], "concurrent": 9}},
        "defaults": defaults,
        "upstreams": {"one": {"endpoints": ["https://one.example"]}, "two": {"endpoints": ["http://two.example"]}},
        "routes": routes,
    }


def rewritten(table: Table, seed: int) -> Table:
    """The same in another order, its defaults on the routes."""
    rng = random.Random(seed)
    moved = copy.deepcopy(table)
    defaults = moved.pop("defaults")
    for route in moved["routes"]:
        for name, value in defaults.items():
            route[name] = {**value, **route.get(name, {})} if name in ("timeout", "retry") else route.get(name, value)
    rng.shuffle(moved["routes"])

    def shuffled(value: Any) -> Any:
        if isinstance(value, list):
            return [shuffled(each) for each in value]
        if not isinstance(value, dict):
            return value
        return {name: shuffled(value[name]) for name in rng.sample(list(value), len(value))}

    result: Table = shuffled(moved)
    return result


def give(name: str, narrow: Any, wide: Any) -> Callable[[Table, Table, Route, Route], None]:
    """A mutation by which a route that has the one gets the other; None: none."""

    def mutate(old: Table, new: Table, before: Route, after: Route) -> None:
        before[name] = "none" if narrow is None else narrow
        after[name] = "none" if wide is None else wide

    return mutate


def in_tables(*path: str | int, wide: Any, narrow: Any = None) -> Callable[[Table, Table, Route, Route], None]:
    """A mutation outside of the routes. narrow: None for what stands there."""

    def mutate(old: Table, new: Table, before: Route, after: Route) -> None:
        for table, value in ((old, narrow), (new, wide)):
            if value is not None:
                inner: Any = table
                for step in path[:-1]:
                    inner = inner[step]
                inner[path[-1]] = copy.deepcopy(value)

    return mutate


def open_route(old: Table, new: Table, before: Route, after: Route) -> None:
    """auth: none takes what needs a caller along."""
    for route in (before, after):
        route.update({"allow": "none", "cache": "none"})
    after["auth"] = "none"


def new_open_route(old: Table, new: Table, before: Route, after: Route) -> None:
    new["routes"].append({"id": "new", "match": "/new", "auth": "none", "respond": {"text": "a"}, "allow": "none"})
    new["routes"][-1]["cache"] = "none"


def more_methods(old: Table, new: Table, before: Route, after: Route) -> None:
    before["match"] = {"path": "/more/methods", "methods": ["GET"]}
    after["match"] = {"path": "/more/methods", "methods": ["GET", "DELETE"]}


def any_method(old: Table, new: Table, before: Route, after: Route) -> None:
    before["match"] = {"path": "/any/method", "methods": ["GET"]}
    after["match"] = {"path": "/any/method"}


def more_paths(old: Table, new: Table, before: Route, after: Route) -> None:
    before["match"], after["match"] = {"path": "/more/paths"}, {"path": "/more/paths/*"}


def any_host(old: Table, new: Table, before: Route, after: Route) -> None:
    before["match"], after["match"] = {"path": "/any/host", "host": "h.example"}, {"path": "/any/host"}


def any_header(old: Table, new: Table, before: Route, after: Route) -> None:
    before["match"], after["match"] = {"path": "/any", "headers": {"x-a": "1"}}, {"path": "/any"}


MUTATIONS: dict[str, Callable[[Table, Table, Route, Route], None]] = {
    "auth removed": open_route,
    "a new route without auth": new_open_route,
    "another method": more_methods,
    "all methods": any_method,
    "more paths": more_paths,
    "any host": any_host,
    "any header": any_header,
    "no scopes": give("allow", {"scopes": ["x"], "modules": ["crm"]}, {"modules": ["crm"]}),
    "fewer scopes": give("allow", ["x", "y"], ["x"]),
    "no modules": give("allow", {"scopes": ["x"], "modules": ["crm"]}, ["x"]),
    "no allow": give("allow", ["x"], None),
    "more addresses": give("allow", {"addresses": ["10.1.0.0/16"]}, {"addresses": ["10.0.0.0/8"]}),
    "a higher limit": give("limit", "60/min", "61/min"),
    "a window less": give("limit", {"rates": ["60/min", "100/h"]}, {"rates": ["60/min"]}),
    "no limit": give("limit", {"plan": True}, None),
    "a limit of its own": give("limit", {"plan": True}, "60/min"),
    "a shadow": give("limit", "60/min", {"rate": "60/min", "mode": "shadow"}),
    "open without the store": give("limit", "60/min", {"rate": "60/min", "on_store_down": "open"}),
    "local without the store": give(
        "limit", {"rate": "60/min", "on_store_down": "closed"}, {"rate": "60/min", "on_store_down": "local"}
    ),
    "cheaper": give("limit", {"rate": "60/min", "cost": 3}, {"rate": "60/min", "cost": 2}),
    "counted by user": give("limit", {"rate": "60/min", "by": "tenant"}, {"rate": "60/min", "by": "user"}),
    "more at once": give("limit", {"concurrent": 5}, {"concurrent": 6}),
    "a public cache": give("cache", {"ttl": "5s", "scope": "tenant"}, {"ttl": "5s", "scope": "public"}),
    "a tenant's cache": give("cache", {"ttl": "5s", "scope": "user"}, {"ttl": "5s", "scope": "tenant"}),
    "a new public cache": give("cache", None, {"ttl": "5s", "scope": "public"}),
    "told apart by less": give(
        "cache", {"ttl": "5s", "scope": "user", "vary": ["x-plan"]}, {"ttl": "5s", "scope": "user"}
    ),
    "more origins": give("cors", ["https://c.example"], ["https://c.example", "https://d.example"]),
    "any origin": give("cors", ["https://c.example"], ["*"]),
    "credentials": give("cors", ["https://c.example"], {"origins": ["https://c.example"], "credentials": True}),
    "cors": give("cors", None, ["https://c.example"]),
    "a larger body": give("body_max", "1MiB", "2MiB"),
    "a higher plan": in_tables("plans", "free", "limits", wide=["61/min", "900/h"]),
    "a plan with a window less": in_tables("plans", "free", "limits", wide=["60/min"]),
    "more at once in a plan": in_tables("plans", "pro", wide={"limits": ["500/min"]}),
    "another algorithm": in_tables("auth", "main", "jwt", "algorithms", wide=["HS256", "HS384"]),
    "another key": in_tables("auth", "main", "jwt", "secret", wide="${env:OTHER}"),
    "no audience": in_tables("auth", "main", "jwt", wide={k: v for k, v in MAIN["jwt"].items() if k != "audience"}),
    "no issuer": in_tables("auth", "main", "jwt", wide={k: v for k, v in MAIN["jwt"].items() if k != "issuer"}),
    "more leeway": in_tables("auth", "main", "jwt", "leeway", wide="6s"),
    "another profile": in_tables("auth", "main", wide={"api_key": {"keys": {}}}),
    "unverified TLS": in_tables("upstreams", "one", "tls", wide={"verify": False}, narrow={"verify": True}),
    "no TLS": in_tables("upstreams", "one", "endpoints", wide=["http://one.example"]),
    "more trusted": in_tables("gateway", "trusted_proxies", wide=["10.0.0.0/8"]),
    "longer headers": in_tables("gateway", "limits", "header_max", wide="17KiB"),
    "another tenant": in_tables("identity", wide={"tenant": "claim:org"}, narrow={"tenant": "claim:tenant_id"}),
}
# The way back of these opens something as well, to others.
BOTH_WAYS = {"another key", "another profile", "a limit of its own", "another tenant"}


@settings(max_examples=40, deadline=None)
@given(tables(), st.integers(0, 1 << 30))
def test_the_same_table_however_it_is_written_is_no_change(table: Table, seed: int) -> None:
    other = rewritten(table, seed)
    assert lines(table, table) == []
    assert lines(table, other) == []
    assert lines(other, table) == []


@pytest.mark.parametrize("name", MUTATIONS)
@settings(max_examples=4, deadline=None)
@given(tables(), st.integers(0, 1 << 30))
def test_whatever_opens_something_is_a_widening_and_its_way_back_is_none(name: str, table: Table, seed: int) -> None:
    old, new = copy.deepcopy(table), copy.deepcopy(table)
    index = seed % len(table["routes"])
    MUTATIONS[name](old, new, old["routes"][index], new["routes"][index])
    assert widens(old, new), name
    if name not in BOTH_WAYS:
        assert not widens(new, old), lines(new, old)


@settings(max_examples=30, deadline=None)
@given(tables(), st.sampled_from(sorted(MUTATIONS)), st.integers(0, 1 << 30))
def test_it_is_found_behind_another_order_as_well(table: Table, name: str, seed: int) -> None:
    old, new = copy.deepcopy(table), copy.deepcopy(table)
    index = seed % len(table["routes"])
    MUTATIONS[name](old, new, old["routes"][index], new["routes"][index])
    assert widens(old, rewritten(new, seed)), name
