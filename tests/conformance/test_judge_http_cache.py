"""Hazard: the judge counts what is not held, or says nothing of why it could not run."""

import json
import subprocess
import sys
from pathlib import Path

from tests.conformance.judge_http_cache import judge, read_published, read_tests, report

SUITES = [
    {
        "tests": [
            {"id": "plain"},
            {"id": "needs-plain", "kind": "required", "depends_on": ["plain"]},
            {"id": "needs-check", "depends_on": ["check"]},
            {"id": "check", "kind": "check"},
            {"id": "best", "kind": "optimal", "depends_on": ["needs-plain"]},
            {"id": "browser", "browser_only": True},
        ]
    }
]
TESTS = read_tests(SUITES)
ALL_HELD = dict.fromkeys(TESTS, True)


def test_tests_for_browsers_are_left_out_and_required_is_what_says_nothing_else() -> None:
    assert {test.id: test.kind for test in TESTS.values()} == {
        "plain": "required",
        "needs-plain": "required",
        "needs-check": "required",
        "check": "check",
        "best": "optimal",
    }


def test_a_test_is_held_with_all_that_it_depends_on() -> None:
    results = {**ALL_HELD, "plain": ["Assertion", "no"]}
    required = judge(TESTS, results, "required")
    assert required.held == ("needs-check",)
    assert required.failed == ("plain", "needs-plain")
    assert required.passed == 2
    assert judge(TESTS, results, "optimal").held == ()
    assert judge(TESTS, ALL_HELD, "required").failed == ()


def test_a_check_that_others_depend_on_counts_for_them() -> None:
    assert judge(TESTS, {**ALL_HELD, "check": ["Assertion", "no"]}, "required").failed == ("needs-check",)


def test_what_did_not_run_is_not_held() -> None:
    assert judge(TESTS, {}, "required").held == ()


def test_the_report_shows_the_gateway_beside_the_others_and_says_why() -> None:
    own = {**ALL_HELD, "plain": ["Assertion", "Response 2 comes from cache"]}
    del own["best"]
    lines = report(TESTS, own, {"other": ALL_HELD}).splitlines()
    assert lines[1].split() == ["this", "gateway", "1/3", "0/1", "2/3", "0/1"]
    assert lines[2].split() == ["other", "3/3", "1/1", "3/3", "1/1"]
    assert "  plain: Assertion: Response 2 comes from cache" in lines
    assert "  needs-plain: a test that it depends on is not held" in lines
    assert "  best: not run" in lines


def test_published_results_are_those_of_proxies(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    for name in ("squid", "chrome"):
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps({"plain": True}))
    assert read_published(tmp_path) == {"squid": {"plain": True}}


def test_a_folder_that_is_no_suite_is_said(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance.judge_http_cache", str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == f"cannot judge: {tmp_path} is no checkout of http-tests/cache-tests\n"


def test_a_suite_without_its_dependencies_is_said(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "index.mjs").write_text("export default []\n")
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance.judge_http_cache", str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "run `npm install` there" in done.stderr
