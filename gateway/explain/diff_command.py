"""`gateway diff`: its arguments, and what it prints."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

from gateway.config.load import load_table
from gateway.config.source import read_text
from gateway.core.changes import Risk
from gateway.explain.diff import Line, diff
from gateway.explain.rehearsal import Rehearsal

WIDENED = 3
"""The exit code where --fail-on-widening has something to fail on."""

_STANDARD_INPUT = "-"
_NAMES_SHOWN_MAX = 8


def fill_diff(parser: argparse.ArgumentParser) -> None:
    """The arguments of `gateway diff`."""
    parser.add_argument("old", metavar="OLD", help="a route table; - is standard input")
    parser.add_argument("new", metavar="NEW", help="a route table; - is standard input")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--fail-on-widening", action="store_true", help=f"exit code {WIDENED} where somebody may more than before"
    )
    parser.set_defaults(run=run_diff, config="")


def run_diff(found: argparse.Namespace) -> int:
    """Returns the exit code: 0; 3 with --fail-on-widening where there is one; 2 for bad usage. Raises TableInvalid."""
    if found.old == found.new == _STANDARD_INPUT:
        sys.stderr.write("gateway diff: only one of the tables can be standard input\n")
        return 2
    logging.getLogger("gateway").addHandler(logging.NullHandler())
    rehearsals = []
    for path in (found.old, found.new):
        found.config = path  # whose problems they are, should there be any
        rehearsals.append(Rehearsal(load_table(path, read_file=_read)))
    lines = diff(*rehearsals)
    sys.stdout.write(json.dumps(diff_data(lines), indent=2) + "\n" if found.json else diff_text(lines))
    is_wider = any(line.risk is Risk.WIDENING for line in lines)
    return WIDENED if found.fail_on_widening and is_wider else 0


def diff_data(lines: Sequence[Line]) -> dict[str, Any]:
    """changes: risk, text and routes of each, the riskiest first; and how many there are of each risk."""
    counts = {risk.name.lower(): sum(line.risk is risk for line in lines) for risk in Risk}
    changes = [{"risk": line.risk.name.lower(), "text": line.text, "routes": list(line.routes)} for line in lines]
    return {**counts, "changes": changes}


def diff_text(lines: Sequence[Line]) -> str:
    """The lines under the names of their risks."""
    if not lines:
        return "nothing changes\n"
    parts = []
    for risk in Risk:
        of_risk = [f"  {_with_names(line)}\n" for line in lines if line.risk is risk]
        if of_risk:
            parts.append(f"{risk.name.lower()}\n{''.join(of_risk)}")
    return "".join(parts)


def _with_names(line: Line) -> str:
    if len(line.routes) < 2:
        return line.text
    more = len(line.routes) - _NAMES_SHOWN_MAX
    shown = ", ".join(line.routes[:_NAMES_SHOWN_MAX])
    return f"{line.text}: {shown}{f', and {more} more' if more > 0 else ''}"


def _read(path: str) -> str:
    return sys.stdin.read() if path == _STANDARD_INPUT else read_text(path)
