"""The project's own routes.yaml: it is good, and does what its tests say."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.config import load, model, table_test
from gateway.config.compile import check_table
from gateway.config.load import load_table
from gateway.config.problems import TableInvalid
from gateway.config.snapshot import Snapshot
from gateway.explain.table_tests import run_table_tests

TABLE = Path(__file__).parents[2] / "routes.yaml"


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return check_table(str(TABLE), environ={"JWT_SECRET": "0123456789abcdef0123456789abcdef"})


def test_only_later_steps_are_remarked_on(snapshot: Snapshot) -> None:
    assert {warning.code for warning in snapshot.warnings} <= {"not_in_force"}


def test_a_table_that_is_read_again_builds_no_type_anew(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are half the cost of a small table, at each reload in each process."""
    monkeypatch.setattr(load, "TypeAdapter", None)
    load_table(str(TABLE), environ={"JWT_SECRET": "0123456789abcdef0123456789abcdef"})


def test_every_route_of_a_service_is_guarded(snapshot: Snapshot) -> None:
    for route in snapshot.routes:
        if route.info.upstream is not None:
            is_public = route.info.pattern == "/api/v1/marketing/public/*"
            needed = {"limit", "cors"} if is_public else {"auth", "allow", "limit", "cors"}
            assert needed <= set(route.info.policies), route.info.id


def test_what_its_own_tests_expect_comes_true() -> None:
    loaded = load_table(str(TABLE), environ={"JWT_SECRET": "0123456789abcdef0123456789abcdef"})
    assert len(loaded.table.tests) > 12
    assert run_table_tests(loaded) == []


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
    models = [
        value
        for value in {**vars(model), **vars(table_test)}.values()
        if isinstance(value, type) and issubclass(value, BaseModel)
    ]
    bare = [
        f"{cls.__name__}.{name}" for cls in models for name, field in cls.model_fields.items() if not field.description
    ]
    assert bare == []
