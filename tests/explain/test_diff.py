"""Hazard: a change that opens something hides among a hundred that mean nothing, or a move of lines looks like one."""

import pytest

from gateway.core.changes import Risk
from gateway.explain.diff import Line, diff
from tests.explain.tables import lines, rehearsal, said

HEAD = """\
version: 1
auth: {main: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
defaults: {auth: main, timeout: {total: 9s}}
upstreams:
  one: {endpoints: ["http://127.0.0.1:1"]}
  two: {endpoints: ["http://127.0.0.1:2"]}
  alias: {endpoints: ["http://127.0.0.1:1"]}
routes:
"""


def table(*routes: str) -> str:
    return HEAD + "".join(f"- {{{route}}}\n" for route in routes)


A = "id: a, match: /a/*, to: one"


@pytest.mark.parametrize(
    ("old", "new", "there", "back"),
    [
        ([A], [A, "id: b, match: /b, to: one"], ["neutral: b is new"], ["breaking: b is gone"]),
        (
            [A],
            [A, "id: b, match: /b, to: one, auth: none"],
            ["widening: b is new, and open without auth"],
            ["breaking: b is gone"],
        ),
        (
            ["id: a, match: {path: /a, methods: [GET]}, to: one"],
            ["id: a, match: {path: /a, methods: [GET, POST]}, to: one"],
            ["widening: a now serves requests such as POST /a"],
            ["breaking: a no longer serves requests such as POST /a"],
        ),
        (
            ["id: a, match: /a, to: one"],
            ["id: a, match: /a/*, to: one"],
            ["widening: a now serves requests such as GET /a/x"],
            ["breaking: a no longer serves requests such as GET /a/x"],
        ),
        (
            ['id: a, match: "/a/{b:int}", to: one'],
            ['id: a, match: "/a/{b}", to: one'],
            ["widening: a now serves requests such as GET /a/x"],
            ["breaking: a no longer serves requests such as GET /a/x"],
        ),
        (
            ["id: a, match: {path: /a, host: b.example}, to: one"],
            ["id: a, match: {path: /a, host: '*.example'}, to: one"],
            ["widening: a now serves requests such as GET /a on x.example"],
            ["breaking: a no longer serves requests such as GET /a on x.example"],
        ),
        (
            ['id: a, match: {path: /a, headers: {x-b: "1"}, query: {c: "*"}}, to: one'],
            ['id: a, match: {path: /a, query: {c: "*"}}, to: one'],
            ["widening: a now serves requests such as GET /a?c=x"],
            ["breaking: a no longer serves requests such as GET /a?c=x"],
        ),
        (
            [A],
            ["id: a, match: /a/*, to: two"],
            ["breaking: a: upstream one -> two"],
            ["breaking: a: upstream two -> one"],
        ),
        (
            [A],
            ["id: a, match: /a/*, to: alias"],
            ["neutral: a: upstream one -> alias, the same endpoints"],
            ["neutral: a: upstream alias -> one, the same endpoints"],
        ),
        (
            [A],
            [f"{A}, rewrite: {{strip: /a}}"],
            ["breaking: a asks its upstream for other paths: /a as / in place of /a"],
            ["breaking: a asks its upstream for other paths: /a as /a in place of /"],
        ),
        ([A], [f"{A}, timeout: {{connect: 2s}}"], ["neutral: timeout.connect of a: 1s -> 2s"], None),
        ([A], [f"{A}, retry: {{attempts: 3}}"], ["neutral: retry of a: attempts 3"], ["neutral: retry of a: never"]),
        ([A], [f"{A}, hedge: {{after: 50ms}}"], ["neutral: hedge of a: after 0.05s"], ["neutral: hedge of a: never"]),
        ([A], [f"{A}, priority: high"], ["neutral: priority of a: normal -> high"], None),
        ([A], [f"{A}, timeout: {{send: false}}"], ["neutral: timeout.send of a: true -> false"], None),
        (
            [f"{A}, retry: {{on: [connect, reset]}}"],
            [f"{A}, retry: {{on: [connect], budget: 10%}}"],
            ["neutral: retry.budget of a: 20% -> 10%", "neutral: retry.on of a: [connect, reset] -> [connect]"],
            None,
        ),
        (
            [A],
            [f"{A}, body_max: 11MiB"],
            ["widening: body_max of a: 10MiB -> 11MiB"],
            ["breaking: body_max of a: 11MiB -> 10MiB"],
        ),
        (
            [A],
            ["id: a, match: /a/*, respond: {text: a}"],
            ["breaking: a answers itself", "neutral: a gets respond"],
            ["breaking: a goes to one", "breaking: a loses respond"],
        ),
        ([A], ["id: b, match: /a/*, to: one"], ["neutral: b is what a was"], ["neutral: a is what b was"]),
    ],
)
def test_each_change_and_its_way_back(old: list[str], new: list[str], there: list[str], back: list[str] | None) -> None:
    assert said(table(*old), table(*new)) == there
    if back is not None:
        assert said(table(*new), table(*old)) == back


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([A, "id: b, match: /b, to: two"], ["id: b, to: two, match: {path: /b}", A]),
        ([A], [f"{A}, timeout: {{total: 9s, connect: 1s}}, auth: main"]),
        (["id: a, match: {path: /a, methods: [GET]}, to: one"], ["id: a, match: {path: /a, methods: GET}, to: one"]),
        ([f"{A}, body_max: 10MiB"], [f"{A}, body_max: 10240KiB"]),
        ([f"{A}, retry: {{on: [connect, reset]}}"], [f"{A}, retry: {{on: [reset, connect]}}"]),
        ([f"{A}, rewrite: none"], [A]),
    ],
)
def test_what_means_the_same_is_no_change(old: list[str], new: list[str]) -> None:
    assert said(table(*old), table(*new)) == []
    assert said(table(*new), table(*old)) == []


def test_defaults_that_move_to_the_routes_and_files_that_are_included_are_no_change() -> None:
    whole = table(A, "id: b, match: /b, to: two")
    moved = whole.replace("defaults: {auth: main, timeout: {total: 9s}}\n", "").replace(
        ", to", ", auth: main, timeout: {total: 9s}, to"
    )
    split = whole.partition("- {id: b")[0] + "include: [more.yaml]\n"
    more = {"more.yaml": "routes:\n- {id: b, match: /b, to: two}\n"}
    assert said(whole, moved) == said(moved, whole) == []
    assert diff(rehearsal(whole), rehearsal(split, more)) == []


def test_a_narrower_route_that_takes_over_with_less_is_a_widening() -> None:
    wide = "id: wide, match: /a/*, to: one, allow: [x]"
    assert said(table(wide), table(wide, "id: hole, match: /a/b, to: one")) == [
        "widening: hole (for wide) no longer asks for scopes x",
        "neutral: hole (for wide) serves what another route served",
    ]
    assert "widening: hole (for wide) loses auth" in said(
        table(wide), table(wide, "id: hole, match: '/a/{b}', to: one, auth: none")
    )


def test_a_route_that_is_gone_and_leaves_its_requests_to_a_weaker_one_is_a_widening() -> None:
    wide, guard = "id: wide, match: /a/*, to: one", "id: guard, match: '/a/{b:int}', to: one, allow: [x]"
    assert said(table(wide, guard), table(wide)) == [
        "widening: wide (for guard) no longer asks for scopes x",
        "neutral: wide (for guard) serves what another route served",
    ]


def test_the_same_change_of_many_routes_is_one_line_with_their_names() -> None:
    before = table(*(f"id: r{number}, match: /r{number}, to: one" for number in range(12)))
    assert lines(before, before.replace("auth: main,", "auth: none,")) == [
        Line(Risk.WIDENING, 0, "12 routes lose auth", tuple(sorted(f"r{number}" for number in range(12))))
    ]


def test_the_riskiest_comes_first() -> None:
    old = table(A, "id: b, match: /b, to: one", "id: c, match: /c, to: one, limit: 1/s", "id: d, match: /d, to: one")
    new = table(
        f"{A}, auth: none",
        "id: b, match: /b, to: two",
        "id: c, match: /c, to: one",
        "id: d, match: /d, to: one, timeout: {total: 8s}",
    )
    assert said(old, new) == [
        "widening: a loses auth",
        "widening: c loses its limit",
        "breaking: b: upstream one -> two",
        "neutral: timeout.total of d: 9s -> 8s",
    ]
