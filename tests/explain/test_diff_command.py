"""Hazard: a pipeline lets a widening pass, because the exit code or the output is not what it goes by."""

import io
import json
from pathlib import Path

import pytest

from gateway.cli import main

OLD = """\
version: 1
auth: {main: {jwt: {algorithms: [HS256], secret: 0123456789abcdef0123456789abcdef}}}
defaults: {auth: main}
routes:
""" + "".join(f"- {{id: r{number}, match: /r{number}, respond: {{text: a}}}}\n" for number in range(10, 20))


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.yaml").write_text(OLD)
    Path("same.yaml").write_text(OLD.replace("- {id: r10, match: /r10", "- {match: /r10, id: r10"))
    Path("open.yaml").write_text(OLD.replace("defaults: {auth: main}", "defaults: {auth: none}"))
    Path("bad.yaml").write_text("version: 1\nroutes: [{id: a, match: b}, {id: B}]\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["old.yaml", "same.yaml", "--fail-on-widening"], 0),
        (["old.yaml", "open.yaml"], 0),
        (["old.yaml", "open.yaml", "--fail-on-widening"], 3),
        (["open.yaml", "old.yaml", "--fail-on-widening"], 0),
        (["old.yaml", "open.yaml", "--fail-on-widening", "--json"], 3),
        (["old.yaml", "bad.yaml", "--fail-on-widening"], 1),
        (["-", "-"], 2),
        (["old.yaml", "none.yaml"], 2),
    ],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    assert main(["diff", *arguments]) == code


def test_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    main(["diff", "old.yaml", "open.yaml"])
    assert capsys.readouterr().out == (
        "widening\n  10 routes lose auth: r10, r11, r12, r13, r14, r15, r16, r17, and 2 more\n"
    )
    main(["diff", "old.yaml", "same.yaml"])
    assert capsys.readouterr().out == "nothing changes\n"


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["diff", "old.yaml", "open.yaml", "--json"])
    assert json.loads(capsys.readouterr().out) == {
        "widening": 1,
        "breaking": 0,
        "neutral": 0,
        "changes": [
            {"risk": "widening", "text": "10 routes lose auth", "routes": [f"r{number}" for number in range(10, 20)]}
        ],
    }


def test_either_table_may_come_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(OLD))
    assert main(["diff", "-", "open.yaml"]) == 0
    assert "10 routes lose auth" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO(OLD))
    assert main(["diff", "open.yaml", "-"]) == 0
    assert "10 routes ask for auth (main)" in capsys.readouterr().out


def test_the_problems_of_a_table_that_is_invalid_are_told_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    main(["diff", "old.yaml", "bad.yaml"])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert all(line.startswith("bad.yaml:") for line in captured.err.splitlines())
