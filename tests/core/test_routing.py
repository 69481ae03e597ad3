import pytest

from gateway.core.headers import Headers
from gateway.core.routing import Found, NotFound, Router, RouteTies, Rule, parse_pattern


def rule(
    path: str,
    methods: str = "",
    *,
    host: str | None = None,
    headers: dict[bytes, str | None] | None = None,
    query: dict[str, str | None] | None = None,
    name: str = "",
) -> Rule[str]:
    name = name or f"{methods}{path}"
    return Rule(
        name,
        parse_pattern(path),
        host,
        frozenset(methods.split()) or None,
        tuple((headers or {}).items()),
        tuple((query or {}).items()),
        name,
    )


def ask(
    router: Router[str],
    path: str,
    method: str = "GET",
    *,
    authority: str = "any.example",
    headers: list[tuple[bytes, bytes]] | None = None,
    query: str = "",
) -> str | None:
    found = router.match(method, authority, path, Headers(headers or []), query)
    return found.target if isinstance(found, Found) else None


def allowed(router: Router[str], method: str, path: str) -> set[str]:
    found = router.match(method, "any.example", path, Headers(), "")
    assert isinstance(found, NotFound)
    return set(found.allowed)


def test_the_most_specific_path_wins_whatever_the_order() -> None:
    paths = ["/*", "/a/*", "/a/{x}", "/a/{x:int}", "/a/7", "/a/{x}/b", "/a/{x:int}/*"]
    for order in (paths, paths[::-1]):
        router = Router.build([rule(path) for path in order])
        assert ask(router, "/a/7") == "/a/7"
        assert ask(router, "/a/8") == "/a/{x:int}"
        assert ask(router, "/a/8/c") == "/a/{x:int}/*"
        assert ask(router, "/a/8/b") == "/a/{x:int}/*"
        assert ask(router, "/a/z") == "/a/{x}"
        assert ask(router, "/a/z/b") == "/a/{x}/b"
        assert ask(router, "/a/z/c") == "/a/*"
        assert ask(router, "/b") == "/*"
        assert ask(router, "/") == "/*"


def test_a_star_matches_the_prefix_itself_and_everything_below() -> None:
    router = Router.build([rule("/a/*")])
    for path in ("/a", "/a/", "/a/b", "/a/b/c/", "/a/b%20c"):
        assert router.match("GET", "", path, Headers(), "") == Found("/a/*", {})
    assert ask(router, "/ab") is None
    assert ask(router, "/") is None


def test_a_trailing_slash_does_not_matter() -> None:
    router = Router.build([rule("/a"), rule("/a/{id}")])
    assert ask(router, "/a/") == ask(router, "/a") == "/a"
    found = router.match("GET", "", "/a/7/", Headers(), "")
    assert found == Found("/a/{id}", {"id": "7"})


def test_parameters_are_decoded_once() -> None:
    router = Router.build([rule("/a/{name}/{line:int}/*")])
    found = router.match("GET", "", "/a/%C3%A9%20%252F/12/x", Headers(), "")
    assert found == Found("/a/{name}/{line:int}/*", {"name": "é %2F", "line": "12"})


def test_an_int_is_ascii_digits_only() -> None:
    router = Router.build([rule("/{n:int}")])
    assert ask(router, "/007") == "/{n:int}"
    for path in ("/-1", "/1a", "/+1", "/1.0", "/%D9%A1"):
        assert ask(router, path) is None


def test_the_search_goes_on_where_the_method_does_not_fit() -> None:
    router = Router.build([rule("/crm/events", "GET"), rule("/crm/*"), rule("/crm/*", "POST PUT")])
    assert ask(router, "/crm/events") == "GET/crm/events"
    assert ask(router, "/crm/events", "POST") == "POST PUT/crm/*"
    assert ask(router, "/crm/events", "DELETE") == "/crm/*"


def test_head_is_served_by_get_unless_a_rule_names_it() -> None:
    router = Router.build([rule("/a", "GET"), rule("/b", "GET"), rule("/b", "HEAD"), rule("/c", "POST")])
    assert ask(router, "/a", "HEAD") == "GET/a"
    assert ask(router, "/b", "HEAD") == "HEAD/b"
    assert ask(router, "/b", "GET") == "GET/b"
    assert ask(router, "/c", "HEAD") is None


def test_the_methods_for_allow_come_from_every_fitting_place() -> None:
    router = Router.build([rule("/a/b", "GET"), rule("/a/{x}", "POST"), rule("/a/*", "PATCH"), rule("/c", "PUT")])
    assert allowed(router, "DELETE", "/a/b") == {"GET", "HEAD", "POST", "PATCH", "OPTIONS"}
    assert allowed(router, "GET", "/c") == {"PUT", "OPTIONS"}
    assert allowed(router, "GET", "/d") == set()


def test_a_rule_whose_predicates_fail_allows_nothing() -> None:
    router = Router.build([rule("/a", "POST", headers={b"x-beta": "1"})])
    assert allowed(router, "GET", "/a") == set()
    assert allowed(router, "POST", "/a") == set()


def test_hosts_exact_then_longest_suffix_then_any() -> None:
    hosts = [None, "api.example.com", "*.example.com", "*.com", "[::1]"]
    router = Router.build([rule("/a", host=host, name=str(host)) for host in hosts])
    for authority, expected in {
        "api.example.com": "api.example.com",
        "api.example.com:8443": "api.example.com",
        "api.example.com.": "api.example.com",
        "api.example.com.:80": "api.example.com",
        "b.example.com": "*.example.com",
        "c.b.example.com": "*.example.com",
        "example.com": "*.com",
        "com": "None",
        "": "None",
        "[::1]:80": "[::1]",
        ".com": "None",
    }.items():
        assert ask(router, "/a", authority=authority) == expected, authority


def test_a_host_without_the_path_falls_back_to_rules_without_host() -> None:
    router = Router.build([rule("/a", host="api.example"), rule("/*", name="any")])
    assert ask(router, "/b", authority="api.example") == "any"


def test_more_predicates_first_then_values_then_methods() -> None:
    router = Router.build(
        [
            rule("/a", name="plain"),
            rule("/a", "GET", name="method"),
            rule("/a", headers={b"x-beta": None}, name="present"),
            rule("/a", headers={b"x-beta": "1"}, name="value"),
            rule("/a", headers={b"x-beta": "1"}, query={"v": "2"}, name="both"),
        ]
    )
    assert ask(router, "/a", "POST") == "plain"
    assert ask(router, "/a") == "method"
    assert ask(router, "/a", headers=[(b"x-beta", b"")]) == "present"
    assert ask(router, "/a", headers=[(b"x-beta", b"1")]) == "value"
    assert ask(router, "/a", headers=[(b"x-beta", b"1")], query="u=1&v=2") == "both"


def test_a_repeated_field_or_parameter_equals_nothing() -> None:
    router = Router.build(
        [
            rule("/a", headers={b"x": "1"}, name="header"),
            rule("/b", query={"v": "1"}, name="value"),
            rule("/b", query={"v": None}, name="present"),
        ]
    )
    assert ask(router, "/a", headers=[(b"x", b"1")]) == "header"
    assert ask(router, "/a", headers=[(b"x", b"1"), (b"x", b"2")]) is None
    assert ask(router, "/a", headers=[(b"x", b"2"), (b"x", b"1")]) is None
    assert ask(router, "/b", query="v=%31") == "value"
    assert ask(router, "/b", query="v=1&v=2") == "present"
    assert ask(router, "/b", query="v") == "present"
    assert ask(router, "/b", query="w=1") is None


def ties_of(*rules: Rule[str]) -> list[tuple[str, str, str]]:
    with pytest.raises(RouteTies) as caught:
        Router.build(rules)
    return [(one.id, other.id, witness) for one, other, witness in caught.value.ties]


def test_ties_are_found_all_at_once_and_shown_by_a_request() -> None:
    assert ties_of(rule("/a/{id}", name="one"), rule("/a/{name}", name="two")) == [("one", "two", "GET /a/x")]
    assert ties_of(
        rule("/a", "GET POST", name="one"), rule("/a", "POST PUT", name="two"), rule("/b", name="three"), rule("/b")
    ) == [("one", "two", "POST /a"), ("three", "/b", "GET /b")]


def test_the_witness_is_not_caught_by_a_more_specific_route() -> None:
    [(_, _, witness)] = ties_of(
        rule("/a/*", name="one"), rule("/a/*", name="two"), rule("/a"), rule("/a/x"), rule("/a/{y}")
    )
    path = witness.removeprefix("GET ")
    router = Router.build([rule("/a/*", name="one"), rule("/a"), rule("/a/x"), rule("/a/{y}")])
    assert ask(router, path) == "one"


def test_the_witness_names_host_headers_and_query() -> None:
    one = rule("/a", host="*.example.com", headers={b"x-beta": "1"}, query={"v": None}, name="one")
    other = rule("/a", host="*.EXAMPLE.com", headers={b"x-beta": None}, query={"w": "2"}, name="other")
    assert ties_of(one, other) == [("one", "other", "GET /a?v=...&w=2 with host: x.example.com, x-beta: 1")]


def test_what_predicates_or_methods_tell_apart_is_no_tie() -> None:
    router = Router.build(
        [
            rule("/a", "GET", name="get"),
            rule("/a", "HEAD", name="head"),
            rule("/a", "POST", name="post"),
            rule("/a", name="rest"),
            rule("/b", headers={b"x": "1"}, name="x1"),
            rule("/b", headers={b"x": "2"}, name="x2"),
            rule("/b", query={"v": "1"}, headers={b"x": None}, name="v1"),
            rule("/b", query={"v": "2"}, headers={b"x": None}, name="v2"),
        ]
    )
    assert ask(router, "/a", "PUT") == "rest"
    assert repr(router) == "<Router 8 rules>"
