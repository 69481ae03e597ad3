"""The project's own routes.yaml: it is good, and does what its tests say as far as that needs no running gateway."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.config import model
from gateway.config.compile import check_table
from gateway.config.problems import TableInvalid
from gateway.config.snapshot import Snapshot
from gateway.core.headers import Headers
from gateway.core.routing import Found
from gateway.plugin_api import Exchange

TABLE = Path(__file__).parents[2] / "routes.yaml"


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return check_table(str(TABLE), environ={"JWT_SECRET": "0123456789abcdef0123456789abcdef"})


def test_only_later_steps_are_remarked_on(snapshot: Snapshot) -> None:
    assert {warning.code for warning in snapshot.warnings} <= {"not_in_force"}


def test_every_route_of_a_service_is_guarded(snapshot: Snapshot) -> None:
    for route in snapshot.routes:
        if route.info.upstream is not None:
            assert {"auth", "allow", "limit", "cors"} <= set(route.info.policies), route.info.id


def test_its_own_tests_come_to_the_routes_they_expect(snapshot: Snapshot) -> None:
    seen = 0
    for test in snapshot.table.tests:
        method, path = test.request
        found = snapshot.router.match(method, "", path, Headers(), "")
        if test.expect.route is None and test.expect.upstream is None:
            continue
        assert isinstance(found, Found)
        route = found.target
        seen += 1
        assert test.expect.route in (None, route.info.id)
        assert test.expect.upstream in (None, route.info.upstream)
        if test.expect.upstream_path is not None:
            exchange = Exchange(method=method, target=path, headers=Headers())
            exchange.path = path
            assert route.rewrite(exchange) == test.expect.upstream_path
    assert seen > 8


def test_services_are_where_the_demo_runs_them_unless_the_environment_says_otherwise(snapshot: Snapshot) -> None:
    assert {name: upstream.endpoints[0].port for name, upstream in snapshot.table.upstreams.items()} == {
        "crm": 8101,
        "finance": 8102,
        "hr": 8103,
        "marketing": 8104,
    }
    moved = check_table(str(TABLE), environ={"JWT_SECRET": "x" * 32, "CRM_URL": "http://crm:80"})
    assert moved.table.upstreams["crm"].endpoints[0].host == "crm"


def test_without_its_secret_it_says_so_once() -> None:
    with pytest.raises(TableInvalid) as caught:
        check_table(str(TABLE), environ={})
    assert [problem.code for problem in caught.value.problems] == ["missing_env"]


def test_every_key_has_a_description() -> None:
    models = [value for value in vars(model).values() if isinstance(value, type) and issubclass(value, BaseModel)]
    bare = [
        f"{cls.__name__}.{name}" for cls in models for name, field in cls.model_fields.items() if not field.description
    ]
    assert bare == []
