"""Hazard: an edit is not noticed, by whatever way the file is changed, or is read while it is half written."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.config.model import GatewaySection
from gateway.config.problems import TableInvalid
from gateway.workers.table_files import Footprint, TableReader, watch_files

TABLE = "version: 1\nroutes: [{id: a, match: /a, auth: none, respond: {text: %s}}]\n"


@asynccontextmanager
async def watched(path: Path, reader: TableReader | None = None) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A file that is read at each notice, or what the reader reads. Yields what waits for the next notice."""
    noticed = asyncio.Semaphore(0)
    footprint = Footprint([str(path)])

    async def on_change() -> None:
        nonlocal footprint
        footprint = Footprint([str(path)])
        if reader is not None:
            reader.current()
        noticed.release()

    async def notice() -> None:
        async with asyncio.timeout(20):
            await noticed.acquire()

    task = asyncio.create_task(watch_files(reader.footprint if reader is not None else lambda: footprint, on_change))
    try:
        yield notice
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def renamed(path: Path, text: str) -> None:
    path.with_suffix(".tmp").write_text(text)
    path.with_suffix(".tmp").rename(path)


def removed_and_written(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


@pytest.mark.parametrize("put", [in_place, renamed, removed_and_written])
async def test_each_way_to_save_is_noticed(tmp_path: Path, put: Callable[[Path, str], None]) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text("one")
    async with watched(path) as notice:
        put(path, "two two")
        await notice()
        put(path, "three three three")
        await notice()


async def test_the_switch_of_a_config_map_is_noticed(tmp_path: Path) -> None:
    """routes.yaml -> ..data/routes.yaml, and ..data -> the folder of a version, of which the link is replaced."""
    for number in (1, 2):
        (tmp_path / f"..v{number}").mkdir()
        (tmp_path / f"..v{number}" / "routes.yaml").write_text(f"version {number}")
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "routes.yaml").symlink_to("..data/routes.yaml")
    async with watched(tmp_path / "routes.yaml") as notice:
        (tmp_path / "..data_tmp").symlink_to("..v2")
        os.replace(tmp_path / "..data_tmp", tmp_path / "..data")
        await notice()
        assert (tmp_path / "routes.yaml").read_text() == "version 2"


async def test_includes_references_and_what_was_missing_are_watched(tmp_path: Path) -> None:
    (tmp_path / "routes.d").mkdir()
    (tmp_path / "secrets").mkdir()
    table = tmp_path / "routes.yaml"
    table.write_text(
        "version: 1\ninclude: [routes.d/*.yaml]\n"
        'routes: [{id: a, match: /a, auth: none, respond: {text: "${file:secrets/text}"}}]\n'
    )
    reader = TableReader(str(table))
    with pytest.raises(TableInvalid):
        reader.current()

    async with watched(table, reader) as notice:
        (tmp_path / "secrets" / "text").write_text("hello")
        await notice()
        (tmp_path / "routes.d" / "more.yaml").write_text("routes: []\n")
        await notice()
        assert str(tmp_path / "routes.d" / "more.yaml") in reader.current().parts


async def test_what_is_no_part_of_the_table_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text("one")
    looks = []

    class Counted(TableReader):
        def current(self, running: GatewaySection | None = None) -> Any:
            self._footprint = Footprint([self._path])
            looks.append(path.read_text())

    async with watched(path, Counted(str(path))) as notice:
        for text in ("two two", "three three three"):
            for number in range(20):
                (tmp_path / f"other-{number}.log").write_text(text)
            path.write_text(text)
            await notice()
    assert looks == ["two two", "three three three"]


def test_a_look_differs_where_the_files_do(tmp_path: Path) -> None:
    path = tmp_path / "a"
    footprint = Footprint([str(path)])
    assert footprint.find_files(str(tmp_path / "*.yaml")) == []
    first = footprint.look()
    assert first == footprint.look() == footprint.as_read
    path.write_text("x")
    second = footprint.look()
    (tmp_path / "b.yaml").write_text("x")
    assert first != second != footprint.look()
    assert footprint.as_read == first
    assert footprint.folders() == {str(tmp_path)}


def test_an_earlier_table_is_read_from_its_texts_with_the_references_of_today(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("old")
    path = str(tmp_path / "routes.yaml")
    text = TABLE % '"${file:text}"'
    Path(path).write_text(text)
    reader = TableReader(path)
    old = reader.current()
    (tmp_path / "text").write_text("new")
    Path(path).write_text("oh dear: [")
    again = reader.former(GatewaySection(), path, old.parts)
    assert again.sources.files[str(tmp_path / "text")] == "new"
    assert again.parts == old.parts and again.version != old.version
