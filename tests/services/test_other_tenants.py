"""Hazard: some parameter of some endpoint shows or changes a row of another tenant.

Every path of every service is asked by a stranger, with the ids, words and values of a tenant's rows in every place
that takes one; nothing of these may be in an answer, and none of the rows may be another afterwards.
"""

import uuid
from typing import Any

import pytest

from upstream_services.kit.app import Service

from .conftest import Client
from .samples import SERVICES, change_of, keep, make, writable


@pytest.fixture(params=list(SERVICES))
def service(request: pytest.FixtureRequest) -> Service:
    """Each service."""
    return SERVICES[request.param]


@pytest.fixture
def client(service: Service, request: pytest.FixtureRequest) -> Client:
    """The service, started."""
    started: Client = request.getfixturevalue(service.name)
    return started


async def everything(client: Client, service: Service) -> dict[str, Any]:
    """All rows of the test's tenant."""
    found = {}
    for resource in service.resources:
        path = f"/{service.name}/{resource.name}"
        found[path] = (await (await client.get(path, params={"limit": "200"})).json())["items"]
    return found


def words_of(rows: list[dict[str, Any]]) -> list[str]:
    """What only these rows have."""
    return [row["id"] for row in rows]


async def test_nobody_reads_or_changes_another_tenants_rows(
    client: Client, service: Service, tenant: str, other: str
) -> None:
    stranger = {"X-Tenant-Id": other}
    for path in writable():
        if path.startswith(f"/{service.name}/"):
            await make(client, path)
            await make(client, path, stranger)  # so that there is something to confuse
    for resource in service.resources:
        if resource.read_only:
            for whose in (tenant, other):
                await keep(client, f"/{service.name}/{resource.name}", whose)
    before = await everything(client, service)
    assert all(rows for path, rows in before.items() if path in writable())
    ids = {path: rows[0]["id"] for path, rows in before.items() if rows}
    secrets = [word for rows in before.values() for word in words_of(rows)]
    asked = 0
    for path in service.paths:
        owner = "/".join(path.path.split("/")[:3])
        target_id = ids.get(owner, str(uuid.uuid4()))
        if path.operation is not None and path.operation.media_type != "application/json":
            continue  # streams have tests of their own
        target = path.path.replace("{id}", target_id)
        rows = before[f"/{service.name}/{path.resource.name}"] if path.resource in service.resources else []
        row = rows[0] if rows else {}  # what only actions make is tried by the tests of its service
        for params in parameters(path, row, secrets):
            body = body_for(path, row)
            reply = await client.request(path.method, target, params=params, json=body, headers=stranger)
            text = await reply.text()
            asked += 1
            assert reply.status < 500, (path.path, params, text)
            if "{id}" in path.path:
                assert reply.status in (404, 422), (path.method, target, params, text)
            told = [word for word in secrets if word in text and word not in str(params) and word not in target]
            assert told == [], (path.method, target, params)
            if path.kind in ("list", "csv") and reply.status == 200:
                assert [word for word in secrets if word in text] == [], (target, params)
    assert asked >= len(service.paths) - 2
    assert await everything(client, service) == before


def parameters(path: Any, row: dict[str, Any], secrets: list[str]) -> list[dict[str, str]]:
    """The query strings to try on a path: each parameter with what would find the other tenant's row."""
    if path.kind not in ("list", "csv"):
        return [{}]
    resource = path.resource
    found: list[dict[str, str]] = [{}, {"deleted": "true"}, {"ids": ",".join(secrets[:150])}]
    found += [{name: str(row[name])} for name in resource.filters if row.get(name) is not None]
    for name in resource.range_types:
        if row.get(name) is not None:
            found += [{f"{name}_min": str(row[name])}, {f"{name}_max": str(row[name])}]
    found += [{"sort": sign + name} for name in resource.all_sortable for sign in ("", "-")]
    if resource.table.__search__:
        found += [{"q": str(row[name])} for name in resource.table.__search__ if row.get(name)]
    return found


def body_for(path: Any, row: dict[str, Any]) -> Any:
    """A body that would be taken from the row's own tenant, as far as it is known here."""
    match path.kind:
        case "patch":
            return change_of("/".join(path.path.split("/")[:3]))
        case "create" | "bulk":
            names = path.resource.create.model_fields
            body = {name: value for name, value in row.items() if name in names and value is not None}
            return body if path.kind == "create" else {"items": [body]}
        case "action" if path.action.body is not None:
            return {}
        case "operation" if path.operation.body is not None:
            return {}
    return None
