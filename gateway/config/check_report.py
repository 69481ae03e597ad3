"""What `gateway check` prints: lines for people, JSON for tools, and the table of all codes."""

import json
from collections.abc import Iterable

from gateway.config.codes import CODES
from gateway.config.problems import Problem


def as_json(problems: Iterable[Problem]) -> str:
    """A list of `{file, line, column, severity, code, message, fix}`, by place; line and column from 1. Keys may be
    added, none is taken away. fix: what to do here, or what helps with the code in general.
    """
    return json.dumps(
        [
            {
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "severity": problem.severity,
                "code": problem.code,
                "message": problem.message,
                "fix": problem.fix or fix_of(problem.code),
            }
            for problem in problems
        ],
        indent=2,
        ensure_ascii=False,
    )


def fix_of(code: str) -> str:
    """What helps with a code in general; plugins from elsewhere may have codes that nobody knows here."""
    return CODES[code].fix if code in CODES else "do what the message says"


def codes_text() -> str:
    """Every code, a line each: code, severity, meaning, and what to do."""
    widths = max(map(len, CODES)), max(len(code.severity) for code in CODES.values())
    return "".join(
        f"{name:<{widths[0]}}  {code.severity:<{widths[1]}}  {code.meaning} To do: {code.fix}\n"
        for name, code in CODES.items()
    )


def codes_json() -> str:
    """The same as a list of `{code, severity, meaning, fix}`."""
    return json.dumps([{"code": name, **code._asdict()} for name, code in CODES.items()], indent=2)
