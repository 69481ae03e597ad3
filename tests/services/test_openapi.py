"""Hazard: a service answers what its document does not say, fails on what the document allows, or forgets to tell."""

import asyncio
import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from upstream_services.kit.app import Service
from upstream_services.kit.openapi import document

from .conftest import SERVICES, Client

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "3"))  # of each operation


@pytest.fixture(params=SERVICES, ids=lambda service: service.name)
def service(request: pytest.FixtureRequest) -> Service:
    """Each service."""
    found: Service = request.param
    return found


@pytest.fixture
def client(service: Service, request: pytest.FixtureRequest) -> Client:
    """The service, started."""
    started: Client = request.getfixturevalue(service.name)
    return started


def try_everything(url: str, tenant: str, path_prefix: str) -> int:
    """Asks every operation of a document with what the document allows; the number of operations."""
    schema: Any = schemathesis.openapi.from_url(f"{url}openapi.json")
    count = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if not any("json" in str(kind) or "csv" in str(kind) for kind in media_types(operation)):
            continue  # a stream has no end
        count += 1

        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.headers = {"X-Tenant-Id": tenant}
            case.call_and_validate(checks=CHECKS)

        ask()
    return count


def is_data(media_type: str) -> bool:
    """Whether an answer has a shape that a document tells."""
    return "json" in media_type or "csv" in media_type


def media_types(operation: Any) -> list[str]:
    """What its answer, or its problem alone, is in."""
    responses = operation.definition.raw["responses"]
    return [kind for code, one in responses.items() if code[0] in "23" for kind in one.get("content", {"json": 0})]


@pytest.mark.timeout(300)
async def test_it_answers_as_its_document_says(client: Client, service: Service, tenant: str) -> None:
    count = await asyncio.to_thread(try_everything, str(client.make_url("/")), tenant, service.name)
    others = [path for path in service.paths if path.operation and not is_data(path.operation.media_type)]
    assert count >= len(service.paths) - len(others)  # streams, files and pages


async def test_the_document_has_every_path(client: Client, service: Service) -> None:
    told = await (await client.get("/openapi.json", headers={"X-Tenant-Id": ""})).json()
    assert told == await (await client.get(f"/{service.name}/openapi.json")).json()
    assert told["openapi"] == "3.1.0"
    listed = {
        (method.upper(), path) for path, item in told["paths"].items() for method in item if method != "parameters"
    }
    served = {
        (route.method, route.resource.canonical)
        for route in client.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    kit = {("GET", p) for p in ("/health/live", "/health/ready", "/metrics", "/openapi.json")}
    assert listed == served - kit - {("GET", f"/{service.name}/openapi.json")}
    ids = [one["operationId"] for item in told["paths"].values() for name, one in item.items() if name != "parameters"]
    assert len(set(ids)) == len(ids)


def test_every_operation_says_what_it_is_for() -> None:
    for service in SERVICES:
        for path, item in document(service.name, "1", service.paths)["paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    assert operation["summary"][0].isupper(), (method, path, operation["summary"])
