"""Several files as one table, and the same table again from what was read."""

from pathlib import Path

import pytest

from gateway.config.load import load_table
from gateway.config.problems import TableInvalid
from gateway.config.source import FILE_SIZE_MAX, from_memory, read_text
from tests.config.sample_plugins import ENVIRON, GOOD, PLUGINS, compile_text, problems_of

MAIN = GOOD.replace("version: 1\n", "version: 1\ninclude: [more/*.yaml]\n")


def test_routes_and_sections_come_together() -> None:
    files = {
        "more/a.yaml": "version: 1\nroutes:\n- {id: a, match: /a, to: hr}\n",
        "more/b.yaml": "upstreams:\n  hr: {endpoints: ['http://hr:80']}\n",
        "more/.hidden.yaml": "nonsense",
        "more/deep/c.yaml": "nonsense",
    }

    snapshot = compile_text(MAIN, files=files)

    assert [route.position for route in snapshot.routes] == ["routes.yaml:11:3", "more/a.yaml:3:3"]
    assert sorted(snapshot.table.upstreams) == ["crm", "hr"]


def test_what_stands_twice_names_both_places() -> None:
    files = {
        "more/a.yaml": "upstreams:\n  crm: {endpoints: ['http://x:80']}\nroutes:\n- {id: crm, match: /b, to: crm}\n",
        "more/b.yaml": "include: [c.yaml]\nroutes: none\nversion: 2\n",
    }

    assert problems_of(MAIN, files=files) == [
        'more/a.yaml:2:3: duplicate_key: "upstreams.crm" stands already at routes.yaml:8:3; keep one',
        (
            'more/a.yaml:4:8: duplicate_id: the route "crm" stands already at routes.yaml:11:7; '
            "give one of them another id"
        ),
        "more/b.yaml:1:1: invalid_include: only the main file includes others",
        'more/b.yaml:2:1: duplicate_key: "routes" stands already at routes.yaml:10:1; keep one',
        'more/b.yaml:3:1: duplicate_key: "version" stands already at routes.yaml:1:1; keep one',
    ]


def test_a_broken_included_file_does_not_hide_the_faults_of_the_others_nor_make_new_ones() -> None:
    files = {"more/a.yaml": "upstreams: [\n", "more/b.yaml": "routes:\n- {id: b, match: /b, to: hr, colour: red}\n"}

    codes = [problem.split(": ")[:2] for problem in problems_of(MAIN, files=files)]

    assert codes == [["more/a.yaml:1:13", "not_yaml"], ["more/b.yaml:2:30", "unknown_key"]]


def test_an_included_file_must_be_there_but_a_pattern_may_match_nothing() -> None:
    named = problems_of(MAIN.replace("more/*.yaml", "more/a.yaml"))

    assert named == ["routes.yaml:2:11: missing_file: more/a.yaml: there is no such file"]
    warnings = compile_text(MAIN).warnings
    assert [str(warning) for warning in warnings] == ['routes.yaml:2:11: include_empty: "more/*.yaml" matches no file']


def test_a_file_is_included_once() -> None:
    text = MAIN.replace("[more/*.yaml]", "[a.yaml, a.yaml, routes.yaml]")

    assert problems_of(text, files={"a.yaml": ""}) == [
        "routes.yaml:2:19: duplicate_include: a.yaml is part of the table already",
        "routes.yaml:2:27: duplicate_include: routes.yaml is part of the table already",
    ]


def test_a_table_on_disk_loads_again_from_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.yaml").write_text("routes:\n- {id: a, match: /a, respond: '${file:text.txt}'}\n")
    (tmp_path / "more" / "text.txt").write_text("hello\n")
    main = tmp_path / "routes.yaml"
    main.write_text("\ufeff" + MAIN, encoding="utf-8")
    path = str(main)

    loaded = load_table(path, PLUGINS, environ=ENVIRON)
    read_file, find_files = from_memory(loaded.files)
    for file in tmp_path.rglob("*.*"):
        file.write_text("changed since")
    again = load_table(path, PLUGINS, environ=ENVIRON, read_file=read_file, find_files=find_files)

    assert again.version == loaded.version
    assert again.table == loaded.table
    assert again.routes[1].policies == {"respond": "hello"}


def test_the_version_changes_with_every_text_and_variable() -> None:
    def version(text: str, environ: dict[str, str]) -> str:
        return compile_text(text, environ=environ).version

    first = version(GOOD, ENVIRON)

    assert len(first) == 16
    assert version(GOOD, {**ENVIRON, "OTHER": "x"}) == first
    assert version(GOOD + "\n", ENVIRON) != first
    assert version(GOOD, {"KEY": "another-key"}) != first


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (FILE_SIZE_MAX + 1))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ValueError, match="larger than 4 MiB"):
        read_text(str(big))
    for path, message in ((big, "larger than 4 MiB"), (binary, "not UTF-8 text"), (tmp_path, "cannot be read")):
        with pytest.raises(TableInvalid, match=message) as caught:
            load_table(str(path), PLUGINS, environ=ENVIRON)
        assert str(caught.value).startswith(f"{path}:1:1: missing_file: ")
