"""Hazard: what a service answers has no route, the wrong one, or one that shows it to who must not see it.

Every operation of the four OpenAPI documents is put to the router of the project's routes.yaml.
"""

from pathlib import Path
from typing import Any

import pytest

from gateway.config.compile import check_table
from gateway.config.snapshot import CompiledRoute, Snapshot
from gateway.core.headers import Headers
from gateway.core.routing import Found
from upstream_services.kit.app import Service
from upstream_services.kit.openapi import document

from .samples import SERVICES

OPERATIONS_MIN = 240
ID = "0b0e7c1e-9a52-4c60-8f5e-6a1d2f1a9d10"
PAY = ("payslips", "payroll-runs", "salary-structures", "pay-profiles", "payroll-register")
# What no cache may keep although it is read: it has no end, is a file, or changes by itself.
NOT_KEPT = ("/crm/events", "/crm/echo", "/finance/invoices/{id}/pdf")


@pytest.fixture(scope="module")
def snapshot(project_table: Path) -> Snapshot:
    """The table of the project."""
    return check_table(str(project_table), environ={"JWT_SECRET": "0123456789abcdef0123456789abcdef"})


@pytest.fixture(scope="module")
def project_table() -> Path:
    """Where it is."""
    return Path(__file__).parents[2] / "routes.yaml"


@pytest.fixture(params=list(SERVICES))
def service(request: pytest.FixtureRequest) -> Service:
    """Each service."""
    return SERVICES[request.param]


def operations(service: Service) -> list[tuple[str, str]]:
    """Method and path of all that its document lists."""
    paths = document(service.name, "1", service.paths)["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item if method != "parameters"]


def filled(path: str) -> str:
    """A path that a client might ask for."""
    return path.replace("{id}", ID).replace("{code}", "aB3x").replace("{token}", "a.b.c")


def route_of(snapshot: Snapshot, method: str, path: str, query: str = "") -> CompiledRoute:
    """The route that serves it."""
    found: Any = snapshot.router.match(method, "", "/api/v1" + path, Headers([]), query)
    assert isinstance(found, Found), (method, path)
    target: CompiledRoute = found.target
    return target


def test_together_they_are_a_suite() -> None:
    assert sum(len(operations(service)) for service in SERVICES.values()) >= OPERATIONS_MIN


def test_every_operation_has_a_route_of_its_kind(snapshot: Snapshot, service: Service) -> None:
    open_paths = {(path.method, path.path) for path in service.paths if path.operation and path.operation.is_open}
    for method, path in operations(service):
        info = route_of(snapshot, method, filled(path)).info
        where, policies = (method, path, info.id), info.policies
        assert info.upstream == service.name, where
        assert info.id.startswith(f"{service.name}-"), where
        assert "limit" in policies, where
        if (method, path) in open_paths:
            assert "auth" not in policies, where
            assert "cache" not in policies, where
            assert policies["limit"].by == "ip", where
            continue
        assert "auth" in policies, where
        assert policies["allow"].modules == (service.name,), where
        is_pay = service.name == "hr" and any(name in path for name in PAY)
        right = "payroll" if is_pay else "read" if method == "GET" else "write"
        assert policies["allow"].scopes == (f"{service.name}.{right}",), where
        if method != "GET":
            assert "cache" not in policies, where
            assert policies["invalidates"], where
            assert "idempotency" in policies, where
        else:
            is_kept = not (
                is_pay
                or path in NOT_KEPT
                or path == f"/{service.name}/jobs"
                or path.startswith(f"/{service.name}/jobs/")
            )
            assert ("cache" in policies) == is_kept, where


def test_searches_are_kept_for_less_long_than_lists(snapshot: Snapshot, service: Service) -> None:
    for resource in service.resources:
        path = f"/{service.name}/{resource.name}"
        lists, searches = (route_of(snapshot, "GET", path, query).info for query in ("", "q=asha"))
        if lists.id.endswith("-lists"):
            assert searches.id == f"{service.name}-search"
            assert searches.policies["cache"].ttl < lists.policies["cache"].ttl


def test_what_is_kept_is_dropped_by_writes_of_its_collection(snapshot: Snapshot, service: Service) -> None:
    """A tag that is kept and that no write drops would be stale until its time is over."""
    routes = [route.info for route in snapshot.routes if route.info.upstream == service.name]
    kept = {str(tag) for info in routes if "cache" in info.policies for tag in info.policies["cache"].tags}
    dropped = {str(tag) for info in routes if "invalidates" in info.policies for tag in info.policies["invalidates"]}
    assert f"{service.name}:{{tenant}}" in kept & dropped  # what every reply has, and every action drops
    for info in routes:
        if "cache" in info.policies:
            assert f"{service.name}:{{tenant}}" in {str(tag) for tag in info.policies["cache"].tags}, info.id
