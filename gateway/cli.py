"""The commands: arguments and printing only."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from gateway.admin.app import text_table
from gateway.app import build_gateway
from gateway.check_command import add_check_arguments, add_schema_arguments
from gateway.config.compile import check_table
from gateway.config.describe import describe_routes
from gateway.config.load import load_table
from gateway.config.problems import TableInvalid
from gateway.config.settings import ServeSettings, parse_worker_count
from gateway.config.tls import TlsInvalid, read_tls
from gateway.core.scalars import parse_duration
from gateway.demo import run_demo
from gateway.development_token import Caller, make_token
from gateway.explain.commands import fill_explain
from gateway.explain.diff_command import fill_diff
from gateway.observe.log_format import log_to_stderr
from gateway.proxy.aiohttp_lane import has_c_parser
from gateway.workers import History, Listening, TableReader, run_supervisor, run_worker
from gateway.workers.history import default_folder
from gateway.workers.history_commands import ask_rollback, history_rows

_USAGE = 2
_MISSING = {"missing_env", "missing_file"}


class _Parser(argparse.ArgumentParser):
    """A bad flag is one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message} (see {self.prog} --help)\n")
        raise SystemExit(_USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, 1 where the table is invalid or the run failed, 2 for bad usage or
    where nothing but a file or a secret is missing.
    """
    found = make_parser().parse_args(arguments)
    try:
        code = int(found.run(found))
        sys.stdout.flush()
        return code
    except TableInvalid as invalid:
        for problem in invalid.problems:
            sys.stderr.write(f"{problem}\n")
        if len(invalid.problems) > 1:
            sys.stderr.write(f"{found.config}: {len(invalid.problems)} problems\n")
        is_only_missing = {problem.code for problem in invalid.problems} <= _MISSING
        return _USAGE if is_only_missing else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`gateway routes | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def make_parser() -> argparse.ArgumentParser:
    """The parser of every command. Defaults come from the environment as it is now."""
    parser = _Parser(
        prog="gateway", description="The edge gateway: one YAML route table, checked, explained and served."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_serve(commands)
    _add_demo(commands)
    _add_check(commands)
    _add_schema(commands)
    _add_routes(commands)
    _add_explain(commands)
    fill_diff(commands.add_parser("diff", help="say what a change of a route table means, the riskiest first"))
    _add_token(commands)
    _add_history(commands)
    _add_rollback(commands)
    _add_worker(commands)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default=_from_environment("config", "routes.yaml"), help="the route table")


def _add_serve(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("serve", help="serve the route table until SIGTERM or Ctrl-C")
    _add_config(parser)
    listen, admin = _from_environment("listen", "127.0.0.1:8080"), _from_environment("admin", "127.0.0.1:9901")
    parser.add_argument("--listen", type=_address, default=listen, metavar="HOST:PORT", help="for clients")
    parser.add_argument("--admin", type=_address, default=admin, metavar="HOST:PORT", help="for operators")
    workers = _from_environment("workers", "auto")
    parser.add_argument("--workers", type=_workers, default=workers, help="processes, or auto: one a processor")
    drain = _from_environment("drain", "30s")
    parser.add_argument("--drain", type=_duration, default=drain, help="how long exchanges may go on after SIGTERM")
    access_log = _from_environment("access_log", "-")
    parser.add_argument(
        "--access-log", type=_log_path, default=access_log, metavar="PATH", help="- is standard output; or none"
    )
    lane = _from_environment("lane", "fast")
    parser.add_argument("--lane", choices=("fast", "aiohttp"), default=lane, help="aiohttp: without the fast lane")
    _add_history_folder(parser)
    _add_tls(parser)
    parser.set_defaults(run=_serve)


def _add_history_folder(parser: argparse.ArgumentParser) -> None:
    folder = _from_environment("history", "")
    parser.add_argument("--history", default=folder, metavar="DIR", help="of good tables; default: beside the table")


def _add_tls(parser: argparse.ArgumentParser) -> None:
    for name, help_text in (
        ("cert", "a certificate and its chain, PEM; repeat for more names"),
        ("key", "its key, PEM"),
    ):
        default = tuple(_listed(_from_environment(f"tls_{name}", "")))
        parser.add_argument(f"--tls-{name}", action=_Repeated, default=default, metavar="FILE", help=help_text)
    client_ca, client_auth = _from_environment("tls_client_ca", ""), _from_environment("tls_client_auth", "")
    parser.add_argument("--tls-client-ca", default=client_ca, metavar="FILE", help="who signs clients' certificates")
    parser.add_argument(
        "--tls-client-auth",
        choices=("none", "optional", "required"),
        default=client_auth or None,
        help="whether clients show a certificate; default: required with --tls-client-ca",
    )


class _Repeated(argparse.Action):
    """A flag that may stand several times; the first one takes the place of what the environment says."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [values] if before is self.default else [*before, values])


def _serve(found: argparse.Namespace) -> int:
    log_to_stderr()
    if not has_c_parser():
        sys.stderr.write(
            "gateway serve: aiohttp runs without its C parser, and the one in Python is not as strict: "
            "unset AIOHTTP_NO_EXTENSIONS, or install aiohttp from a wheel\n"
        )
        return _USAGE
    files = TableReader(found.config)
    table = files.current()
    try:
        tls = read_tls(
            found.tls_cert, found.tls_key, found.tls_client_ca, found.tls_client_auth or "", now_s=time.time()
        )
    except TlsInvalid as error:
        sys.stderr.write(f"gateway serve: {error}\n")
        return _USAGE
    (host, port), (admin_host, admin_port) = found.listen, found.admin
    settings = ServeSettings(
        config=found.config,
        host=host,
        port=port,
        admin_host=admin_host,
        admin_port=admin_port,
        workers=found.workers,
        drain_s=found.drain,
        access_log=found.access_log,
        lane=found.lane,
        tls=tls,
    )

    def announce(listening: Listening) -> None:
        sys.stderr.write(f"{listening}\n")
        if settings.workers > 1 and table.gateway.store == "memory://":
            sys.stderr.write(
                f"gateway: store memory:// counts limits in each of {settings.workers} workers on its own; "
                "set gateway.store to a redis:// address for one count\n"
            )
        sys.stderr.flush()

    history = History(found.history or default_folder(found.config))
    return run_supervisor(settings, table, files, history, announce=announce)


def _add_worker(commands: "argparse._SubParsersAction[_Parser]") -> None:
    # Started by `serve` only, so the help does not list it.
    parser = commands.add_parser("worker")
    parser.add_argument("control_descriptor", type=int)
    parser.set_defaults(run=_worker)


def _worker(found: argparse.Namespace) -> int:
    log_to_stderr()
    return run_worker(found.control_descriptor, build_gateway)


def _add_check(commands: "argparse._SubParsersAction[_Parser]") -> None:
    add_check_arguments(commands.add_parser("check", help="say everything that is wrong with a route table"))


def _add_schema(commands: "argparse._SubParsersAction[_Parser]") -> None:
    add_schema_arguments(commands.add_parser("schema", help="write the JSON Schema of route tables, for editors"))


def _add_routes(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("routes", help="list the routes")
    _add_config(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=_routes)


def _routes(found: argparse.Namespace) -> int:
    rows = [row.as_dict() for row in describe_routes(check_table(found.config))]
    print(json.dumps(rows, indent=2) if found.json else text_table(rows), end="\n" if found.json else "")
    return 0


def _add_explain(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("explain", help="say what becomes of a request, and why")
    _add_config(parser)
    fill_explain(parser, _duration)


def _add_token(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("token", help="make a token for development, with a shared secret of the table")
    _add_config(parser)
    parser.add_argument("--profile", help="the profile of `auth`; default: the first one with a secret")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--user", default="developer")
    parser.add_argument("--plan", default="free")
    parser.add_argument("--scopes", default="", help="separated by commas")
    parser.add_argument("--modules", default="crm,finance,hr,marketing", help="separated by commas")
    parser.add_argument("--expires", type=_duration, default="1h")
    parser.set_defaults(run=_token)


def _token(found: argparse.Namespace) -> int:
    caller = Caller(found.tenant, found.user, found.plan, _listed(found.scopes), _listed(found.modules))
    try:
        print(make_token(load_table(found.config), caller, profile=found.profile, lifetime_s=found.expires))
    except ValueError as error:
        sys.stderr.write(f"gateway token: {error}\n")
        return _USAGE
    return 0


def _add_history(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("history", help="list the last good tables")
    _add_config(parser)
    _add_history_folder(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=_history)


def _history(found: argparse.Namespace) -> int:
    rows = history_rows(History(found.history or default_folder(found.config)))
    print(json.dumps(rows, indent=2) if found.json else text_table(rows), end="\n" if found.json else "")
    return 0


def _add_rollback(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("rollback", help="let a running gateway go back to an earlier table")
    parser.add_argument("version", nargs="?", metavar="VERSION", help="or its beginning; default: the one before")
    admin = _from_environment("admin", "127.0.0.1:9901")
    parser.add_argument("--admin", type=_address, default=admin, metavar="HOST:PORT", help="of the running gateway")
    parser.set_defaults(run=_rollback)


def _rollback(found: argparse.Namespace) -> int:
    host, port = found.admin
    is_done, text = ask_rollback(host, port, found.version)
    (sys.stdout if is_done else sys.stderr).write(f"{text}\n")
    return 0 if is_done else 1


def _add_demo(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("demo", help="the gateway in front of four services with data, on this machine")
    parser.add_argument("--data", metavar="DIR", help="keep the data there; default: a temporary folder")
    parser.add_argument("--listen", type=_address, default="127.0.0.1:8080", metavar="HOST:PORT", help="for clients")
    parser.add_argument("--admin", type=_address, default="127.0.0.1:9901", metavar="HOST:PORT", help="for operators")
    parser.set_defaults(run=lambda found: run_demo(found.data, found.listen, found.admin), config="routes.yaml")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _from_environment(name: str, default: str) -> str:
    return os.environ.get(f"GATEWAY_{name.upper()}", default)


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, like 127.0.0.1:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _log_path(text: str) -> str:
    if text not in ("-", "none"):
        try:
            with open(text, "ab"):
                pass
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{text} cannot be written: {error.strerror}") from None
    return text


def _workers(text: str) -> int:
    try:
        return parse_worker_count(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration, like 30s or 5m") from None
