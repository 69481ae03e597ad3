"""Hazard: `gateway explain` answers a slip with a traceback, or signs what no gateway takes."""

import json
import time
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.core.explain_token import is_explain_token
from tests.explain.material import ENVIRON, TABLE

KEY = "an-explain-key-of-this-test"


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "routes.yaml"
    path.write_text(TABLE)
    return path


def test_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["explain", "GET", "/api/crm/x", "--tenant", "t1", "--scopes", "crm.read", "--header", "Accept: a/b"]
    assert main(asked) == 0
    assert "lists at routes.yaml:16:3 sends it to crm as /crm/x" in capsys.readouterr().out
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["route"]["id"] == "lists"
    assert ["accept", "a/b"] in found["upstream"]["headers"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["FETCH", "/"], "FETCH is not a method"),
        (["GET", "x"], "begins with /"),
        (["GET", "/", "--header", "x"], "is no header"),
        (["GET", "/", "--token", "a", "--tenant", "t"], "a token says itself who asks"),
        (["GET", "/", "--sign"], "routes.yaml has no gateway.explain_key"),
    ],
)
def test_a_slip_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("gateway explain: ")
    assert said in line


def test_a_table_that_is_invalid_is_told_as_ever(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_text(TABLE.replace("auth: main", "auth: nobody"))
    assert main(["explain", "GET", "/open"]) == 1
    assert "routes.yaml:9:9: unknown_profile" in capsys.readouterr().err


def test_what_is_signed_holds_for_that_request(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_text(f"{TABLE}gateway: {{explain_key: {KEY}}}\n")
    assert main(["explain", "get", "/a b?c=d", "--sign", "--expires", "1m"]) == 0
    token = capsys.readouterr().out.strip().encode()
    now_s = time.time()
    assert is_explain_token(token, KEY, "GET", "/a%20b", now_s=now_s)
    assert not is_explain_token(token, KEY, "GET", "/a%20b", now_s=now_s + 61)
    assert main(["explain", "GET", "/", "--sign", "--expires", "2h"]) == 2
    assert "an hour at most" in capsys.readouterr().err


def test_a_key_that_is_too_short_is_an_error_that_does_not_show_it(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text(f"{TABLE}gateway: {{explain_key: shortkey}}\n")
    assert main(["check"]) == 1
    said = capsys.readouterr().err
    assert "the key needs 16 characters at least" in said
    assert "shortkey" not in said


def test_check_runs_the_tests_of_the_table(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_text(f"{TABLE}tests:\n- {{get: /open, expect: {{status: 203}}}}\n")
    assert main(["check"]) == 0
    assert "not_in_force" not in capsys.readouterr().out
    table.write_text(f"{TABLE}tests:\n- {{get: /open, expect: {{status: 200}}}}\n")
    assert main(["check"]) == 1
    assert ":3: test_failed: GET /open: expected status 200, came 203; open at " in capsys.readouterr().err
