"""Hazard: a table that worked is gone when it is wanted back, or a secret lies on the disk."""

import os
from pathlib import Path

import pytest

from gateway.config.model import GatewaySection
from gateway.config.reload import CheckedTable
from gateway.config.settings import TableSources
from gateway.workers.history import KEPT, Entry, History, default_folder


def table(version: str) -> CheckedTable:
    files = {"routes.yaml": f"# {version}", "key.txt": "topsecret"}
    parts = {"routes.yaml": f"# {version}"}
    return CheckedTable(version, TableSources("routes.yaml", files), parts, [], {}, GatewaySection())


def versions(history: History) -> list[str]:
    return [entry.version for entry in history.entries()]


def test_the_last_twenty_are_kept_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "tables"
    history = History(str(folder))
    assert history.entries() == []
    for number in range(KEPT + 5):
        history.add(table(f"a{number:02d}"), "routes: ~crm", 1000.0 + number)
    assert versions(history) == [f"a{number:02d}" for number in range(5, KEPT + 5)]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == KEPT
    assert "topsecret" not in "".join(path.read_text() for path in folder.iterdir())
    assert History(str(folder)).entries()[-1] == Entry(
        "a24", 1024.0, "routes: ~crm", "routes.yaml", {"routes.yaml": "# a24"}
    )


def test_a_table_that_comes_again_stands_once(tmp_path: Path) -> None:
    history = History(str(tmp_path))
    for number, version in enumerate(("a", "b", "a")):
        history.add(table(version), "", float(number))
    assert versions(history) == ["b", "a"]


def test_what_to_go_back_to(tmp_path: Path) -> None:
    history = History(str(tmp_path))
    for number, version in enumerate(("aa1", "aa2", "b3")):
        history.add(table(version), "", float(number))

    def found(version: str | None, running: str = "b3") -> str | None:
        entry = history.find(version, running)
        return entry.version if entry is not None else None

    assert (found(None), found(None, "aa2"), found(None, "aa1"), found(None, "new")) == ("aa2", "aa1", None, "b3")
    assert (found("aa1"), found("b"), found("aa"), found("c"), found("")) == ("aa1", "b3", None, None, None)


def test_where_nothing_can_be_written_it_is_in_memory_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    history = History("/dev/null/nowhere")
    for number in range(KEPT + 2):
        history.add(table(f"a{number}"), "", float(number))
    assert versions(history) == [f"a{number}" for number in range(2, KEPT + 2)]
    assert ["--history" in record.getMessage() for record in caplog.records] == [True]


def test_what_is_no_entry_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / f"{0:017d}-abc.json").write_text("{")
    history = History(str(tmp_path))
    history.add(table("a"), "", 1.0)
    assert versions(history) == ["a"]
    assert (tmp_path / "notes.txt").exists()
    assert "is no table of the history" in caplog.text


def test_the_folder_is_beside_the_table() -> None:
    assert default_folder("/etc/gateway/routes.yaml") == "/etc/gateway/.gateway-history"
    assert default_folder("routes.yaml") == os.path.join(os.getcwd(), ".gateway-history")
