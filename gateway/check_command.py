"""`gateway check` and `gateway schema`: what they print, and their exit codes."""

import argparse
import json
import os
import sys

from gateway.config.check_report import as_json, codes_json, codes_text
from gateway.config.discover import PluginInvalid, find_plugins
from gateway.config.lint.run import check_file
from gateway.config.schema import table_schema
from gateway.explain.table_tests import run_table_tests


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `gateway check`."""
    default = os.environ.get("GATEWAY_CONFIG", "routes.yaml")
    parser.add_argument(
        "config", nargs="?", default=default, metavar="FILE", help=f"the route table; default: {default}"
    )
    parser.add_argument(
        "--json", action="store_true", help="a list of {file, line, column, severity, code, message, fix}"
    )
    parser.add_argument("--strict", action="store_true", help="warnings are errors: exit code 1")
    parser.add_argument("--codes", action="store_true", help="list every code and what it means; reads no table")
    parser.set_defaults(run=run_check)


def run_check(found: argparse.Namespace) -> int:
    """0, or 1 where there are errors (with --strict: or warnings); infos never count."""
    if found.codes:
        sys.stdout.write(f"{codes_json()}\n" if found.json else codes_text())
        return 0
    checked = check_file(found.config, run_tests=run_table_tests)
    errors, warnings, infos = (checked.count(severity) for severity in ("error", "warning", "info"))
    is_bad = bool(errors or (found.strict and warnings))
    if found.json:
        sys.stdout.write(f"{as_json(checked.problems)}\n")
        return int(is_bad)
    out = sys.stderr if errors else sys.stdout
    out.writelines(f"{problem}\n" for problem in checked.problems)
    if checked.snapshot is None:
        if errors > 1:
            out.write(f"{found.config}: {errors} problems\n")
        return 1
    word = "not good enough (--strict)" if is_bad else "good"
    remarks = "".join(
        f", {count} {name}{'s' if count > 1 else ''}"
        for count, name in ((warnings, "warning"), (infos, "info"))
        if count
    )
    out.write(
        f"{found.config}: {word}; {len(checked.snapshot.routes)} routes, version {checked.snapshot.version}{remarks}\n"
    )
    return int(is_bad)


def add_schema_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `gateway schema`."""
    parser.add_argument("--included", action="store_true", help="of a file that another one includes")
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE", help="as in plugins: of the table")
    parser.set_defaults(run=run_schema)


def run_schema(found: argparse.Namespace) -> int:
    """Write the schema. 2 where a plugin cannot be imported."""
    try:
        schema = table_schema(find_plugins(found.plugin), is_included=found.included)
    except PluginInvalid as error:
        sys.stderr.write(f"gateway schema: {error}\n")
        return 2
    sys.stdout.write(f"{json.dumps(schema, indent=2, ensure_ascii=False)}\n")
    return 0
