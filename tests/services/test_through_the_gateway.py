"""Hazard: a service is right and nobody gets to it, or a reply that was kept outlives what changed it.

Every operation of the four OpenAPI documents is asked through a gateway with the project's routes.yaml, over real
sockets, on PostgreSQL. What the gateway keeps is compared with what the service says after each write that succeeded.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession

from gateway.config.load import read_table
from gateway.development_token import Caller, make_token
from tests.support.gateway import RunningGateway, running_gateway
from upstream_services.kit.app import Service
from upstream_services.kit.openapi import document
from upstream_services.kit.routing import Path as Operation

from .conftest import Client, StartService
from .samples import SERVICES, body_of, change_of, make

TABLE = Path(__file__).parents[2] / "routes.yaml"
SECRET = "0123456789abcdef0123456789abcdef"
NOBODY = "0b0e7c1e-9a52-4c60-8f5e-6a1d2f1a9d10"
PUBLIC = {"{code}": "aB3x", "{token}": "a.b.c"}
STREAMS = ("/crm/events", "/crm/echo")
COUNTED = re.compile(r'^service_requests_total\{method="(\w+)",path="([^"]+)",status="\d+"\}', re.MULTILINE)


class Through:
    """A client of one service that goes through the gateway, with the methods that samples are made by."""

    def __init__(self, session: ClientSession, origin: str, token: str) -> None:
        self.session, self.origin = session, f"{origin}/api/v1"
        self.headers = {"Authorization": f"Bearer {token}"}

    async def request(self, method: str, path: str, **more: Any) -> ClientResponse:
        more["headers"] = self.headers | (more.get("headers") or {})
        reply = await self.session.request(method, self.origin + path, allow_redirects=False, **more)
        await reply.read()
        return reply

    async def get(self, path: str, **more: Any) -> ClientResponse:
        return await self.request("GET", path, **more)

    async def post(self, path: str, **more: Any) -> ClientResponse:
        return await self.request("POST", path, **more)


@pytest.fixture(params=list(SERVICES))
def service(request: pytest.FixtureRequest) -> Service:
    """Each service."""
    return SERVICES[request.param]


@pytest.fixture
def behind(service: Service, request: pytest.FixtureRequest) -> Client:
    """The service that the gateway asks."""
    started: Client = request.getfixturevalue(service.name)
    return started


@asynccontextmanager
async def gateway_to(service: Service, origin: str) -> AsyncIterator[RunningGateway]:
    """A gateway with the project's table; its plans are larger, so that no limit ends the test."""
    text = re.sub(r"^  enterprise: .*$", "  enterprise: {limits: [1000000/min]}", TABLE.read_text(), flags=re.MULTILINE)
    environ = {"JWT_SECRET": SECRET, f"{service.name.upper()}_URL": origin}
    async with running_gateway(text, environ) as gateway:
        yield gateway


@pytest.fixture
async def through(service: Service, behind: Client, tenant: str) -> AsyncIterator[Any]:
    """A client of the service through the gateway, with every right."""
    scopes = [f"{service.name}.read", f"{service.name}.write", "hr.payroll"]
    caller = Caller(tenant, "u1", "enterprise", scopes, [service.name])
    token = make_token(read_table(str(TABLE), environ={"JWT_SECRET": SECRET}), caller, lifetime_s=600.0)
    async with (
        gateway_to(service, str(behind.make_url("/")).rstrip("/")) as gateway,
        ClientSession() as session,
    ):
        yield Through(session, f"http://127.0.0.1:{gateway.port}", token)


def documented(service: Service) -> dict[tuple[str, str], set[str]]:
    """The statuses of every operation of its document."""
    paths = document(service.name, "1", service.paths)["paths"]
    return {
        (method.upper(), path): set(operation["responses"])
        for path, item in paths.items()
        for method, operation in item.items()
        if method != "parameters"
    }


def in_order(paths: tuple[Operation, ...] | list[Operation]) -> Iterator[Operation]:
    """Records are read and acted upon, then deleted, then restored; last what jobs do, for whom nobody waits."""
    order = {"delete": 1, "restore": 2}
    return iter(sorted(paths, key=lambda path: 3 if starts_job(path) else order.get(path.kind, 0)))


def starts_job(path: Operation) -> bool:
    """Whether the work is done after the reply."""
    return path.operation is not None and path.operation.status == 202


async def body_for(path: Operation, through: Any, collection: str) -> dict[str, Any]:
    """What to send: the sample where its kind is known, else the least."""
    match path.kind:
        case "create":
            return {"json": await body_of(through, collection)}
        case "bulk":
            return {"json": {"items": [await body_of(through, collection)]}}
        case "patch":
            return {"json": change_of(collection)}
    operation = path.operation
    if operation is not None and operation.request_media_type is not None:
        return {"data": b"name\nAsha\n", "headers": {"Content-Type": operation.request_media_type}}
    has_body = operation is not None and operation.body is not None
    return {"json": {}} if has_body or (path.action is not None and path.action.body is not None) else {}


@pytest.mark.timeout(600)
async def test_every_operation_is_reached_and_nothing_kept_outlives_a_write(
    service: Service, behind: Client, through: Any, start_service: StartService, tenant: str
) -> None:
    statuses = documented(service)
    records = {}
    for resource in service.resources:
        collection = f"/{service.name}/{resource.name}"
        records[collection] = NOBODY if resource.read_only else (await make(through, collection))["id"]
    direct = await start_service(service)  # another process of the same service, which no cache is before
    await compare(service, through, direct, records, "the samples")
    succeeded = 0
    for path in in_order(service.paths):
        if path.path in STREAMS:
            await ask_stream(through, path.path)
            continue
        collection = "/".join(path.path.split("/")[:3])
        target = path.path.replace("{id}", records.get(collection, NOBODY))
        for name, value in PUBLIC.items():
            target = target.replace(name, value)
        is_write = path.method != "GET"
        reply = await through.request(path.method, target, **await body_for(path, through, collection))
        text = (await reply.read())[:500]
        assert str(reply.status) in statuses[path.method, path.path], (path.method, target, reply.status, text)
        assert reply.status < 500, (target, text)
        is_ours = path.resource in service.resources and not path.resource.read_only
        if is_ours and path.kind in ("list", "csv", "get", "create", "bulk"):
            taken = (409,) if is_write else ()  # the sample itself, made above, may be there once only
            assert reply.status < 300 or reply.status in taken, (path.method, target, text)
        if is_write and reply.status < 300 and not starts_job(path):
            succeeded += 1
            await compare(service, through, direct, records, (path.method, target))
    assert succeeded > 3 * len([one for one in service.resources if not one.read_only])
    told = await (await behind.get("/metrics")).text()
    endless = {("GET", "/crm/events")}  # is counted when it ends
    assert statuses.keys() - endless - set(COUNTED.findall(told)) == set()


async def ask_stream(through: Any, path: str) -> None:
    """The two that have no end."""
    if path.endswith("echo"):
        async with through.session.ws_connect(through.origin + path, headers=through.headers) as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"
        return
    async with through.session.get(through.origin + path, headers=through.headers) as reply:
        assert (reply.status, reply.content_type) == (200, "text/event-stream")


def targets(service: Service, records: dict[str, str]) -> list[str]:
    """The lists, records and statistics of a service."""
    kept = [r for r in service.resources if not r.is_live]  # the others say that nobody may keep them
    return [
        f"/{service.name}/dashboard/stats",
        *(
            path.path.replace("{id}", records["/".join(path.path.split("/")[:3])])
            for path in service.paths
            if path.kind in ("list", "get") and path.resource in kept and path.owner is None
        ),
    ]


async def compare(service: Service, through: Any, direct: Client, records: dict[str, str], after: Any) -> None:
    """What the gateway answers now is what the service says."""
    for target in targets(service, records):
        kept, said = await through.get(target), await direct.get(target)
        assert kept.status == said.status, (after, target)
        if said.status == 200:
            assert await kept.json() == await said.json(), (after, target, kept.headers.get("Cache-Status"))
