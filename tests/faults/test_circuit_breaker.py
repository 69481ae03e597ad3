"""An upstream that fails is given a rest, and what an attacker sends cannot give it one."""

import asyncio

import pytest

from gateway.config.settings import TableSources
from tests.support.client import connected
from tests.support.gateway import Rig, rig, until
from tests.support.origin import Received, answer

TABLE = """
version: 1
defaults: {auth: none, timeout: {total: 500ms}}
upstreams:
  origin:
    endpoints: ["${env:ORIGIN}"]
    breaker: {error_rate: 50%, window: 10s, min: 4, open: 300ms, trials: 1}
routes: [{id: all, match: /*, to: origin}]
"""


async def silent(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def open_it(r: Rig) -> None:
    r.origin.script = answer(b"no", "503 No")
    for _ in range(4):
        assert (await r.exchange("GET", "/")).body == b"no"


async def rested(r: Rig) -> None:
    """Until a request passes again; the rest is over by the clock."""
    while (await r.exchange("GET", "/")).status == 503:
        await asyncio.sleep(0.02)


async def test_an_upstream_that_fails_is_asked_nothing_until_it_has_rested() -> None:
    async with rig(TABLE) as r:
        await open_it(r)
        for method in ("GET", "POST"):
            reply = await r.exchange(method, "/")
            assert (reply.status, reply.json["code"], reply.get("Retry-After")) == (503, "upstream_circuit_open", "1")
        assert len(r.origin.requests) == 4
        assert r.gateway.metric("gateway_upstream_breaker_open_workers", upstream="origin") == 1
        assert [line["attempts"] for line in await r.gateway.log_lines(6)][-2:] == [0, 0]
        r.origin.script = answer(b"well")
        await rested(r)
        assert (await r.exchange("GET", "/")).body == b"well"
        assert r.gateway.metric("gateway_upstream_breaker_open_workers", upstream="origin") == 0
        assert r.gateway.metric("gateway_upstream_breaker_changes_total", state="closed") == 1


async def test_another_endpoint_in_the_table_does_not_shut_an_open_breaker() -> None:
    """That would send a failing upstream all its load again, whenever a table is changed."""
    async with rig(TABLE) as r:
        await open_it(r)
        more = TABLE.replace('"${env:ORIGIN}"', f'"{r.origin.url}", "http://127.0.0.1:1"')
        serving = r.gateway.serving
        assert await serving.prepare(TableSources("routes.yaml", {"routes.yaml": more})) == ""
        serving.swap()
        assert (await r.exchange("GET", "/")).json["code"] == "upstream_circuit_open"
        assert len(r.origin.requests) == 4


async def test_a_trial_that_fails_is_one_request() -> None:
    async with rig(TABLE) as r:
        await open_it(r)
        while (await r.exchange("GET", "/")).body != b"no":
            await asyncio.sleep(0.02)
        assert len(r.origin.requests) == 5
        assert (await r.exchange("GET", "/")).json["code"] == "upstream_circuit_open"
        assert len(r.origin.requests) == 5


async def test_a_client_that_leaves_amid_a_trial_leaves_its_place_to_the_next() -> None:
    async with rig(TABLE) as r:
        await open_it(r)
        r.origin.script = silent
        await asyncio.sleep(0.31)
        async with connected(r.gateway.port) as other:
            other.send(b"GET /trial HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: len(r.origin.requests) == 5)
            assert (await r.exchange("GET", "/")).json["code"] == "upstream_circuit_open"
        r.origin.script = answer(b"well")
        await until(lambda: r.gateway.metric("gateway_requests_in_flight") == 0)
        assert (await r.exchange("GET", "/")).body == b"well"


@pytest.mark.parametrize("status", ["500 Oops", "404 Not Found", "429 Slow Down"])
async def test_what_one_client_can_provoke_opens_nothing(status: str) -> None:
    async with rig(TABLE, answer(b"no", status)) as r:
        for _ in range(20):
            assert (await r.exchange("GET", "/")).body == b"no"
        assert len(r.origin.requests) == 20


async def test_clients_that_leave_or_send_slowly_open_nothing() -> None:
    async with rig(TABLE, silent) as r:
        for _ in range(6):
            async with connected(r.gateway.port) as leaving:
                leaving.send(b"GET /leaving HTTP/1.1\r\nHost: a\r\n\r\n")
                await until(lambda: r.gateway.metric("gateway_requests_in_flight") == 1)
            await until(lambda: r.gateway.metric("gateway_requests_in_flight") == 0)
        r.origin.script = answer(b"well")
        for _ in range(6):
            async with connected(r.gateway.port) as slow:
                slow.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nxxx")
                assert (await slow.read_reply()).status in (408, 504)
        assert (await r.exchange("GET", "/")).body == b"well"


async def test_a_service_that_is_not_there_opens_it() -> None:
    async with rig(TABLE, environ={"ORIGIN": "http://127.0.0.1:1"}) as r:
        codes = [(await r.exchange("POST", "/")).json["code"] for _ in range(6)]
        assert codes == ["upstream_unreachable"] * 4 + ["upstream_circuit_open"] * 2


async def test_a_dead_endpoint_from_which_requests_go_on_to_another_shuts_nothing() -> None:
    table = TABLE.replace('["${env:ORIGIN}"]', '["http://127.0.0.1:1", "${env:ORIGIN}"]\n    balance: least_requests')
    table = table.replace("timeout:", "retry: {attempts: 2, budget: 0%}, timeout:")
    async with rig(table) as r:
        for method in ("GET", "POST") * 20:
            assert (await r.exchange(method, "/")).status == 200
        # Without budget: a connect that failed is not a request that was sent twice.
        assert r.gateway.metric("gateway_upstream_retries_total", cause="connect") > 10
        assert len(r.origin.requests) == 40


async def test_while_it_rests_kept_replies_stand_in_for_it() -> None:
    table = TABLE.replace("routes: [{", "routes: [{id: kept, match: /kept, to: origin, cache: {stale_if_error: 1h}}, {")
    async with rig(table, answer(b"kept", headers=("Cache-Control: max-age=0",))) as r:
        assert (await r.exchange("GET", "/kept")).body == b"kept"
        r.origin.script = answer(b"no", "503 No")
        for _ in range(4):
            await r.exchange("GET", "/")
        assert (await r.exchange("GET", "/")).json["code"] == "upstream_circuit_open"
        asked = len(r.origin.requests)
        reply = await r.exchange("GET", "/kept")
        assert (reply.status, reply.body) == (200, b"kept")
        assert len(r.origin.requests) == asked
