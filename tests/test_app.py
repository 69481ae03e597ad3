"""Hazard: parts that are each right and wrongly put together."""

import asyncio
import gc

import pytest
import uvloop

from gateway.app import Services, build_gateway
from gateway.config.load import load_table
from gateway.config.parcel import pack
from gateway.config.problems import TableInvalid
from gateway.config.settings import ServeSettings, TableSources
from gateway.config.snapshot import CompiledRoute
from gateway.observe.metrics import WorkerMetrics
from gateway.plugin_api import Plugin
from tests.support.client import connected
from tests.support.gateway import TABLE, running_gateway
from tests.support.origin import running_origin

LOCAL = """
version: 1
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
routes:
- {id: local, match: /local, respond: {json: {ok: true}}, auth: none}
- {id: batch, match: /batch, batch: {}, auth: none}
"""
KEPT = """\
- {id: kept, match: {path: /kept, methods: [GET]}, to: origin, auth: none, cache: 1h}
upstreams: {origin: {endpoints: ["http://127.0.0.1:1"]}}
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "lane" in metafunc.fixturenames:
        metafunc.parametrize("lane", ["fast", "aiohttp"])


async def test_a_table_of_nothing_but_local_answers_is_served(lane: str) -> None:
    async with running_gateway(LOCAL, lane=lane) as gateway, connected(gateway.port) as client:
        reply = await client.request("GET", "/local")
        assert (reply.status, reply.json) == (200, {"ok": True})
        assert gateway.serving.version == gateway.serving.current.snapshot.version


async def test_a_batch_goes_through_the_same_pipeline_log_and_metrics(lane: str) -> None:
    body = b'{"requests": [{"id": 1, "method": "GET", "path": "/local"}, {"id": 2, "method": "GET", "path": "/no"}]}'
    async with running_gateway(LOCAL, lane=lane) as gateway, connected(gateway.port) as client:
        reply = await client.request("POST", "/batch", body=body)
        first, second = reply.json["responses"]
        assert (first["status"], first["body"]) == (200, {"ok": True})
        assert (second["status"], second["body"]["code"]) == (404, "no_route")
        lines = await gateway.log_lines(3)
        whole = lines[-1]["request_id"]
        assert [line["request_id"] for line in lines] == [f"{whole}.1", f"{whole}.2", whole]
        assert gateway.metric("gateway_requests_total", route="local") == 1


async def test_every_worker_builds_the_same_table_from_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIGIN", "http://127.0.0.1:1")
    sources = TableSources("/nowhere/routes.yaml", {"/nowhere/routes.yaml": TABLE})
    settings = ServeSettings(config="/nowhere/routes.yaml", access_log="none")
    one = await build_gateway(settings, sources, WorkerMetrics(), lambda purge: None)
    other = await build_gateway(settings, sources, WorkerMetrics(), lambda purge: None)
    assert one.version == other.version
    await one.drain(1)
    await other.drain(1)


async def test_a_table_that_is_invalid_is_not_built() -> None:
    with pytest.raises(TableInvalid):
        load_table("/nowhere/routes.yaml", read_file=lambda _: "version: 2", find_files=lambda _: [])


async def test_a_table_that_was_packed_is_served_without_its_texts() -> None:
    text = LOCAL.replace("ok: true", "ok: packed").replace("${env:SECRET}", "x" * 40)
    loaded = load_table("/nowhere/routes.yaml", read_file=lambda _: text, find_files=lambda _: [])
    async with running_gateway(LOCAL) as gateway, connected(gateway.port) as client:
        assert await gateway.serving.prepare(TableSources("/nowhere/routes.yaml", {}, pack(loaded))) == ""
        assert (await client.request("GET", "/local")).json == {"ok": True}
        gateway.serving.swap()
        assert (await client.request("GET", "/local")).json == {"ok": "packed"}
        assert gateway.serving.version == loaded.version


async def test_what_cannot_be_served_is_told_with_its_place_although_it_was_packed() -> None:
    auth = 'auth: {test: {jwt: {algorithms: [HS256], secret: "0123456789abcdef0123456789abcdef"}}}'
    origin = 'upstreams: {origin: {endpoints: ["http://127.0.0.1:1"]}}'
    route = "- {id: a, match: /a, to: origin, auth: test,\n   cache: {ttl: 3m}}"
    text = f"version: 1\n{auth}\n{origin}\nroutes:\n{route}\n"
    loaded = load_table("t.yaml", read_file=lambda _: text, find_files=lambda _: [])
    async with running_gateway(LOCAL) as gateway:
        failure = await gateway.serving.prepare(TableSources("t.yaml", {"t.yaml": text}, pack(loaded)))
        assert failure.startswith("t.yaml:6:"), failure


async def test_a_table_that_was_replaced_is_freed_without_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x" * 40)

    def alive() -> list[object]:
        return [thing for thing in gc.get_objects() if isinstance(thing, (Services, Plugin, CompiledRoute))]

    async with running_gateway(LOCAL) as gateway:
        assert await gateway.serving.prepare(TableSources("t.yaml", {"t.yaml": LOCAL + KEPT})) == ""
        gateway.serving.swap()
        while gateway.metric("gateway_config_tables") > 1:
            await asyncio.sleep(0)
        gc.unfreeze()
        gc.collect()
        gc.disable()
        try:
            before = len(alive())
            for number in range(3):
                text = f"{LOCAL}{KEPT}# {number}\n"
                assert await gateway.serving.prepare(TableSources("t.yaml", {"t.yaml": text})) == ""
                gc.unfreeze()
                gateway.serving.swap()
            async with asyncio.timeout(5):
                while len(alive()) > before:
                    await asyncio.sleep(0)
        finally:
            gc.enable()


async def test_drained_twice_is_drained_once() -> None:
    async with running_origin() as origin, running_gateway(TABLE, {"ORIGIN": origin.url}) as gateway:
        async with connected(gateway.port) as client:
            assert (await client.request("GET", "/")).status == 200
        await gateway.serving.drain(0.5)
        await asyncio.wait_for(origin.closed.wait(), 1)


def test_it_runs_on_the_loop_of_the_workers_as_well() -> None:
    async def run() -> int:
        async with running_gateway(LOCAL) as gateway, connected(gateway.port) as client:
            return (await client.request("GET", "/local")).status

    assert uvloop.run(run()) == 200
