"""The compiled router against the obvious one: look at every rule, keep what fits, take the most specific."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.headers import Headers
from gateway.core.paths import Param
from gateway.core.routing import (
    Found,
    NotFound,
    PathNotCanonical,
    Router,
    RouteTies,
    Rule,
    normal_form,
    parse_pattern,
)

METHODS = ["GET", "HEAD", "POST", "OPTIONS"]
SEGMENTS = ["a", "b", "7", "x%20y"]
PATTERN_SEGMENTS = ["a", "b", "7", "{p}", "{q}", "{n:int}"]
HOSTS = [None, "a.example", "*.example", "*.b.example"]


@st.composite
def patterns(draw: st.DrawFn) -> str:
    segments = draw(st.lists(st.sampled_from(PATTERN_SEGMENTS), max_size=3))
    unique = [part for index, part in enumerate(segments) if not part.startswith("{") or part not in segments[:index]]
    return "/" + "/".join(unique + ["*"] * draw(st.booleans()))


rules = st.builds(
    lambda path, host, methods, headers, query: Rule("", parse_pattern(path), host, methods, headers, query, ""),
    patterns(),
    st.sampled_from(HOSTS),
    st.none() | st.frozensets(st.sampled_from(METHODS), min_size=1, max_size=2),
    st.lists(st.tuples(st.sampled_from([b"x", b"y"]), st.sampled_from([None, "1", "2"])), max_size=1).map(tuple),
    st.lists(st.tuples(st.just("v"), st.sampled_from([None, "1"])), max_size=1).map(tuple),
)
requests = st.tuples(
    st.sampled_from([*METHODS, "BREW"]),
    st.sampled_from(["", "a.example", "a.example:80", "b.example", "a.b.example", "example"]),
    st.tuples(st.lists(st.sampled_from(SEGMENTS), max_size=4), st.booleans()).map(
        lambda drawn: "/" + "/".join(drawn[0] + [""] * (drawn[1] and bool(drawn[0])))
    ),
    st.lists(st.tuples(st.sampled_from([b"x", b"y"]), st.sampled_from([b"1", b"2"])), max_size=3),
    st.sampled_from(["", "v=1", "v", "v=1&v=1", "w=1"]),
)
Request = tuple[str, str, str, list[tuple[bytes, bytes]], str]


def named(drawn: list[Rule[str]]) -> list[Rule[str]]:
    return [
        Rule(str(n), rule.pattern, rule.host, rule.methods, rule.headers, rule.query, str(n))
        for n, rule in enumerate(drawn)
    ]


def without_ties(table: list[Rule[str]]) -> list[Rule[str]]:
    try:
        Router.build(table)
    except RouteTies as found:
        dropped = {other.id for _, other, _ in found.ties}
        return [rule for rule in table if rule.id not in dropped]
    return table


def path_params(rule: Rule[str], path: str) -> dict[str, str] | None:
    expression = "".join(
        f"/(?P<{part.name}>{'[0-9]+' if part.is_int else '[^/]+'})"
        if isinstance(part, Param)
        else "/" + re.escape(part)
        for part in rule.pattern.segments
    )
    found = re.fullmatch(expression + ("(/.*)?" if rule.pattern.is_prefix else "/?"), path)
    return None if found is None else {name: value.replace("%20", " ") for name, value in found.groupdict().items()}


def host_specificity(rule: Rule[str], authority: str) -> int | None:
    host = authority.split(":")[0]
    if rule.host is None:
        return 0
    if rule.host.startswith("*."):
        return len(rule.host) if host.endswith(rule.host[1:]) and len(host) > len(rule.host) - 1 else None
    return 1000 if rule.host == host else None


def fits_but_method(rule: Rule[str], request: Request) -> bool:
    _, authority, path, headers, query = request
    for name, expected in rule.headers:
        values = [value.decode() for key, value in headers if key == name]
        if not values or (expected is not None and values != [expected]):
            return False
    for parameter, expected in rule.query:
        pairs = [pair.partition("=")[::2] for pair in query.split("&")]
        values = [value for key, value in pairs if key == parameter]
        if not values or (expected is not None and values != [expected]):
            return False
    return host_specificity(rule, authority) is not None and path_params(rule, path) is not None


def specificity(rule: Rule[str], request: Request) -> tuple[object, ...]:
    kinds = [2 - part.is_int if isinstance(part, Param) else 0 for part in rule.pattern.segments]
    predicates = [expected for _, expected in (*rule.headers, *rule.query)]
    return (
        -(host_specificity(rule, request[1]) or 0),
        [*kinds, 3 if rule.pattern.is_prefix else 0],
        -len(predicates),
        predicates.count(None),
        rule.methods is None,
        request[0] not in (rule.methods or ()),
    )


def slow_match(table: list[Rule[str]], request: Request) -> Found[str] | NotFound:
    fitting = [rule for rule in table if fits_but_method(rule, request)]
    method = request[0]
    serving = [
        rule
        for rule in fitting
        if rule.methods is None or method in rule.methods or (method == "HEAD" and "GET" in rule.methods)
    ]
    if not serving:
        methods = {name for rule in fitting for name in rule.methods or ()}
        implied = ({"HEAD"} if "GET" in methods else set()) | ({"OPTIONS"} if methods else set())
        return NotFound(frozenset(methods | implied))
    best = min(serving, key=lambda rule: specificity(rule, request))
    return Found(best.target, path_params(best, request[2]) or {})


@settings(max_examples=200, deadline=None)
@given(st.lists(rules, max_size=8), st.lists(requests, min_size=1, max_size=5))
def test_the_router_agrees_with_looking_at_every_rule(drawn: list[Rule[str]], asked: list[Request]) -> None:
    table = without_ties(named(drawn))
    router = Router.build(table)
    backwards = Router.build(table[::-1])
    for request in asked:
        method, authority, path, headers, query = request
        found = router.match(method, authority, path, Headers(headers), query)
        assert found == slow_match(table, request)
        assert backwards.match(method, authority, path, Headers(headers), query) == found


@settings(max_examples=200, deadline=None)
@given(st.lists(rules, min_size=2, max_size=6))
def test_a_tie_is_two_rules_that_fit_one_request_equally(drawn: list[Rule[str]]) -> None:
    table = named(drawn)
    tied = set()
    try:
        Router.build(table)
    except RouteTies as found:
        tied = {(one.id, other.id) for one, other, _ in found.ties}
    for one, other in _pairs(table):
        request = _common_request(one, other)
        alike = request is not None and specificity(one, request) == specificity(other, request)
        assert ((one.id, other.id) in tied) == alike


def _pairs(table: list[Rule[str]]) -> Iterator[tuple[Rule[str], Rule[str]]]:
    return ((one, other) for index, one in enumerate(table) for other in table[index + 1 :])


def _common_request(one: Rule[str], other: Rule[str]) -> Request | None:
    """A request that both serve, tried out over all that the strategies know."""
    hosts = ["c.d", "a.example", "z.example", "z.b.example"]
    words = ["7" if isinstance(part, Param) else part for part in one.pattern.segments]
    path = "/" + "/".join(words)
    for host in hosts:
        for x in ("1", "2"):
            for y in ("1", "2"):
                request = ("", host, path, [(b"x", x.encode()), (b"y", y.encode())], "v=1")
                if fits_but_method(one, request) and fits_but_method(other, request):
                    common = (one.methods or set(METHODS)) & (other.methods or set(METHODS))
                    for method in sorted(common):
                        return (method, *request[1:])
    return None


@given(st.text("/ab.%2eEfFcC5;\\\x00 é?#|~", max_size=12).map("/".__add__))
def test_a_normal_form_is_its_own_and_has_nothing_ambiguous(raw: str) -> None:
    try:
        path = normal_form(raw)
    except PathNotCanonical:
        return
    assert normal_form(path) == path
    segments = path.removesuffix("/").split("/")[1:]
    assert all(segment not in ("", ".", "..") for segment in segments)
    assert re.fullmatch(r"(/(%[0-9A-F]{2}|[A-Za-z0-9._~!$&'()*+,=:@-])*)+", path)
    assert not re.search("%2F|%5C|%[01]|%7F", path)


@given(st.lists(st.text("ab-._~!$&'()*+,=:@", min_size=1, max_size=4), min_size=1, max_size=4), st.data())
def test_encoding_more_characters_changes_nothing(segments: list[str], data: st.DataObject) -> None:
    plain = "/" + "/".join(segments)
    encoded = "".join(
        char if char == "/" else data.draw(st.sampled_from([char, f"%{ord(char):02X}", f"%{ord(char):02x}"]))
        for char in plain
    )
    try:
        expected = normal_form(plain)
    except PathNotCanonical:
        with pytest.raises(PathNotCanonical):
            normal_form(encoded)
    else:
        assert normal_form(encoded) == expected
