"""Hazard: a check that says less than the start would, or more than anybody can read."""

from pathlib import Path

from gateway.config.codes import CODES
from gateway.config.lint.run import check_file
from tests.config.lint.good_table import check, edited

TOP = Path(__file__).parents[3]


def test_errors_are_told_alone() -> None:
    checked = check(edited(("to: crm", "to: cmr"), ("${env:KEY}", "in-the-clear-and-long-enough-for-hs256")))
    assert [problem.code for problem in checked.problems] == ["unknown_upstream"]
    assert checked.snapshot is None
    assert (checked.count("error"), checked.count("warning")) == (1, 0)


def test_remarks_of_the_loader_and_of_the_rules_stand_in_one_order() -> None:
    checked = check(edited(("routes:", "include: [no*.yaml]\nroutes:")))
    assert [problem.code for problem in checked.problems if problem.code != "not_in_force"] == ["include_empty"]
    assert checked.snapshot is not None


def test_every_finding_has_a_code_of_the_table_and_something_to_do() -> None:
    text = edited(
        ("${env:KEY}", "in-the-clear-and-long-enough-for-hs256"),
        ("tests:\n- {get: /crm/contacts, expect: {route: crm}}\n", ""),
    )
    findings = [problem for problem in check(text).problems if problem.fix]
    assert {problem.code for problem in findings} == {"secret_in_clear", "no_tests"}
    assert all(problem.severity == CODES[problem.code].severity for problem in findings)


def test_the_projects_own_table_has_no_warning() -> None:
    checked = check_file(str(TOP / "routes.yaml"), environ={"JWT_SECRET": "0123456789abcdef0123456789abcdef"})
    assert [str(problem) for problem in checked.problems if problem.code != "not_in_force"] == []
