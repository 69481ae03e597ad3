"""Hazard: the deployment files start something else than what the code is. There is no container engine here, so they
are read, and what they say is held against the code.
"""

import configparser
import os
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from gateway.admin.app import make_admin_app
from gateway.cli import make_parser
from gateway.config.load import load_table
from upstream_services.demo import SERVICES
from upstream_services.kit import database
from upstream_services.kit.app import Service, build_app
from upstream_services.kit.settings import Settings, parse

TOP = Path(__file__).parents[1]
DEPLOY = TOP / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
GATEWAYS = ("gateway-1", "gateway-2")
SECRETS = {"JWT_SECRET": "signing-key-of-at-least-32-bytes!", "POSTGRES_PASSWORD": "pw0"}
# What other people's images read; the names of ours are held against the code.
FOREIGN_VARIABLES = {
    "postgres": {"POSTGRES_USER", "POSTGRES_PASSWORD"},
    "pgbouncer": {"DB_USER", "DB_PASSWORD", "AUTH_TYPE"},
}
OWN_PORTS = {"pgbouncer": 6432, "postgres": 5432, "redis": 6379}


class Recorded(dict[str, str]):
    """An environment that knows what was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


def environment(name: str) -> dict[str, str]:
    """A container's variables, with the operator's secrets filled in."""

    def fill(found: re.Match[str]) -> str:
        return SECRETS[found[1]]

    given = CONTAINERS[name].get("environment", {})
    return {key: re.sub(r"\$\{([A-Z_]+)(?::\?[^}]*)?\}", fill, value) for key, value in given.items()}


def service(name: str) -> Service:
    found: Service = import_module(f"upstream_services.{name}.api").SERVICE
    return found


def settings(name: str) -> Settings:
    """What a service's container makes of its command and its variables, by the service's own parser."""
    interpreter, flag, module, *arguments = CONTAINERS[name]["command"]
    assert (interpreter, flag, module) == ("python", "-m", f"upstream_services.{name}")
    found = service(name)
    return parse(found.name, found.port, found.flags, arguments, environment(name))


def serve_flags(arguments: list[str], variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", variables)
        return make_parser().parse_args(arguments)


def listening(name: str) -> int:
    """The port of a container inside its network."""
    if name in OWN_PORTS:
        return OWN_PORTS[name]
    return 8080 if name in GATEWAYS else settings(name).port


def addresses(text: str) -> Iterator[tuple[str, int]]:
    """Host and port of each URL of a variable."""
    if "://" in text:
        parts = urlsplit(text)
        assert parts.hostname is not None
        assert parts.port is not None
        yield parts.hostname, parts.port


def test_there_are_all_parts() -> None:
    assert set(CONTAINERS) == {*GATEWAYS, *SERVICES, "postgres", "pgbouncer", "redis", "prometheus"}
    assert all(re.search(r":v?\d", part["image"]) or "build" in part for part in CONTAINERS.values()), "pin the image"


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_gateway_listens_where_its_ports_are_published(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *arguments = CONTAINERS[name]["command"]
    flags = serve_flags(arguments, environment(name), monkeypatch)
    as_demo = serve_flags(["demo"], {}, monkeypatch)
    assert program == "gateway"
    assert (flags.listen, flags.admin) == (("0.0.0.0", 8080), ("0.0.0.0", 9901))
    assert (flags.listen[1], flags.admin[1]) == (as_demo.listen[1], as_demo.admin[1])
    published = [port.rpartition(":") for port in CONTAINERS[name]["ports"]]
    assert [int(inside) for _, _, inside in published] == [8080, 9901]
    assert published[1][0].startswith("127.0.0.1:"), "the admin listener asks nobody for a password"
    assert float(CONTAINERS[name]["stop_grace_period"].removesuffix("s")) > flags.drain
    assert "/readyz" in {resource.canonical for resource in make_admin_app(None).router.resources()}  # type: ignore[arg-type]
    assert "http://127.0.0.1:9901/readyz" in CONTAINERS[name]["healthcheck"]["test"][-1]


def mounted(name: str) -> dict[str, str]:
    """Folder or file inside the container -> where it comes from."""
    return dict(volume.split(":")[:2][::-1] for volume in CONTAINERS[name]["volumes"])


@pytest.mark.parametrize("name", GATEWAYS)
def test_an_edit_of_the_table_reaches_a_gateway_and_the_secrets_beside_it_do_not(name: str) -> None:
    """A file that is mounted alone stays the old one when an editor puts another in its place."""
    inside = mounted(name)
    assert environment(name)["GATEWAY_CONFIG"] not in inside
    (table_at,) = [at for at, source in inside.items() if source.startswith(".")]
    top = (DEPLOY / inside[table_at]).resolve()
    hidden = os.path.join(table_at, DEPLOY.relative_to(top))
    assert CONTAINERS[name]["tmpfs"] == [hidden]
    assert f"{table_at}:ro" in "".join(CONTAINERS[name]["volumes"])


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_gateway_has_its_own_history_where_it_may_write(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    history = serve_flags(["serve"], environment(name), monkeypatch).history
    source = mounted(name)[os.path.dirname(history)]
    assert source in COMPOSE["volumes"]
    assert [other for other in GATEWAYS if source in mounted(other).values()] == [name]
    image = (DEPLOY / "Dockerfile").read_text()
    user = re.search(r"^USER (\d+)$", image, re.MULTILINE)
    assert user is not None
    assert f"install -d -o {user[1]} {os.path.dirname(history)}\n" in image


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_gateway_serves_the_projects_table_with_the_services_behind_it(name: str) -> None:
    variables = environment(name)
    folder, file = os.path.split(variables["GATEWAY_CONFIG"])
    table = (DEPLOY / mounted(name)[folder] / file).resolve()
    assert table == TOP / "routes.yaml"
    loaded = load_table(str(table), environ=variables)
    for upstream, found in loaded.table.upstreams.items():
        assert [(endpoint.host, endpoint.port) for endpoint in found.endpoints] == [(upstream, service(upstream).port)]
        assert CONTAINERS[name]["depends_on"][upstream] == {"condition": "service_healthy"}
    assert loaded.table.gateway.store == "redis://redis:6379/0"


@pytest.mark.parametrize("name", [*GATEWAYS, *SERVICES])
def test_each_variable_is_read_by_the_code(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = Recorded(environment(name))
    if name in GATEWAYS:
        serve_flags(["serve"], variables, monkeypatch)
        asked = variables.asked | set(load_table(str(TOP / "routes.yaml"), environ=variables).references.used_env)
    else:
        found = service(name)
        parse(found.name, found.port, found.flags, CONTAINERS[name]["command"][3:], variables)
        asked = variables.asked
    assert set(variables) <= asked


def test_variables_of_foreign_images_are_known() -> None:
    for name in CONTAINERS.keys() - {*GATEWAYS, *SERVICES}:
        assert set(environment(name)) == FOREIGN_VARIABLES.get(name, set())


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_listens_where_the_gateway_and_its_health_check_ask(name: str) -> None:
    found = settings(name)
    assert (found.host, found.port) == ("0.0.0.0", service(name).port)
    assert found.migrate
    url = urlsplit(re.findall(r"'(http://[^']*)'", CONTAINERS[name]["healthcheck"]["test"][-1])[0])
    app = build_app(service(name), found)
    assert url.port == found.port
    assert url.path in {resource.canonical for resource in app.router.resources()}
    assert float(CONTAINERS[name]["stop_grace_period"].removesuffix("s")) > found.drain_s


def test_every_address_is_a_container_and_its_port() -> None:
    for name in CONTAINERS:
        for value in environment(name).values():
            for host, port in addresses(value):
                assert port == listening(host), value


def test_databases_go_through_pgbouncer_in_transaction_mode() -> None:
    ini = configparser.ConfigParser()
    ini.read_string((DEPLOY / "pgbouncer.ini").read_text())
    pool = ini["pgbouncer"]
    assert pool["pool_mode"] == "transaction"
    assert pool.getint("listen_port") == OWN_PORTS["pgbouncer"]
    assert pool["auth_type"] == environment("pgbouncer")["AUTH_TYPE"]
    assert set(ini["databases"]) == set(SERVICES)
    for name in SERVICES:
        assert ini["databases"][name] == f"host=postgres port=5432 dbname={name}"
        url = settings(name).database
        assert url is not None
        user = environment("postgres")["POSTGRES_USER"]
        assert (url.host, url.port, url.database, url.username) == ("pgbouncer", 6432, name, user)
        assert url.password == SECRETS["POSTGRES_PASSWORD"]
    # LISTEN belongs to a session, which PgBouncer takes away after each transaction.
    direct = settings("crm").listen_database
    assert direct is not None
    assert (direct.host, direct.port, direct.database) == ("postgres", 5432, "crm")
    server_connections = pool.getint("default_pool_size") * len(SERVICES)
    assert pool.getint("default_pool_size") >= database.POOL_MAX
    assert server_connections + 1 < 100


def test_postgres_makes_a_database_for_each_service() -> None:
    mounted = dict(volume.split(":")[:2] for volume in CONTAINERS["postgres"]["volumes"])
    assert CONTAINERS["postgres"]["image"] == "postgres:18"
    assert mounted["postgres-data"] == "/var/lib/postgresql"
    made = re.findall(r"^create database (\w+);$", (DEPLOY / "postgres/databases.sql").read_text(), re.MULTILINE)
    assert made == list(SERVICES)


def test_redis_starts_with_its_file_and_keeps_its_log() -> None:
    """What the file says is held against real servers in test_deploy_redis.py."""
    redis = CONTAINERS["redis"]
    mounted = dict(volume.split(":")[:2] for volume in redis["volumes"])
    program, path = redis["command"]
    assert program == "redis-server"
    assert mounted["./redis/redis.conf"] == path
    assert mounted["redis-data"] == "/data", "the folder in which the image starts its server"


def test_prometheus_asks_both_admin_listeners() -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in jobs for group in job["static_configs"] for target in group["targets"]]
    assert targets == [f"{name}:9901" for name in GATEWAYS]
    assert all("metrics_path" not in job for job in jobs), "the default is /metrics"
    assert "/metrics" in {resource.canonical for resource in make_admin_app(None).router.resources()}  # type: ignore[arg-type]


def test_mounted_files_exist_and_volumes_are_declared() -> None:
    for part in CONTAINERS.values():
        for volume in part.get("volumes", ()):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], source


def test_no_secret_stands_in_the_files() -> None:
    """Each comes from deploy/.env, which is not committed, and one that is missing is said by name."""
    text = (DEPLOY / "compose.yaml").read_text()
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert example == dict.fromkeys(SECRETS, "")
    assert set(re.findall(r"\$\{([A-Z_]+):\?", text)) == set(SECRETS)
    assert not re.search(r"://[^:/@\s]+:(?!\$\{)[^@/\s]*@", text)
    assert "/deploy/.env" in (TOP / ".gitignore").read_text().splitlines()


def test_the_image_is_built_from_what_there_is_and_runs_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    stages = "\n".join(lines).split("FROM ")[1:]
    assert [stage.split()[0] for stage in stages] == ["python:3.11", "python:3.11-slim"]
    allowed = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copies = [line for line in lines if line.startswith("COPY ")]
    copied = {name for line in copies if "--from=build" not in line for name in line.split()[1:-1]}
    assert copied == allowed
    assert all((TOP / name).exists() for name in copied)
    assert "COPY routes.yaml /etc/gateway/routes.yaml" in lines
    user = next(line.split()[1] for line in lines if line.startswith("USER "))
    assert f"--uid {user} " in stages[1]
    assert user != "0"
    command = yaml.safe_load(lines[-1].removeprefix("CMD "))
    flags = serve_flags(command[1:], {}, monkeypatch)
    exposed = [int(port) for line in lines if line.startswith("EXPOSE ") for port in line.split()[1:]]
    assert command[:2] == ["gateway", "serve"]
    assert [flags.listen[1], flags.admin[1]] == exposed
    assert f"WORKDIR {Path('/etc/gateway', flags.config).parent}" in lines
