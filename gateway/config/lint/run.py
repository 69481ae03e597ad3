"""`gateway check`: everything that is wrong with a table, and everything that could be better."""

import glob
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from gateway.config.compile import compile_loaded
from gateway.config.lint.exposure import lint_exposure
from gateway.config.lint.policies import lint_policies
from gateway.config.lint.routing import lint_routing, lint_tests
from gateway.config.lint.trials import lint_trials
from gateway.config.lint.unused import lint_unused
from gateway.config.lint.view import Lint
from gateway.config.load import LoadedTable, read_table
from gateway.config.problems import Problem, TableInvalid, in_order
from gateway.config.snapshot import Snapshot
from gateway.config.source import FindFiles, ReadFile, read_text
from gateway.plugin_api import Plugin

_FAMILIES = (lint_routing, lint_policies, lint_unused, lint_exposure, lint_trials, lint_tests)


RunTests = Callable[[LoadedTable], Sequence[Problem]]


class Checked(NamedTuple):
    """problems: of all severities, by place. snapshot: None where there are errors."""

    problems: tuple[Problem, ...]
    snapshot: Snapshot | None

    def count(self, severity: str) -> int:
        """How many problems there are of a severity."""
        return sum(problem.severity == severity for problem in self.problems)


def lint_table(loaded: LoadedTable, snapshot: Snapshot) -> tuple[Problem, ...]:
    """What every rule finds in a table that is good, by place."""
    lint = Lint(loaded, snapshot)
    for family in _FAMILIES:
        family(lint)
    return tuple(in_order(lint.findings))


def check_file(
    path: str,
    plugins: Sequence[type[Plugin]] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    read_file: ReadFile = read_text,
    find_files: FindFiles = glob.glob,
    run_tests: RunTests = lambda loaded: [],
) -> Checked:
    """Load, compile, lint, and run the table's own tests. While it does not load, only that is told: what to think of
    the rest depends on it.
    """
    loaded = read_table(path, plugins, environ=environ, read_file=read_file, find_files=find_files)
    try:
        snapshot = compile_loaded(loaded)
    except TableInvalid as invalid:
        return Checked(tuple(invalid.problems), None)
    failed = run_tests(loaded)
    findings = _told((*snapshot.warnings, *failed), lint_table(loaded, snapshot))
    return Checked(findings, None if failed else snapshot)


def _told(warnings: Iterable[Problem], findings: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(in_order((*warnings, *findings)))
