"""A service's settings: command line first, then environment, then default."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL

from upstream_services.kit.database import database_url
from upstream_services.kit.mail import Mailer
from upstream_services.kit.process import OneLineParser, port_number


@dataclass(frozen=True)
class Flag:
    """A setting that only one service has; `--finance-url` is also `FINANCE_URL` in the environment."""

    name: str
    default: str
    help: str
    kind: Callable[[str], str] = str  # raises ValueError for what it is not

    @property
    def key(self) -> str:
        """Its name in `Settings.extra`."""
        return self.name.removeprefix("--").replace("-", "_")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a service runs with. `database` None: start the embedded PostgreSQL, in `data` or in a temporary folder."""

    host: str = "127.0.0.1"
    port: int = 0
    database: URL | None = None
    read_databases: tuple[URL, ...] = ()
    listen_database: URL | None = None
    migrate: bool = False
    data: Path | None = None
    drain_s: float = 10.0
    exit_with_parent: bool = False
    jobs_url: str = ""
    is_worker: bool = False
    job_lease_s: float = 30.0
    smtp_url: str = "smtp://127.0.0.1:25"
    mail_from: str = "no-reply@suite.example"
    extra: Mapping[str, str] = field(default_factory=dict)


def _url(text: str) -> URL:
    try:
        return database_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _smtp(text: str) -> str:
    try:
        Mailer(text, "")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _urls(text: str) -> tuple[URL, ...]:
    return tuple(_url(part.strip()) for part in text.split(",") if part.strip())


def parse(
    name: str,
    port: int,
    flags: Sequence[Flag],
    arguments: Sequence[str] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Reads the settings of the service `name`. Exits with code 2 and one line for a bad one."""
    parser = OneLineParser(prog=name, allow_abbrev=False)

    def add(flag: str, default: object, help_text: str, kind: object = str, variable: str | None = None) -> None:
        variable = variable or flag.removeprefix("--").replace("-", "_").upper()
        value = environment.get(variable, default)
        parser.add_argument(flag, default=value, type=kind, help=f"{help_text} [{variable}]")  # type: ignore[arg-type]

    add("--host", "127.0.0.1", "address to listen on")
    add("--port", str(port), "port to listen on, 0 for a free one", port_number)
    add(
        "--database",
        None,
        "postgresql://user:password@host:5432/name; default: embedded",
        _url,
        "DATABASE_URL",
    )
    add("--database-read", "", "replicas: URLs with commas between them", _urls, "DATABASE_READ_URL")
    add("--listen-database", None, "the same database past PgBouncer, for the change feed", _url, "LISTEN_DATABASE_URL")
    add("--data", None, "folder of the embedded PostgreSQL; default: a temporary one", Path)
    add("--drain", "10", "seconds that running requests get on SIGTERM", float)
    add("--jobs-url", "", "redis://host:6379/0, where workers of their own listen; default: jobs run in this process")
    add("--job-lease", "30", "seconds of silence after which a worker is taken for dead", float)
    add("--smtp-url", "smtp://127.0.0.1:25", "smtp://user:password@host:587", _smtp)
    add("--mail-from", "no-reply@suite.example", "the sender of mail")
    is_asked = environment.get("MIGRATE", "") not in ("", "0", "no", "false")
    parser.add_argument("--migrate", action="store_true", default=is_asked, help="migrate before serving [MIGRATE]")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    for flag in flags:
        add(flag.name, flag.default, flag.help, flag.kind)
    found = parser.parse_args(arguments)
    return Settings(
        host=found.host,
        port=found.port,
        database=found.database,
        read_databases=found.database_read,
        listen_database=found.listen_database,
        migrate=found.migrate,
        data=found.data,
        drain_s=found.drain,
        exit_with_parent=found.exit_with_parent,
        jobs_url=found.jobs_url,
        job_lease_s=found.job_lease,
        smtp_url=found.smtp_url,
        mail_from=found.mail_from,
        extra={flag.key: getattr(found, flag.key) for flag in flags},
    )
