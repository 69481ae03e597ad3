"""Hazard: a command answers a mistake with a traceback, or with an exit code that a script cannot go by."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

import pytest

from gateway.cli import main, make_parser
from tests.support.certificates import Authority

TOP = Path(__file__).parents[1]
ENVIRONMENT = {"PATH": os.environ["PATH"], "JWT_SECRET": "long-enough-for-a-test-of-the-commands"}
FREE = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1")
TABLE = """\
version: 1
auth: {own: {jwt: {algorithms: [HS256], secret: "${env:JWT_SECRET}", issuer: us, audience: here}}}
routes:
- {id: open, match: /open, auth: none, respond: {text: open}}
- {id: closed, match: /closed, auth: own, allow: {scopes: [a.read], modules: [crm]}, respond: {text: closed}}
"""
BROKEN = """\
version: 1
routs: []
routes:
- {id: one, match: /one, auth: none, respnd: {text: one}}
- {id: two, match: /two, to: nowhere, timeout: {total: 30}}
"""


def gateway(*arguments: str, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=TOP,
        env=ENVIRONMENT if environment is None else environment,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def refused(done: "subprocess.CompletedProcess[str]", code: int = 2) -> str:
    """The one line that says why."""
    assert done.returncode == code, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


@dataclass
class Served:
    """A gateway that serves `TABLE`."""

    process: "subprocess.Popen[str]"
    url: str
    admin_url: str
    access_log: Path


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "routes.yaml"
    path.write_text(TABLE)
    return str(path)


@pytest.fixture
def served(table: str, tmp_path: Path) -> Iterator[Served]:
    log = tmp_path / "access.log"
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--config", table, *FREE, "--access-log", str(log), "--drain", "5s"],
        cwd=TOP,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("listening on http://"), line
    words = line.replace(",", "").split()
    yield Served(process, words[2], words[4], log)
    if process.poll() is None:
        process.kill()
    process.communicate()


def get(url: str, token: str = "") -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def test_no_command_is_one_line() -> None:
    assert "arguments are required" in refused(gateway())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("sreve", "invalid choice"),
        ("serve --listen 8080", "not HOST:PORT"),
        ("serve --workers 0", "not a number of workers"),
        ("serve --access-log /no/such/folder/log", "cannot be written: No such file or directory"),
        ("serve --tls-client-auth maybe", "invalid choice: 'maybe'"),
        ("token --tenant t --expires 5", "not a duration"),
        ("demo --admin :", "not HOST:PORT"),
    ],
)
def test_a_bad_flag_is_one_line(arguments: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    output, errors = capsys.readouterr()
    assert (ended.value.code, output, errors.count("\n")) == (2, "", 1)
    assert says in errors


def test_a_bad_variable_is_one_line() -> None:
    line = refused(gateway("serve", environment={**ENVIRONMENT, "GATEWAY_WORKERS": "many"}))
    assert "--workers: 'many' is not a number of workers" in line


def test_a_profile_without_a_shared_secret_is_one_line() -> None:
    line = refused(gateway("token", "--tenant", "t", "--profile", "partner"))
    assert line.endswith("needs a jwt profile with a secret; in routes.yaml: payaid")


@pytest.mark.parametrize(("command", "code"), [("serve", 2), ("check", 1)])
def test_a_missing_secret_is_one_line(command: str, code: int) -> None:
    line = refused(gateway(command, environment={"PATH": ENVIRONMENT["PATH"]}), code)
    assert line.startswith("routes.yaml:")
    assert "missing_env" in line
    assert "JWT_SECRET" in line


def test_aiohttp_without_its_parser_in_c_is_not_started(table: str) -> None:
    line = refused(
        gateway("serve", "--config", table, *FREE, environment={**ENVIRONMENT, "AIOHTTP_NO_EXTENSIONS": "1"})
    )
    assert line.startswith("gateway serve: aiohttp runs without its C parser")
    assert "unset AIOHTTP_NO_EXTENSIONS" in line


def test_certificates_that_cannot_be_served_are_one_line_before_the_port_is_taken(table: str, tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "cert.pem").write_text(authority.local.certificate)
    (tmp_path / "key.pem").write_text(authority.issue("other").key)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = ["serve", "--config", table, *FREE, "--listen", f"127.0.0.1:{taken.getsockname()[1]}"]
        files = {"GATEWAY_TLS_CERT": str(tmp_path / "cert.pem"), "GATEWAY_TLS_KEY": str(tmp_path / "key.pem")}
        line = refused(gateway(*where, environment={**ENVIRONMENT, **files}))
        assert line == f"gateway serve: --tls-key {tmp_path}/key.pem: the private key belongs to another certificate"
        line = refused(gateway(*where, "--tls-key", "no.pem", environment={**ENVIRONMENT, **files}))
        assert line == "gateway serve: --tls-key no.pem: there is no such file"
        line = refused(gateway(*where, "--tls-cert", "a", "--tls-cert", "b", environment={**ENVIRONMENT, **files}))
        assert line == "gateway serve: --tls-cert and --tls-key go in pairs, and here are 2 and 1"


def test_flags_take_the_place_of_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TLS_CERT", "a.pem, b.pem")
    assert list(make_parser().parse_args(["serve"]).tls_cert) == ["a.pem", "b.pem"]
    given = ["serve", "--tls-cert", "c.pem", "--tls-cert", "d.pem"]
    assert make_parser().parse_args(given).tls_cert == ["c.pem", "d.pem"]


@pytest.mark.parametrize("flag", ["--listen", "--admin"])
def test_a_port_in_use_is_one_line(flag: str, table: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(gateway("serve", "--config", table, *FREE, flag, f"127.0.0.1:{port}"))
    assert line == f"gateway: cannot listen on 127.0.0.1:{port}: Address already in use"


def test_a_broken_table_is_the_list_of_its_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text(BROKEN)
    done = gateway("serve", "--config", str(path))
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().err == done.stderr
    *problems, last = done.stderr.splitlines()
    assert (done.returncode, done.stdout, last) == (1, "", f"{path}: {len(problems)} problems")
    assert [line.removeprefix(f"{path}:").split(": ")[:2] for line in problems] == [
        ["2:1", "unknown_key"],
        ["4:3", "missing_action"],
        ["4:38", "unknown_key"],
        ["5:3", "missing_policy"],
        ["5:30", "unknown_upstream"],
        ["5:56", "bad_duration"],
    ]
    assert 'did you mean "routes"?' in problems[0]


def test_the_projects_table_is_good_and_what_is_not_in_force_is_said() -> None:
    done = gateway("check")
    *remarks, last = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert last.startswith("routes.yaml: good; ")
    assert {line.split(": ")[1] for line in remarks} <= {"not_in_force"}


def test_routes_are_listed_as_text_and_as_json(table: str) -> None:
    text = gateway("routes", "--config", table)
    rows = json.loads(gateway("routes", "--config", table, "--json").stdout)
    assert [row["id"] for row in rows] == ["open", "closed"]
    assert [line.split()[0] for line in text.stdout.splitlines()] == ["ID", "open", "closed"]


def test_a_reader_who_goes_away_is_no_error() -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m gateway routes | true"],
        cwd=TOP,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_served_table_takes_its_own_tokens_and_ends_on_sigterm(served: Served, table: str) -> None:
    made = gateway("token", "--config", table, "--tenant", "t1", "--scopes", "a.read")
    token = made.stdout.strip()
    assert (made.returncode, made.stderr) == (0, "")
    assert get(f"{served.url}/open") == (200, b"open")
    assert get(f"{served.url}/closed", token) == (200, b"closed")
    status, problem = get(f"{served.url}/closed")
    assert (status, json.loads(problem)["code"]) == (401, "token_missing")
    assert get(f"{served.admin_url}/readyz")[0] == 200
    status, body = get(f"{served.admin_url}/explain?method=GET&url=/closed&tenant=t1&scopes=a.read")
    assert (status, json.loads(body)["outcome"]["code"]) == (200, "module_not_licensed")
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0
    log = served.access_log.read_text()
    assert [json.loads(line)["status"] for line in log.splitlines()] == [200, 200, 401]
    assert token not in log
