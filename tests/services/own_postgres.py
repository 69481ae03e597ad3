"""A PostgreSQL of a test's own, of any installed version, that can be restarted with its own tools.

`TEST_POSTGRES_BIN=/usr/lib/postgresql/15/bin pytest tests/services` runs all tests of the services on that one
instead of the embedded server.
"""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from upstream_services.kit.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

_SERVERS_WAIT_S = 60


def user_of_servers() -> dict[str, int]:
    """Who runs a server where root runs the tests, for it refuses root: anybody else."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


class OwnPostgres(EmbeddedPostgres):
    """Like the embedded server, but of the programs in a folder."""

    def __init__(self, programs: Path) -> None:
        super().__init__()
        self._programs = programs
        self._folder = Path()

    def start(self) -> None:
        """Starts a new, empty server. Blocks. Raises EmbeddedPostgresError."""
        self._folder = self._temporary = Path(tempfile.mkdtemp(prefix="suite-postgres-"))
        user = user_of_servers()
        if user:
            os.chown(self._folder, user["user"], user["group"])
        try:
            self._run("initdb", "--auth=trust", "--encoding=utf8", "-U", "postgres")
            self.start_again()
        except (OSError, subprocess.CalledProcessError) as error:
            self.stop()
            raise EmbeddedPostgresError(f"the PostgreSQL of {self._programs} does not start: {error}") from None

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._folder / "data"), *arguments]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **user_of_servers()
        )

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-w", "-t", str(_SERVERS_WAIT_S), "-l", str(self._folder / "data" / "log"), *arguments)

    def start_again(self) -> None:
        """Starts it on the data that it has; comes back when it answers."""
        # As the embedded one, whose socket is in the folder of its data.
        self._control("start", "-o", f"-k {self._folder / 'data'} -h ''")

    async def restart(self, mode: str) -> None:
        """`fast`: as an operator does it; `immediate`: as a crash would. Comes back when it answers again."""
        await asyncio.to_thread(self._control, "restart", "-m", mode)

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://postgres@/{database}?host={self._folder / 'data'}"

    def stop(self) -> None:
        """Stops it; its folder is removed. Blocks. May be called again."""
        if self._temporary is not None:
            if (self._folder / "data" / "postmaster.pid").exists():
                self._control("stop", "-m", "immediate")
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None
