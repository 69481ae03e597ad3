"""Hazard: a table is swapped in that cannot work live, or nobody can say what a change changes."""

from typing import Any

import pytest

from gateway.config.problems import TableInvalid
from gateway.config.reload import CheckedTable, changed_routes, check_for_serving, problem_rows, summarize

ENVIRON = {"KEY": "0123456789abcdef0123456789abcdef"}
TABLE = """
version: 1
gateway: {limits: {body_max: 1MiB}}
auth: {main: {jwt: {algorithms: [HS256], secret: "${env:KEY}"}}}
plans: {free: {limits: [60/min]}}
defaults: {auth: main, timeout: {total: 10s}}
upstreams:
  crm: {endpoints: ["http://127.0.0.1:1"]}
  hr: {endpoints: ["http://127.0.0.1:2"]}
routes:
- {id: crm, match: /crm/*, to: crm, limit: {plan: true}}
- {id: hr, match: /hr/*, to: hr}
- {id: open, match: /open, auth: none, respond: {text: hello}}
"""


def checked(text: str = TABLE, running: CheckedTable | None = None, **files: str) -> CheckedTable:
    named = {"routes.yaml": text, **{name.replace("_", "."): content for name, content in files.items()}}

    def read(path: str) -> str:
        if path not in named:
            raise FileNotFoundError(2, "No such file", path)
        return named[path]

    section = running.gateway if running is not None else None
    return check_for_serving("routes.yaml", section, environ=ENVIRON, read_file=read, find_files=lambda _: [])


def change(old: str, new: str, text: str = TABLE) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


def test_the_supervisor_keeps_texts_without_what_they_refer_to() -> None:
    text = change('"${env:KEY}"', '"${file:key.txt}"') + "include: [more.yaml]\n"
    table = checked(text, key_txt=ENVIRON["KEY"] + "\n", more_yaml="routes: []\n")
    assert dict(table.parts) == {"routes.yaml": text, "more.yaml": "routes: []\n"}
    assert set(table.sources.files) == {"routes.yaml", "more.yaml", "key.txt"}
    assert ENVIRON["KEY"] not in repr(table) + str(dict(table.parts)) + str(table.config)
    assert [row["id"] for row in table.routes] == ["crm", "hr", "open"]


def test_all_problems_come_at_once() -> None:
    with pytest.raises(TableInvalid) as caught:
        checked(TABLE + "- {id: x, match: /x, to: nowhere}\n- {id: y, match: /hr/*, to: hr}\n")
    assert {problem.code for problem in caught.value.problems} == {"unknown_upstream", "route_tie"}
    row = problem_rows(caught.value.problems)[0]
    assert row["text"].startswith("routes.yaml:") and row["line"] > 10


@pytest.mark.parametrize(
    ("section", "wanted"),
    [
        ("store: redis://127.0.0.1:1/0", ["gateway.store"]),
        ("trusted_proxies: [10.0.0.0/8]", ["gateway.trusted_proxies"]),
        ("cache: {l1: 1MiB}, limits: {body_max: 1MiB, max_connections: 5}", ["gateway.cache", "max_connections"]),
        ("limits: {body_max: 2MiB}, on_invalid: partial, watch: {rollback_if: error_rate > 5%}", []),
    ],
)
def test_what_is_read_only_at_the_start_is_refused_with_its_place(section: str, wanted: list[str]) -> None:
    running = checked()
    text = change("limits: {body_max: 1MiB}", section)
    if not wanted:
        assert checked(text, running).version != running.version
        return
    with pytest.raises(TableInvalid) as caught:
        checked(text, running)
    problems = caught.value.problems
    assert [problem.code for problem in problems] == ["needs_restart"] * len(wanted)
    assert [name in problem.message for name, problem in zip(wanted, problems, strict=True)] == [True] * len(wanted)
    assert {problem.line for problem in problems} == {3}
    # At a start there is nothing that it could differ from.
    checked(text)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("60/min", "61/min", {"crm"}),
        ("127.0.0.1:2", "127.0.0.1:3", {"hr"}),
        ("text: hello", "text: bye", {"open"}),
        ("total: 10s", "total: 11s", {"crm", "hr", "open"}),
        ("version: 1\n", "version: 1\nidentity: {tenant: claim:org}\n", {"crm", "hr", "open"}),
        ("- {id: hr, match: /hr/*, to: hr}\n", "", set()),
        ("- {id: hr,", "# HR\n- {id: hr2,", {"hr2"}),
        ("gateway:", "# a comment\ngateway:", set()),
        ("{id: hr, match: /hr/*, to: hr}", "{to: hr, match: /hr/*, id: hr}", set()),
    ],
)
def test_which_routes_a_change_changes(old: str, new: str, changed: set[str]) -> None:
    assert changed_routes(checked(), checked(change(old, new))) == changed


def test_a_secret_that_changes_changes_the_routes_that_ask_for_it() -> None:
    text = change('"${env:KEY}"', '"${file:key.txt}"')
    one, other = checked(text, key_txt="a" * 32), checked(text, key_txt="b" * 32)
    assert changed_routes(one, other) == {"crm", "hr"}
    assert summarize(one, other) == "no entry says anything else"


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (TABLE, "no entry says anything else"),
        (change("127.0.0.1:2", "127.0.0.1:3"), "upstreams: ~hr"),
        (change("- {id: hr, match: /hr/*, to: hr}\n", "- {id: new, match: /hr/*, to: hr}\n"), "routes: +new -hr"),
        (TABLE + "tests: [{get: /open, expect: {status: 200}}]\n", "tests"),
        (
            TABLE + "".join(f"- {{id: r{index}, match: /r{index}, to: hr}}\n" for index in range(30)),
            "routes: 30 changes",
        ),
    ],
)
def test_what_changed_in_one_line(text: str, summary: str) -> None:
    assert summarize(checked(), checked(text)) == summary
    assert summarize(None, checked(text)) == "first table"


def test_a_text_that_is_the_same_is_the_same_version() -> None:
    versions: list[Any] = [checked().version, checked().version, checked(TABLE + "\n").version]
    assert versions[0] == versions[1] != versions[2]
