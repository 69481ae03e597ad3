"""Hazard: an edit of the table costs clients their requests, connections, sessions, limits or kept replies."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.cli import main
from tests.faults import reload_load
from tests.support.client import connected
from tests.support.gateway import Process, gateway_process, token
from tests.support.origin import Origin, Received, Script, answer, running_origin

# The processes are what this is about, whichever lane they have.
pytestmark = pytest.mark.parametrize("each_lane", ["fast"], indirect=True)

TABLE = """
version: 1
gateway: {%s}
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
plans: {free: {limits: [20/d]}}
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes:
- {id: all, match: /*, to: origin}
- {id: limited, match: /limited, to: origin, auth: test, limit: {plan: true}}
- {id: kept, match: {path: /kept, methods: [GET]}, to: origin, cache: 1h}
"""
KEY = "0123456789abcdef0123456789abcdef"


@asynccontextmanager
async def running(table: str, script: Script | None = None, workers: int = 1) -> AsyncIterator[tuple[Origin, Process]]:
    async with (
        asyncio.timeout(40),
        running_origin(script) as origin,
        gateway_process(table, {"ORIGIN": origin.url}, workers=workers) as process,
    ):
        yield origin, process


def text_of(process: Process) -> str:
    return process.table.read_text()


def edit(process: Process, old: str, new: str) -> str:
    text = text_of(process)
    assert text.count(old) == 1
    return text.replace(old, new)


@pytest.mark.timeout(120)
async def test_ten_reloads_under_load_with_websockets_and_streams_hurt_nobody() -> None:
    """The small form of `make reloads`; latencies are judged there only, where the machine is idle."""
    seen = await reload_load.run(10, spacing_s=0.6, block=5)
    assert seen.failures == []
    assert (seen.reloads, seen.refused) == (10, 3)
    assert len(seen.latencies["with"]) > 500
    assert seen.messages > 50 and seen.ticks > 100


async def test_what_clients_have_used_up_what_is_kept_and_open_connections_outlive_a_table() -> None:
    async with running(TABLE % "") as (origin, process), connected(process.port) as client:
        headers = {"Authorization": f"Bearer {token('t1', 'free')}"}
        for _ in range(15):
            assert (await client.request("GET", "/limited", headers)).status == 200
        assert "uri-miss" in str((await client.request("GET", "/kept")).get("Cache-Status"))
        connections = origin.connections
        assert (await process.reload(text_of(process) + "- {id: new, match: /new, to: origin}\n"))[0] == 200
        for _ in range(5):
            assert (await client.request("GET", "/limited", headers)).status == 200
        assert (await client.request("GET", "/limited", headers)).status == 429
        assert "hit" in str((await client.request("GET", "/kept")).get("Cache-Status"))
        assert origin.connections == connections


async def test_a_key_that_is_taken_away_ends_the_tokens_that_were_remembered() -> None:
    async with running(TABLE % "") as (_, process):
        key = process.table.with_name("key")
        key.write_text(KEY)
        assert (await process.reload(edit(process, '"${env:SECRET}"', '"${file:key}"')))[0] == 200
        async with connected(process.port) as client:
            headers = {"Authorization": f"Bearer {token('t1', 'free')}"}
            assert (await client.request("GET", "/limited", headers)).status == 200
            version = (await process.status())["version"]
            key.write_text(KEY[::-1])
            while (await process.status())["version"] == version:
                await asyncio.sleep(0.02)
            assert (await client.request("GET", "/limited", headers)).json["code"] == "token_signature_wrong"
        history = process.table.with_name(".gateway-history")
        assert KEY[::-1] not in "".join(path.read_text() for path in history.iterdir())


async def test_an_exchange_ends_under_the_table_that_it_began_with_which_is_then_closed() -> None:
    may_answer = asyncio.Event()

    async def slow(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/slow" in received.head.split(b"\r\n")[0]:
            await may_answer.wait()
        await answer(b"done")(received, reader, writer)

    async with (
        running(TABLE % "", slow) as (_, process),
        connected(process.port) as client,
        connected(process.port) as other,
    ):
        client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        while await process.metric("gateway_requests_in_flight") < 1:
            await asyncio.sleep(0.01)
        assert (await process.reload(edit(process, "- {id: all, match: /*, to: origin}\n", "")))[0] == 200
        assert (await other.request("GET", "/slow")).status == 404
        assert await process.metric("gateway_config_tables") == 2
        may_answer.set()
        assert (await client.read_reply()).body == b"done"
        while await process.metric("gateway_config_tables") > 1:
            await asyncio.sleep(0.02)


async def test_broken_routes_answer_503_and_the_rest_is_served_where_the_operator_wants_that() -> None:
    async with running(TABLE % "on_invalid: partial", workers=2) as (_, process):
        broken = edit(process, "match: /limited, to: origin", "match: /limited, to: nobody")
        status, said = await process.reload(broken + "- {id: new, match: /new, respond: {text: new}}\n")
        assert (status, said["result"]) == (200, "swapped")
        (entry,) = (await process.status())["quarantined"]
        assert (entry["route"], entry["problems"][0]["code"]) == ("limited", "unknown_upstream")
        assert await process.metric("gateway_routes_quarantined", route="limited") == 1
        for _ in range(4):
            async with connected(process.port) as client:
                reply = await client.request("GET", "/limited")
                assert (reply.status, reply.json["code"]) == (503, "route_quarantined")
                assert (await client.request("GET", "/new")).body == b"new"
                assert (await client.request("GET", "/other")).status == 200


async def test_a_table_that_makes_its_routes_fail_is_gone_back_from_by_itself() -> None:
    watch = 'watch: {for: 30s, rollback_if: "error_rate > 5%"}'
    async with running(TABLE % watch) as (_, process):
        first = (await process.status())["version"]
        bad = edit(process, 'endpoints: ["${env:ORIGIN}"]', 'endpoints: ["http://127.0.0.1:1"]')
        assert (await process.reload(bad))[1]["result"] == "swapped"
        async with connected(process.port) as client:
            for _ in range(30):
                assert (await client.request("GET", "/x")).status == 502
            while (await process.status())["version"] != first:
                await asyncio.sleep(0.05)
            assert (await client.request("GET", "/x")).status == 200
        status = await process.status()
        assert status["is_rolled_back"] and "30 of 30 requests" in status["note"]
        assert await process.metric("gateway_config_rollbacks_total") == 1
        # The file is still the bad one.
        assert (await process.reload())[1]["result"] == "unchanged"


async def test_what_is_read_only_at_the_start_is_refused_live() -> None:
    async with running(TABLE % "") as (_, process):
        version = (await process.status())["version"]
        status, said = await process.reload(edit(process, "gateway: {}", "gateway: {limits: {max_connections: 5}}"))
        assert (status, [problem["code"] for problem in said["problems"]]) == (422, ["needs_restart"])
        assert (await process.status())["version"] == version


async def test_the_commands_of_the_history(capsys: pytest.CaptureFixture[str]) -> None:
    async with running(TABLE % "") as (_, process):
        first = (await process.status())["version"]
        await process.reload(text_of(process) + "- {id: new, match: /new, to: origin}\n")
        second = (await process.status())["version"]
        assert main(["history", "--config", str(process.table), "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert [(row["version"], row["changes"]) for row in rows] == [
            (second, "routes: +new"),
            (first, "first table"),
        ]
        admin = ["--admin", f"127.0.0.1:{process.admin_port}"]
        assert await asyncio.to_thread(main, ["rollback", *admin]) == 0
        assert (await process.status())["version"] == first
        assert await asyncio.to_thread(main, ["rollback", "ffff", *admin]) == 1
        said = capsys.readouterr()
        assert f"version {first} is served" in said.out and "no good table ffff" in said.err
        folder = Path(process.table).with_name(".gateway-history")
        assert folder.stat().st_mode & 0o777 == 0o700
