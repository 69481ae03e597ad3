"""Notices that the files of a table have changed, however that was done.

Editors write in place or rename; Kubernetes switches a link in the folder of the file. So the folders are watched, and
what counts is what the paths lead to. What no notification tells of (network file systems, a link further up) is seen
by a look every few seconds.
"""

import asyncio
import glob
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing

from watchfiles import awatch

from gateway.config.model import GatewaySection
from gateway.config.reload import CheckedTable, check_for_serving
from gateway.config.source import from_memory, read_text
from gateway.explain.table_tests import run_table_tests

LOOK_EVERY_S = 5.0
SETTLED_S = 0.1

Look = tuple[dict[str, tuple[int, ...]], dict[str, list[str]]]

_log = logging.getLogger("gateway.workers")
# It tells of every file of the folders that changes.
logging.getLogger("watchfiles").setLevel(logging.WARNING)


class Footprint:
    """What was asked for while a table was read, also what was not there, each as it was just before it was read.
    `read_file` and `find_files` are for `load.read_table`.
    """

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._paths = {path: _state(path) for path in paths}
        self._patterns: dict[str, list[str]] = {}

    def read_file(self, path: str) -> str:
        self._paths[path] = _state(path)
        return read_text(path)

    def find_files(self, pattern: str) -> list[str]:
        found = self._patterns[pattern] = sorted(glob.glob(pattern))
        return found

    @property
    def as_read(self) -> Look:
        """The look of that time."""
        return dict(self._paths), dict(self._patterns)

    def look(self) -> Look:
        """How it is now: differs where the files do."""
        patterns = {pattern: sorted(glob.glob(pattern)) for pattern in self._patterns}
        return {path: _state(path) for path in self._paths}, patterns

    def folders(self) -> frozenset[str]:
        """Where a change shows: beside each path and beside what it leads to."""
        paths = {*self._paths, *(os.path.realpath(path) for path in self._paths), *self._patterns}
        folders = {os.path.dirname(path) or "." for path in paths}
        return frozenset(folder for folder in folders if os.path.isdir(folder))


class TableReader:
    """Reads the table at a path, and knows its footprint. Implements `reloading.ReadTable`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._footprint = Footprint([path])

    def footprint(self) -> Footprint:
        """Of the files as they were last read."""
        return self._footprint

    def current(self, running: GatewaySection | None = None) -> CheckedTable:
        """The files as they are. Raises TableInvalid."""
        footprint = Footprint([self._path])
        try:
            return check_for_serving(
                self._path,
                running,
                read_file=footprint.read_file,
                find_files=footprint.find_files,
                run_tests=run_table_tests,
            )
        finally:
            self._footprint = footprint

    def former(self, running: GatewaySection, path: str, parts: Mapping[str, str]) -> CheckedTable:
        """A table of these texts; what `${file:}` refers to is read as it is now. Raises TableInvalid."""
        read_part, find_parts = from_memory(parts)

        def read(name: str) -> str:
            return read_part(name) if name in parts else read_text(name)

        return check_for_serving(path, running, read_file=read, find_files=find_parts, run_tests=run_table_tests)


def _state(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


async def watch_files(footprint: Callable[[], Footprint], on_change: Callable[[], Awaitable[object]]) -> None:
    """Call on_change whenever the files differ from what was read, once they are at rest; until cancelled.

    footprint: of the last time that they were read. on_change: reads them, after which another footprint is asked for.
    """
    judged: Look | None = None
    is_told = False
    while True:
        folders = footprint().folders()
        try:
            notices = awatch(
                *folders,
                watch_filter=None,
                debounce=200,
                step=50,
                rust_timeout=int(LOOK_EVERY_S * 1000),
                yield_on_timeout=True,
                recursive=False,
            )
            async with aclosing(notices):
                # Something may have happened since the files were read, or between two watches.
                judged = await _judge(judged, footprint, on_change)
                async for _ in notices:
                    judged = await _judge(judged, footprint, on_change)
                    if footprint().folders() != folders:
                        break
        except OSError as error:
            if not is_told:
                is_told = True
                _log.warning("the system tells nothing of changed files (%s): they are looked at every few s", error)
            judged = await _judge(judged, footprint, on_change)
            await asyncio.sleep(LOOK_EVERY_S)


async def _judge(
    judged: Look | None, footprint: Callable[[], Footprint], on_change: Callable[[], Awaitable[object]]
) -> Look | None:
    """judged: what on_change was called for last, since a change that cannot be read is no reason to call for ever."""
    known = footprint()
    look = known.look()
    if look in (known.as_read, judged):
        return judged
    while True:
        await asyncio.sleep(SETTLED_S)
        again = known.look()
        if again == look:
            break
        look = again
    await on_change()
    return look
