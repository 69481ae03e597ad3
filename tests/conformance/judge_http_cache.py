"""The public conformance suite for HTTP caches against the gateway.

`python -m tests.conformance.judge_http_cache FOLDER`, where FOLDER is a checkout of the suite (http-tests/cache-tests)
with its npm dependencies. Its origin server, the gateway with one route that obeys the upstream, and its client run on
127.0.0.1; then the tests held are printed, required and optional, beside the published results of other proxies that
lie in the folder, counted in the same way.

A test counts as held if it passed and everything that it depends on did. Tests for browsers are left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.processes import Process, StartFailed, free_ports

_CLIENT_S = 900
_TABLE = """\
version: 1
upstreams:
  suite:
    endpoints: ["http://127.0.0.1:{origin}"]
routes:
- id: suite
  match: /*
  to: suite
  auth: none
  cache: {policy}
"""
_LISTING = "import(process.argv[1]).then((suites) => console.log(JSON.stringify(suites.default)))"


class CannotJudge(Exception):  # noqa: N818 - what the operator reads
    """The suite cannot run; the text says what to do."""


@dataclass(frozen=True)
class Test:
    """kind: required, optimal, or check, which is neither right nor wrong."""

    id: str
    kind: str
    depends_on: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What one proxy held of one kind of tests. passed: without regard to what they depend on."""

    held: tuple[str, ...]
    failed: tuple[str, ...]
    passed: int


def read_tests(suites: list[dict[str, Any]]) -> dict[str, Test]:
    """The tests that are for proxies, by id."""
    return {
        test["id"]: Test(test["id"], test.get("kind", "required"), tuple(test.get("depends_on", ())))
        for suite in suites
        for test in suite["tests"]
        if not test.get("browser_only")
    }


def judge(tests: Mapping[str, Test], results: Mapping[str, Any], kind: str) -> Verdict:
    """results: id -> True, or why not."""
    ids = [test.id for test in tests.values() if test.kind == kind]
    held = tuple(test_id for test_id in ids if _is_held(tests, results, test_id))
    failed = tuple(test_id for test_id in ids if test_id not in held)
    return Verdict(held, failed, sum(results.get(test_id) is True for test_id in ids))


def _is_held(tests: Mapping[str, Test], results: Mapping[str, Any], test_id: str) -> bool:
    if results.get(test_id) is not True:
        return False
    test = tests.get(test_id)
    return test is None or all(_is_held(tests, results, needed) for needed in test.depends_on)


def report(tests: Mapping[str, Test], own: Mapping[str, Any], published: Mapping[str, Mapping[str, Any]]) -> str:
    """The table, and why each failed test of the gateway failed."""
    rows = [("", "required", "optional", "(without dependencies:", "required", "optional)")]
    rows.extend(_row(tests, name, results) for name, results in {"this gateway": own, **published}.items())
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for kind, name in (("required", "required"), ("optimal", "optional")):
        failed = judge(tests, own, kind).failed
        lines += ["", f"{name}, not held: {len(failed)}"]
        lines += [f"  {test_id}: {_why(own.get(test_id))}" for test_id in failed]
    return "\n".join(lines)


def _row(tests: Mapping[str, Test], name: str, results: Mapping[str, Any]) -> tuple[str, ...]:
    required, optional = judge(tests, results, "required"), judge(tests, results, "optimal")
    all_required, all_optional = (len(one.held) + len(one.failed) for one in (required, optional))
    return (
        name,
        f"{len(required.held)}/{all_required}",
        f"{len(optional.held)}/{all_optional}",
        "",
        f"{required.passed}/{all_required}",
        f"{optional.passed}/{all_optional}",
    )


def _why(result: Any) -> str:
    if result is True:
        return "a test that it depends on is not held"
    return "not run" if result is None else ": ".join(str(part) for part in result)


def read_published(folder: Path) -> dict[str, dict[str, Any]]:
    """Name -> results of each proxy that has them in the suite's folder; browsers are left out."""
    browsers = {"chrome.json", "firefox.json", "safari.json"}
    found = sorted((folder / "results").glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in found if path.name not in browsers}


def _node(folder: Path, *arguments: str, **environment: str) -> str:
    try:
        done = subprocess.run(
            ["node", "--no-warnings", *arguments],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_CLIENT_S,
        )
    except FileNotFoundError:
        raise CannotJudge("the suite needs node, 18 or later, on the PATH") from None
    except subprocess.TimeoutExpired:
        raise CannotJudge(f"the suite's client did not end within {_CLIENT_S} s") from None
    if done.returncode:
        raise CannotJudge(f"node {arguments[0]} failed: {_last_error(done.stderr)}")
    return done.stdout


def _last_error(text: str) -> str:
    """Of a stack trace of node, the line that says what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "Error" in line), lines[-1] if lines else "it wrote nothing")


@contextmanager
def _gateway_before_origin(folder: Path, policy: str) -> Iterator[int]:
    """The port of the gateway; both processes end with the block."""
    origin_port, port, admin_port = free_ports(3)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        place = Path(name)
        table = place / "routes.yaml"
        table.write_text(_TABLE.format(origin=origin_port, policy=policy))
        settings = {
            "npm_config_protocol": "http",
            "npm_config_port": str(origin_port),
            "npm_config_pidfile": str(place / "origin.pid"),
        }
        server = folder / "test-engine" / "server" / "server.mjs"
        origin = Process("origin", ["node", str(server)], place, "0", settings)
        stack.callback(origin.stop)
        origin.wait_until_listening(origin_port)
        top = str(Path(__file__).parents[2])
        addresses = ["--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin_port}"]
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(table), *addresses, "--workers", "1"]
        gateway = Process("gateway", command, place, "0", {"PYTHONPATH": top})
        stack.callback(gateway.stop)
        gateway.wait_until_listening(port)
        yield port


def run(folder: Path, policy: str, test_id: str) -> str:
    """What to print. test_id: only this test, with its dialogue; empty for all. Raises CannotJudge."""
    if not (folder / "tests" / "index.mjs").is_file():
        raise CannotJudge(f"{folder} is no checkout of http-tests/cache-tests")
    if not (folder / "node_modules" / "undici").is_dir():
        raise CannotJudge(f"{folder} lacks the suite's dependencies: run `npm install` there")
    tests = read_tests(json.loads(_node(folder, "-e", _LISTING, (folder / "tests" / "index.mjs").as_uri())))
    try:
        with _gateway_before_origin(folder, policy) as port:
            base = f"http://127.0.0.1:{port}"
            # Without npm to start it, its client takes an id that is not set for one.
            settings = {"npm_config_base": base, "npm_config_id": test_id, "npm_package_config_id": ""}
            output = _node(folder, "test-engine/cli.mjs", **settings)
    except StartFailed as error:
        raise CannotJudge(str(error)) from None
    if test_id:
        return output
    return report(tests, json.loads(output), read_published(folder))


def main() -> int:
    """Returns the exit code: 0, or 2 where the suite cannot run."""
    parser = argparse.ArgumentParser(description="Judge the gateway by the public suite for HTTP caches.")
    parser.add_argument("folder", type=Path, help="a checkout of http-tests/cache-tests, after `npm install`")
    parser.add_argument("--policy", default="{}", help="the route's cache policy, as YAML (default: obey the upstream)")
    parser.add_argument("--id", default="", help="run only this test, and show its dialogue")
    arguments = parser.parse_args()
    try:
        print(run(arguments.folder.resolve(), arguments.policy, arguments.id))
    except CannotJudge as error:
        print(f"cannot judge: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
