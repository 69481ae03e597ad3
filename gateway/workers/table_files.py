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

LOOK_EVERY_S = 5.0
SETTLED_S = 0.1

Look = tuple[object, ...]

_log = logging.getLogger("gateway.workers")
# It tells of every file of the folders that changes.
logging.getLogger("watchfiles").setLevel(logging.WARNING)


class Footprint:
    """What was asked for while a table was read, also what was not there. `read_file` and `find_files` are for
    `load.read_table`.
    """

    def __init__(self, paths: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        self._paths = set(paths)
        self._patterns = set(patterns)

    def read_file(self, path: str) -> str:
        self._paths.add(path)
        return read_text(path)

    def find_files(self, pattern: str) -> list[str]:
        self._patterns.add(pattern)
        return glob.glob(pattern)

    def look(self) -> Look:
        """Differs from an earlier one where the files do."""
        return (
            *((path, _state(path)) for path in sorted(self._paths)),
            *((pattern, tuple(sorted(glob.glob(pattern)))) for pattern in sorted(self._patterns)),
        )

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
                self._path, running, read_file=footprint.read_file, find_files=footprint.find_files
            )
        finally:
            self._footprint = footprint

    def former(self, running: GatewaySection, path: str, parts: Mapping[str, str]) -> CheckedTable:
        """A table of these texts; what `${file:}` refers to is read as it is now. Raises TableInvalid."""
        read_part, find_parts = from_memory(parts)

        def read(name: str) -> str:
            return read_part(name) if name in parts else read_text(name)

        return check_for_serving(path, running, read_file=read, find_files=find_parts)


def _state(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


async def watch_files(footprint: Callable[[], Footprint], on_change: Callable[[], Awaitable[object]]) -> None:
    """Call on_change whenever the files differ from the last time, once they are at rest; until cancelled.

    footprint: asked anew each time, since another table may have other files.
    """
    seen = footprint().look()
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
                async for _ in notices:
                    seen = await _changed(seen, footprint, on_change)
                    if footprint().folders() != folders:
                        break
        except OSError as error:
            if not is_told:
                is_told = True
                _log.warning("the system tells nothing of changed files (%s): they are looked at every few s", error)
            await asyncio.sleep(LOOK_EVERY_S)
        # Something may have happened between two watches.
        seen = await _changed(seen, footprint, on_change)


async def _changed(seen: Look, footprint: Callable[[], Footprint], on_change: Callable[[], Awaitable[object]]) -> Look:
    look = footprint().look()
    if look == seen:
        return seen
    while True:
        await asyncio.sleep(SETTLED_S)
        again = footprint().look()
        if again == look:
            break
        look = again
    before = footprint()
    await on_change()
    # The new table may be of other files, which have just been read; those of before may have changed meanwhile.
    return footprint().look() if before.look() == look else look
