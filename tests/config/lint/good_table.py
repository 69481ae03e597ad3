"""A table of the real plugins in which no rule finds anything, and what is found once it is edited."""

import re
from collections.abc import Mapping

from gateway.config.lint.run import Checked, check_file
from gateway.config.source import from_memory
from gateway.explain.table_tests import run_table_tests

GOOD = """\
version: 1
gateway: {store: "${env:STORE}", trusted_proxies: [10.0.0.0/8]}
auth:
  main: {jwt: {algorithms: [HS256], secret: "${env:KEY}", issuer: us, audience: api}}
plans: {free: {limits: [60/min, 1000/h]}, pro: {limits: [500/min]}}
defaults:
  auth: main
  limit: {plan: true}
upstreams:
  crm: {endpoints: ["http://127.0.0.1:8101"]}
routes:
- {id: crm, match: /crm/*, to: crm}
tests:
- {get: /crm/contacts, expect: {route: crm}}
"""
ENVIRON = {"KEY": "a-secret-that-is-long-enough-for-hs256", "STORE": "memory://", "URL": "http://h:1"}


def check(text: str, files: Mapping[str, str] | None = None, environ: Mapping[str, str] = ENVIRON) -> Checked:
    """As the command does, over texts."""
    read_file, find_files = from_memory({"routes.yaml": text, **(files or {})})
    return check_file(
        "routes.yaml", environ=environ, read_file=read_file, find_files=find_files, run_tests=run_table_tests
    )


def edited(*pairs: tuple[str, str]) -> str:
    """The good table with these replacements, each of the first place."""
    text = GOOD
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def routes(*lines: str) -> str:
    """The good table with these routes in place of its own; its tests stay out."""
    return GOOD.split("- {id: crm,")[0] + "".join(f"- {line}\n" for line in lines)


def found(text: str, *, without: tuple[str, ...] = ("not_in_force", "no_tests")) -> list[str]:
    """What an operator reads, less the remarks that say nothing of the matter. In place of the column stands the word
    that is there.
    """
    lines = []
    for problem in check(text).problems:
        if problem.code not in without:
            rest = text.splitlines()[problem.line - 1][problem.column - 1 :]
            word = re.match(r'"[^"]*"|[^\s,:}\]]+(:/?/?[^\s,}\]]+)*|.', rest)
            start = f"routes.yaml:{problem.line}:{problem.column}: "
            lines.append(f"{problem.line} {word[0] if word else ''}: {str(problem).removeprefix(start)}")
    return lines
