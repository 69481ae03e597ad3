"""A real PgBouncer before the embedded PostgreSQL, and a real streaming replica of it."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiohttp.test_utils import unused_port

from upstream_services.kit.embedded_postgres import EmbeddedPostgres

SYSTEM_PATH = "/usr/sbin:/usr/local/sbin"


def socket_folder(postgres: EmbeddedPostgres) -> Path:
    """Where the embedded server listens."""
    return Path(postgres.url("postgres").partition("host=")[2])


def as_its_user(postgres: EmbeddedPostgres, folder: Path) -> dict[str, int]:
    """How to start a server that refuses root: as the user of the embedded one, who then owns `folder`."""
    owner = socket_folder(postgres).stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    return {"user": owner.st_uid, "group": owner.st_gid} if os.getuid() == 0 else {}


def programs_of(postgres: EmbeddedPostgres) -> Path:
    """Where the programs of a running server are; the wheel has servers of several versions."""
    postmaster = (socket_folder(postgres) / "postmaster.pid").read_text().split()[0]
    return Path(psutil.Process(int(postmaster)).exe()).parent


async def _until_it_answers(url: str) -> None:
    while True:
        try:
            connection = await asyncpg.connect(url, statement_cache_size=0)
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.02)  # nothing tells when a server listens
            continue
        await connection.close()
        return


@asynccontextmanager
async def pgbouncer(postgres: EmbeddedPostgres, *, pool_size: int) -> AsyncIterator[str]:
    """PgBouncer in transaction mode; gives its URL without the database. Skips, and says so, where there is none."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")
    if program is None:
        pytest.skip("there is no pgbouncer; .ci/run installs it")
    port = unused_port()
    with tempfile.TemporaryDirectory(prefix="suite-pgbouncer-") as text:
        folder = Path(text)
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={socket_folder(postgres)} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
            f"default_pool_size = {pool_size}\nmax_client_conn = 200\n"
            "server_login_retry = 1\n"
        )
        settings.chmod(0o644)
        process = await asyncio.create_subprocess_exec(
            program,
            str(settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_its_user(postgres, folder),
        )
        try:
            await _until_it_answers(f"postgresql://postgres@127.0.0.1:{port}/postgres")
            yield f"postgresql://postgres@127.0.0.1:{port}"
        finally:
            process.terminate()
            await process.wait()


class ReplicaServer:
    """A streaming replica that can be stopped; `url` is without the database."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process, self.url = process, f"postgresql://postgres@127.0.0.1:{port}"

    async def execute(self, statement: str) -> None:
        """Runs a statement there."""
        connection = await asyncpg.connect(f"{self.url}/postgres")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def kill(self) -> None:
        """Ends it as a crash would, with its connections."""
        if self._process.returncode is None:
            self._process.send_signal(3)  # SIGQUIT: PostgreSQL's immediate shutdown
            await self._process.wait()


@asynccontextmanager
async def replica_of(postgres: EmbeddedPostgres) -> AsyncIterator[ReplicaServer]:
    """A streaming replica of the embedded server."""
    programs = programs_of(postgres)
    with tempfile.TemporaryDirectory(prefix="suite-replica-") as text:
        folder, port = Path(text), unused_port()
        user, data = as_its_user(postgres, folder), folder / "data"
        backup = (
            programs / "pg_basebackup",
            "-h",
            socket_folder(postgres),
            "-U",
            "postgres",
            "-D",
            data,
            "-R",
            "-c",
            "fast",
        )
        copied = await asyncio.create_subprocess_exec(*map(str, backup), stderr=subprocess.PIPE, **user)
        _, errors = await copied.communicate()
        assert copied.returncode == 0, errors.decode()
        serve = (programs / "postgres", "-D", data, "-k", folder, "-h", "127.0.0.1", "-p", port)
        process = await asyncio.create_subprocess_exec(
            *map(str, serve), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user
        )
        server = ReplicaServer(process, port)
        try:
            await _until_it_answers(f"{server.url}/postgres")
            yield server
        finally:
            await server.kill()
