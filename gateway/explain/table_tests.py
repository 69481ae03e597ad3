"""The `tests` of a table: each request is rehearsed, and what comes of it is compared with what the test expects."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from gateway.config.load import LoadedTable
from gateway.config.problems import Problem
from gateway.config.table_test import Expectation, ExpectedCache, ExpectedLimit, TableTest
from gateway.config.tree import locate
from gateway.explain.explanation import why
from gateway.explain.origins import scrubbed
from gateway.explain.rehearsal import Outcome, Rehearsal, Request

T = TypeVar("T")


def run_table_tests(loaded: LoadedTable) -> list[Problem]:
    """Run every test of a table without a network, a store or a socket. Returns a problem for each expectation that
    does not come true, at the place of its test; none for a table without tests. Of a route that is
    quarantined nothing is expected.

    For `gateway check` and before a reload. Needs no event loop, and may be called where one runs: it then takes a
    thread of its own, so call it from a thread where the loop has clients to serve. Raises TableInvalid where the
    table cannot be compiled.
    """
    if not loaded.table.tests:
        return []
    rehearsal = Rehearsal(loaded)

    async def run_all() -> list[Problem]:
        return [
            problem for index, test in enumerate(loaded.table.tests) for problem in await _run(rehearsal, index, test)
        ]

    return run_apart(run_all())


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in an event loop of its own, wherever this is called."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def request_of(test: TableTest) -> Request:
    """What the test sends."""
    method, target = test.request
    headers = list(test.headers.items())
    if isinstance(test.body, str) or test.body is None:
        body = (test.body or "").encode()
    else:
        body = json.dumps(test.body).encode()
        if "content-type" not in test.headers:
            headers.append(("content-type", "application/json"))
    if body:
        headers.append(("content-length", str(len(body))))
    return Request(method, target.partition("#")[0], headers=tuple(headers), body=body, caller=test.as_)


async def _run(rehearsal: Rehearsal, index: int, test: TableTest) -> list[Problem]:
    outcome = await rehearsal.run(request_of(test))
    quarantined = {entry.route for entry in rehearsal.snapshot.quarantined}
    if test.expect.route in quarantined or (outcome.route is not None and outcome.route.info.id in quarantined):
        return []
    place = locate(rehearsal.loaded.root, ("tests", index)).place
    method, target = test.request
    who = "" if test.as_ is None else f" as {test.as_.tenant or test.as_.user or 'somebody'}"
    reason = why(rehearsal, outcome)
    return [
        Problem.at(
            place,
            "test_failed",
            scrubbed(rehearsal.loaded, f"{method} {target}{who}: {difference}; {reason}"),
        )
        for difference in _differences(test.expect, outcome)
    ]


def _differences(expect: Expectation, outcome: Outcome) -> Iterator[str]:
    """Each expectation that did not come true, as `expected …, came …`."""
    summary = outcome.summary
    for name in ("route", "status", "code", "upstream"):
        wanted = getattr(expect, name)
        came = summary[name] if name != "route" or outcome.route is not None else None
        if wanted is not None and wanted != came:
            yield _differs(name, wanted, came)
    if expect.upstream_path is not None:
        came = summary["upstream_path"]
        if came is not None and "?" not in expect.upstream_path:
            came = came.partition("?")[0]
        if came != expect.upstream_path:
            yield _differs("upstream_path", expect.upstream_path, came)
    for name, wanted in expect.upstream_headers.items():
        values = [value for key, value in outcome.sent or () if key == name]
        if outcome.sent is None or values != ([] if wanted == "none" else [wanted]):
            yield _differs(f"upstream header {name}", wanted, ", ".join(values) or "none")
    yield from _of_policy("cache", expect.cache, outcome.reports.get("cache"), _cache_parts)
    yield from _of_policy("limit", expect.limit, outcome.reports.get("limit"), _limit_parts)


def _of_policy(
    policy: str,
    expected: Any,
    report: Mapping[str, Any] | None,
    parts_of: Callable[[Any], Mapping[str, tuple[str, Any]]],
) -> Iterator[str]:
    if expected is None:
        return
    has_key = report is not None and report.get("key") is not None
    if expected == "none":
        if has_key:
            assert report is not None
            yield _differs(policy, "none", json.dumps(report["key"]))
        return
    if not has_key:
        yield _differs(policy, "a key", "none")
        return
    assert report is not None
    for name, (field, wanted) in parts_of(expected).items():
        came = report.get(field)
        if came != wanted:
            in_words = [f"{each:g}s" if field.endswith("_s") and each is not None else each for each in (wanted, came)]
            yield _differs(f"{policy} {name}", *in_words)


def _cache_parts(expected: ExpectedCache) -> dict[str, tuple[str, Any]]:
    """What is expected, and the member of the plugin's report that it is compared with."""
    parts = {}
    for name in expected.model_fields_set:
        value = getattr(expected, name)
        parts[name] = ("ttl_s" if name == "ttl" else name, list(value) if isinstance(value, tuple) else value)
    return parts


def _limit_parts(expected: ExpectedLimit) -> dict[str, tuple[str, Any]]:
    parts: dict[str, tuple[str, Any]] = {}
    for name in expected.model_fields_set:
        value = getattr(expected, name)
        parts[name] = (name, list(value) if isinstance(value, tuple) else None if value == "none" else value)
    return parts


def _differs(name: str, wanted: object, came: object) -> str:
    return f"expected {name} {_shown(wanted)}, came {_shown(came)}"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "none" if value is None else str(value)
