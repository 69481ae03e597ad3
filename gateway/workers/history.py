"""The last good tables, as files: what `gateway rollback` goes back to, and `gateway history` lists.

Each is the text of the table's own files with its references as they stand there. What `${env:}` and `${file:}` stand
for is not kept; a secret that somebody wrote into routes.yaml itself is, as it is there, so only the gateway's user may
read the folder.
"""

import json
import logging
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.config.reload import CheckedTable

KEPT = 20
FOLDER = ".gateway-history"
"""Beside routes.yaml, where nothing else is said."""

_NAME = re.compile(r"(\d{17})-([0-9a-z]{1,64})\.json")
_log = logging.getLogger("gateway.workers")


@dataclass(frozen=True, slots=True)
class Entry:
    """One table. time_s: when it was found good, as a Unix time. summary: what changed with it. path: of its first
    file. parts: path -> text.
    """

    version: str
    time_s: float
    summary: str
    path: str
    parts: Mapping[str, str] = field(repr=False)


def default_folder(config: str) -> str:
    """The folder of the history of the table at this path."""
    return os.path.join(os.path.dirname(os.path.abspath(config)), FOLDER)


class History:
    """The oldest first. folder: made when the first table comes. Where it cannot be written, which is logged once, the
    tables are kept in memory.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._memory: list[Entry] | None = None

    def add(self, table: CheckedTable, summary: str, now_s: float) -> None:
        """A table is good. The same one once more takes the place of its earlier entry."""
        entry = Entry(table.version, now_s, summary, table.sources.path, dict(table.parts))
        if self._memory is None:
            try:
                self._write(entry)
            except OSError as error:
                _log.warning(
                    "no history of tables can be kept in %s (%s): it is kept in memory until the gateway ends; "
                    "--history names another folder",
                    self._folder,
                    error.strerror,
                )
                self._memory = self.entries()
        if self._memory is not None:
            self._memory = [*(old for old in self._memory if old.version != entry.version), entry][-KEPT:]

    def entries(self) -> list[Entry]:
        """All that can be read."""
        if self._memory is not None:
            return list(self._memory)
        found = []
        for path in self._files():
            try:
                found.append(Entry(**json.loads(path.read_text())))
            except (OSError, ValueError, TypeError):
                _log.warning("%s is no table of the history and is left alone", path)
        return found

    def find(self, version: str | None, running: str) -> Entry | None:
        """The entry of that version, which may be cut short; None for the one before the running one."""
        entries = self.entries()
        if version is not None:
            fitting = [entry for entry in entries if version and entry.version.startswith(version)]
            return fitting[-1] if len({entry.version for entry in fitting}) == 1 else None
        versions = [entry.version for entry in entries]
        before = entries[: versions.index(running)] if running in versions else entries
        return before[-1] if before else None

    def _write(self, entry: Entry) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{int(entry.time_s * 1_000_000):017d}-{entry.version}.json"
        # mkstemp makes it 0600.
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            with open(descriptor, "w") as file:
                json.dump(asdict(entry), file)
            os.replace(temporary, self._folder / name)
        except BaseException:
            os.unlink(temporary)
            raise
        others = [path for path in self._files() if path.name != name]
        same = [path for path in others if path.name.endswith(f"-{entry.version}.json")]
        rest = [path for path in others if path not in same]
        for path in (*same, *rest[: max(0, len(rest) - KEPT + 1)]):
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        try:
            return sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        except OSError:
            return []

    def __repr__(self) -> str:
        return f"<History {self._folder if self._memory is None else 'in memory'}>"
