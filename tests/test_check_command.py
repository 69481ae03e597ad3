"""Hazard: an exit code or a JSON form that a pipeline cannot go by."""

import json
from pathlib import Path

import pytest

from gateway.cli import main
from tests.config.lint.good_table import ENVIRON, GOOD, edited, routes

WARNED = routes("{id: crm, match: /crm/*, to: crm, cache: {ttl: 1m, scope: public}}")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Runs the command over a text: exit code, standard output, standard error."""
    path = tmp_path / "routes.yaml"

    def run(text: str, *flags: str) -> tuple[int, str, str]:
        path.write_text(text)
        code = main(["check", str(path), *flags])
        out, err = (part.replace(str(path), "routes.yaml") for part in capsys.readouterr())
        return code, out, err

    return run


def test_a_warning_leaves_the_exit_code_alone_unless_strict(check) -> None:
    code, out, err = check(WARNED)
    assert (code, err) == (0, "")
    assert "12:61: public_cache: " in out
    assert out.splitlines()[-1].startswith("routes.yaml: good; 1 routes, version ")
    assert out.endswith(", 1 warning, 1 info\n")
    code, out, _ = check(WARNED, "--strict")
    assert code == 1
    assert out.splitlines()[-1].startswith("routes.yaml: not good enough (--strict); 1 routes, ")


def test_an_info_is_never_too_much(check) -> None:
    code, out, _ = check(GOOD.split("tests:")[0], "--strict")
    assert (code, out.split(": ")[1]) == (0, "no_tests")


def test_an_error_is_exit_code_1_even_where_only_a_secret_is_missing(check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY")
    code, out, err = check(GOOD)
    assert (code, out) == (1, "")
    assert err.startswith("routes.yaml:4:45: missing_env: ${env:KEY}: the environment variable KEY is not set; set it")


def test_json_is_a_list_of_places_codes_and_what_to_do(check) -> None:
    code, out, err = check(WARNED, "--json")
    info, warning = json.loads(out)
    assert (code, err) == (0, "")
    assert warning == {
        "file": "routes.yaml",
        "line": 12,
        "column": 61,
        "severity": "warning",
        "code": "public_cache",
        "message": '"crm" asks who the caller is, and gives all callers of all tenants the same kept reply',
        "fix": "write scope: tenant or scope: user; or auth: none, if the reply is for everybody",
    }
    assert (info["severity"], info["code"]) == ("info", "no_tests")
    assert check(WARNED, "--json", "--strict")[0] == 1


def test_json_of_errors_has_the_same_form_and_a_good_table_an_empty_list(check) -> None:
    code, out, err = check(edited(("to: crm", "to: cmr")), "--json")
    (problem,) = json.loads(out)
    assert (code, err) == (1, "")
    assert problem == {
        "file": "routes.yaml",
        "line": 12,
        "column": 32,
        "severity": "error",
        "code": "unknown_upstream",
        "message": 'there is no upstream "cmr"; did you mean "crm"?',
        "fix": "correct the name, or define it under upstreams",
    }
    assert {problem["code"] for problem in json.loads(check(GOOD, "--json")[1])} <= {"not_in_force"}


def test_every_code_is_listed_without_a_table(check) -> None:
    code, out, _ = check("broken: [", "--codes")
    assert code == 0
    assert (
        " ".join(out.split()).count(
            "shadowed_route warning A route never serves a request: others take them all. To do: "
        )
        == 1
    )
    listed = json.loads(check("", "--codes", "--json")[1])
    assert {"code", "severity", "meaning", "fix"} == set(listed[0])


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    text = capsys.readouterr().out
    for flag in ("FILE", "--json", "--strict", "--codes"):
        assert flag in text
