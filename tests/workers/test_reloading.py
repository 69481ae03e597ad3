"""Hazard: a bad table gets through, a good one does not, or nobody can see which one is served and why."""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.config.model import GatewaySection
from gateway.config.problems import Problem, TableInvalid
from gateway.config.reload import CheckedTable
from gateway.config.settings import TableSources
from gateway.config.snapshot import Quarantined
from gateway.observe.metrics import WorkerMetrics
from gateway.observe.metrics_buffer import map_buffer
from gateway.observe.metrics_reader import MetricsReader
from gateway.workers import reloading
from gateway.workers.history import History
from gateway.workers.reloading import Reloading
from tests.support.gateway import metric

PROBLEM = Problem("routes.yaml", 3, 1, "unknown_key", "oh dear")
WATCH = {"watch": {"for": "60s", "rollback_if": "error_rate > 5%"}}


def table(version: str, gateway: Mapping[str, Any] | None = None, **routes: str) -> CheckedTable:
    """routes: id -> what it means."""
    files = {"routes.yaml": version}
    config = {"routes": [{"id": name, "means": meaning} for name, meaning in routes.items()]}
    section = GatewaySection.model_validate(gateway or {})
    return CheckedTable(version, TableSources("routes.yaml", files), files, [], config, section, routes)


class Rig:
    """Files, workers and counters in the test's hands. file: what reading gives, a table or problems."""

    def __init__(self, folder: Path, first: CheckedTable) -> None:
        self.file: CheckedTable | Exception = first
        self.tables = {first.version: first}
        self.served = [first.version]
        self.failure = ""
        self.now_s = 1000.0
        self.requests: dict[tuple[str, str], float] = {}
        memory = map_buffer()
        self._reader = MetricsReader([memory])
        self.reloading = Reloading(
            first,
            self,
            self.change,
            History(str(folder)),
            WorkerMetrics(memory),
            self.samples,
            now=lambda: self.now_s,
            monotonic=lambda: self.now_s,
        )
        self.reloading.started()

    def current(self, running: GatewaySection) -> CheckedTable:
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    def former(self, running: GatewaySection, path: str, parts: Mapping[str, str]) -> CheckedTable:
        return self.tables[parts["routes.yaml"]]

    async def change(self, sources: TableSources, version: str) -> str:
        if not self.failure:
            self.served.append(version)
        return self.failure

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        assert name == "gateway_requests"
        return [({"route": route, "status": status}, value) for (route, status), value in self.requests.items()]

    async def put(self, found: CheckedTable | Exception, **flags: bool) -> str:
        """Change the files and reload."""
        self.file = found
        if isinstance(found, CheckedTable):
            self.tables[found.version] = found
        self.now_s += 1
        return (await self.reloading.reload("a test", **flags)).result

    def metric(self, name: str, **labels: str) -> float:
        return metric(self._reader.text(), name, **labels)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path, table("v1", a="1", b="1"))
    yield made
    await made.reloading.close()


async def test_a_good_table_is_served_and_told_everywhere(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert await rig.put(table("v2", a="2", b="1")) == "swapped"
    assert rig.served == ["v1", "v2"]
    status = rig.reloading.status()
    assert (status["version"], status["note"]) == ("v2", "a test: routes: ~a")
    assert status["last_attempt"]["result"] == "swapped"
    assert rig.metric("gateway_config_info", version="v2") == 1
    assert rig.metric("gateway_config_info", version="v1") == 0
    assert rig.metric("gateway_config_last_reload_successful") == 1
    assert rig.metric("gateway_config_last_reload_timestamp_seconds") == 1001
    assert rig.metric("gateway_config_reloads_total", result="swapped") == 1
    assert "a test: version v2 is served; routes: ~a" in caplog.text


async def test_a_table_is_read_at_a_lower_priority_than_the_gateway_has(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def current(running: GatewaySection) -> CheckedTable:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return table("v2", a="2")

    monkeypatch.setattr(rig, "current", current)
    await rig.reloading.reload("a test")
    # 19 is the lowest that there is.
    assert seen == [min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)]


async def test_an_invalid_table_changes_nothing_and_is_told_everywhere(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    assert await rig.put(TableInvalid([PROBLEM])) == "invalid"
    assert rig.served == ["v1"]
    status = rig.reloading.status()
    assert (status["version"], status["note"]) == ("v1", "started with it")
    last = status["last_attempt"]
    assert (last["result"], last["version"]) == ("invalid", "v1")
    assert [problem["text"] for problem in last["problems"]] == ["routes.yaml:3:1: unknown_key: oh dear"]
    assert rig.metric("gateway_config_last_reload_successful") == 0
    assert rig.metric("gateway_config_last_reload_timestamp_seconds") == 1000
    assert rig.metric("gateway_config_reloads_total", result="invalid") == 1
    assert [record.getMessage() for record in caplog.records] == [
        "a test: the table has 1 problem, and nothing changes; version v1 goes on",
        "routes.yaml:3:1: unknown_key: oh dear",
    ]
    # To put the old text back is enough.
    assert await rig.put(rig.tables["v1"]) == "unchanged"
    assert rig.metric("gateway_config_last_reload_successful") == 1


async def test_workers_that_cannot_take_it_change_nothing(rig: Rig) -> None:
    rig.failure = "worker 1: it ended"
    assert await rig.put(table("v2")) == "failed"
    status = rig.reloading.status()
    assert (status["version"], status["last_attempt"]["tried"]) == ("v1", "v2")
    assert "worker 1: it ended" in status["last_attempt"]["detail"]
    assert rig.metric("gateway_config_last_reload_successful") == 0
    rig.failure = ""
    assert await rig.put(table("v2")) == "swapped"


async def test_a_fault_of_ours_while_reading_is_told_as_well(rig: Rig) -> None:
    assert await rig.put(RuntimeError("a bug")) == "failed"
    assert "RuntimeError" in rig.reloading.status()["last_attempt"]["detail"]


async def test_a_dry_run_judges_only(rig: Rig) -> None:
    assert await rig.put(table("v2", a="2"), is_dry_run=True) == "good"
    assert await rig.put(TableInvalid([PROBLEM]), is_dry_run=True) == "invalid"
    assert rig.served == ["v1"]
    assert rig.reloading.status()["last_attempt"] is None
    assert rig.metric("gateway_config_last_reload_successful") == 1


async def test_a_rollback_lasts_until_the_files_change(rig: Rig) -> None:
    await rig.put(table("v2", a="2"))
    outcome = await rig.reloading.rollback(None)
    assert (outcome.result, outcome.version) == ("swapped", "v1")
    status = rig.reloading.status()
    assert status["is_rolled_back"] and status["note"].startswith("rolled back to the table of 1970-01-01")
    # The files are those that were left.
    assert await rig.put(rig.tables["v2"]) == "unchanged"
    assert rig.served == ["v1", "v2", "v1"]
    assert await rig.put(rig.tables["v2"], is_forced=True) == "swapped"
    assert not rig.reloading.status()["is_rolled_back"]
    await rig.reloading.rollback("v1")
    assert await rig.put(table("v3")) == "swapped"
    assert not rig.reloading.status()["is_rolled_back"]
    # Once they have changed, the old ones are as good as any.
    assert await rig.put(rig.tables["v2"]) == "swapped"


async def test_a_rollback_to_what_is_not_there_or_is_served(rig: Rig) -> None:
    assert (await rig.reloading.rollback("v9")).result == "unknown_version"
    assert (await rig.reloading.rollback(None)).result == "unknown_version"
    assert (await rig.reloading.rollback("v1")).result == "unchanged"
    assert not rig.reloading.status()["is_rolled_back"]
    assert rig.served == ["v1"]


async def test_quarantined_routes_are_named_until_they_are_mended(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    broken = replace(table("v2", a="1"), quarantined=(Quarantined("b", "routes.yaml:9:3", (PROBLEM,)),))
    assert await rig.put(broken) == "swapped"
    (entry,) = rig.reloading.status()["quarantined"]
    assert (entry["route"], entry["position"], entry["problems"][0]["code"]) == ("b", "routes.yaml:9:3", "unknown_key")
    assert rig.metric("gateway_routes_quarantined", route="b") == 1
    assert "route b is quarantined and answers 503: routes.yaml:3:1: unknown_key: oh dear" in caplog.text
    assert await rig.put(table("v3", a="1", b="1")) == "swapped"
    assert rig.metric("gateway_routes_quarantined", route="b") == 0
    assert rig.reloading.status()["quarantined"] == []


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "LOOK_EVERY_S", 0.0)


async def until_judged(rig: Rig) -> None:
    task = rig.reloading._watching
    assert task is not None
    async with asyncio.timeout(5):
        await task


@pytest.mark.usefixtures("quick")
async def test_a_table_whose_changed_routes_fail_is_gone_back_from(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.requests = {("a", "200"): 1000, ("a", "502"): 50, ("b", "500"): 500}
    await rig.put(table("v2", WATCH, a="2", b="1"))
    rig.requests |= {("a", "200"): 1018, ("a", "502"): 51, ("a", "503"): 1, ("b", "500"): 900}
    await until_judged(rig)
    assert rig.served == ["v1", "v2", "v1"]
    status = rig.reloading.status()
    reason = "went back from v2: 2 of 20 requests of the routes that it changed failed, more than 5%"
    assert (status["version"], status["note"], status["is_rolled_back"]) == ("v1", reason, True)
    assert reason in caplog.text
    assert rig.metric("gateway_config_rollbacks_total") == 1
    assert await rig.put(rig.tables["v2"]) == "unchanged"


@pytest.mark.usefixtures("quick")
async def test_failures_of_other_routes_are_no_reason_and_the_time_ends_it(rig: Rig) -> None:
    await rig.put(table("v2", WATCH, a="2", b="1"))
    rig.requests = {("a", "200"): 100, ("b", "500"): 900}
    rig.now_s += 60
    await until_judged(rig)
    assert rig.served == ["v1", "v2"]


@pytest.mark.usefixtures("quick")
async def test_the_next_table_ends_the_watch_and_one_that_changes_no_route_begins_none(rig: Rig) -> None:
    await rig.put(table("v2", WATCH, a="2", b="1"))
    watch = rig.reloading._watching
    assert watch is not None
    await rig.put(table("v3", WATCH, a="2", b="1"))
    assert rig.reloading._watching is None
    await asyncio.gather(watch, return_exceptions=True)
    assert watch.cancelled()


@pytest.mark.usefixtures("quick")
async def test_where_going_back_fails_that_is_said(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    await rig.put(table("v2", WATCH, a="2"))
    rig.failure = "worker 0: it ended"
    rig.requests = {("a", "500"): 20}
    await until_judged(rig)
    assert rig.reloading.status()["version"] == "v2"
    assert "but the workers cannot take it" in caplog.text
