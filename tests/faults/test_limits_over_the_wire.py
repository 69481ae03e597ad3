"""What a client sees of its limits: numbers, caps, shadows, and the mark of a store that is gone."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.stores.redis_server import RedisServer
from tests.support.client import connected
from tests.support.gateway import rig, token, until
from tests.support.origin import Received

TABLE = """
version: 1
gateway: {store: "${env:STORE:-memory://}"}
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
plans: {free: {limits: [60/min, 1000/h], concurrent: 2}}
defaults: {auth: test, limit: {plan: true}}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes:
- {id: all, match: /*, to: origin}
- {id: watched, match: /watched, to: origin, limit: {rate: 1/d, mode: shadow}}
- {id: me, match: /limits/me, respond: limits}
"""
HEADERS = {"Authorization": f"Bearer {token('t1', 'free')}"}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("store", ["memory", "redis"])
async def test_limits_me_shows_what_the_next_reply_will_say(store: str, redis: RedisServer) -> None:
    environ = {"STORE": redis.url} if store == "redis" else {}
    async with rig(TABLE, environ=environ) as r:
        for number in range(3):
            await r.exchange("GET", "/", HEADERS)
            for _ in range(2):
                shown = await r.exchange("GET", "/limits/me", HEADERS)
                assert shown.status == 200
                assert shown.json["plan"] == "free"
                windows = shown.json["windows"]
                assert [window["limit"] for window in windows] == [60, 1000]
                assert windows[0]["remaining"] == 59 - number
                assert windows[1]["remaining"] == 999 - number
        assert shown.get("Cache-Control") == "no-store"
        assert (await r.exchange("GET", "/limits/me")).status == 401


async def test_shadow_is_not_to_be_noticed_but_in_the_log_and_the_metrics() -> None:
    async with rig(TABLE) as r:
        replies = [await r.exchange("GET", "/watched", HEADERS) for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 200]
        assert replies[2].get("RateLimit") is replies[2].get("RateLimit-Policy") is None
        assert r.gateway.metric("gateway_limit_verdicts_total", route="watched", verdict="shadow_limited") == 2
        lines = await r.gateway.log_lines(3)
        assert [line["verdicts"]["limit"] for line in lines] == ["shadow_passed", "shadow_limited", "shadow_limited"]


async def never(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_request_whose_client_left_gives_its_place_back() -> None:
    request = f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: {HEADERS['Authorization']}\r\n\r\n".encode()
    async with rig(TABLE, never) as r:
        async with connected(r.gateway.port) as one, connected(r.gateway.port) as other:
            one.send(request)
            other.send(request)
            await until(lambda: len(r.origin.requests) == 2)
            refused = await r.exchange("GET", "/", HEADERS)
            assert (refused.status, refused.json["code"]) == (429, "concurrency_limited")
            assert refused.get("Retry-After") == "1"
        await until(lambda: r.gateway.metric("gateway_requests_in_flight") == 0)
        async with connected(r.gateway.port) as one:
            one.send(request)
            await until(lambda: len(r.origin.requests) == 3)


async def test_degraded_is_said_by_the_reply_the_metric_and_the_log(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig(TABLE, environ={"STORE": redis.url}) as r:
        await until(lambda: r.gateway.metric("gateway_limit_live_workers") == 1)
        fresh = await r.exchange("GET", "/", HEADERS)
        assert fresh.get("RateLimit-Policy") == '"60-min";q=60;w=60, "1000-h";q=1000;w=3600'
        redis.kill()
        reply = await r.exchange("GET", "/", HEADERS)
        assert reply.status == 200
        assert reply.get("RateLimit-Policy") == '"60-min";q=60;w=60;degraded, "1000-h";q=1000;w=3600;degraded'
        assert (reply.get("RateLimit") or "").startswith('"60-min";r=58')
        assert r.gateway.metric("gateway_limit_degraded_workers") == 1
        assert r.gateway.metric("gateway_limit_outages_total") == 1
        assert (await r.exchange("GET", "/limits/me", HEADERS)).json["is_degraded"] is True
        redis.start()
        await until(lambda: r.gateway.metric("gateway_limit_degraded_workers") == 0)
        back = await r.exchange("GET", "/", HEADERS)
        assert (back.get("RateLimit") or "").startswith('"60-min";r=5'), "what passed meanwhile is not forgotten"
        assert "degraded" not in (back.get("RateLimit-Policy") or "")
        said = [record.getMessage() for record in caplog.records if "limit store" in record.getMessage()]
        assert len(said) == 2 and "is down" in said[0] and "is up again" in said[1]
