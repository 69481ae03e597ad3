"""What happens to a key when the client leaves, a worker dies, a machine falls out, the store is gone."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from plugins import idempotency
from tests.stores.redis_cluster import RedisClusterServers
from tests.stores.redis_server import RedisServer
from tests.support.client import ClientReply, RawClient, connected
from tests.support.gateway import gateway_process, rig, running_gateway, until
from tests.support.origin import Received, answer, running_origin

TABLE = """
version: 1
gateway: {store: "${env:STORE:-memory://}"}
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes: [{id: writes, match: /*, to: origin, idempotency: optional}]
"""
KEYED = {"Idempotency-Key": "k1"}
REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k1\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.kill()


class Held:
    """A script that answers once it may."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def __call__(self, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.release.wait()
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await answer(b"done")(received, reader, writer)


async def post(client: RawClient) -> ClientReply:
    return await client.request("POST", "/", KEYED, body=b"{}")


async def settled(client: RawClient) -> ClientReply:
    """The reply once the key is of no request under way."""
    while (reply := await post(client)).status == 409:
        await asyncio.sleep(0.02)
    return reply


@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
async def test_a_client_that_left_finds_the_result_when_it_comes_back(is_reset: bool) -> None:
    held = Held()
    async with rig(TABLE, held) as r:
        async with connected(r.gateway.port) as leaving:
            leaving.send(REQUEST)
            await until(lambda: bool(r.origin.requests))
            if is_reset:
                leaving.writer.transport.abort()
            leaving.close()
            assert (await post(r.client)).json["code"] == "idempotency_in_flight"
            assert {line["outcome"] for line in await r.gateway.log_lines(2)} == {"client_gone", "complete"}
        held.release.set()
        reply = await settled(r.client)
        assert (reply.status, reply.body, reply.get("Idempotency-Replayed")) == (200, b"done", "true")
        assert len(r.origin.requests) == 1


async def test_a_drain_waits_for_what_runs_without_its_client() -> None:
    held = Held()
    async with rig(TABLE, held) as r:
        async with connected(r.gateway.port) as leaving:
            leaving.send(REQUEST)
            await until(lambda: bool(r.origin.requests))
        await r.gateway.log_lines()
        draining = asyncio.ensure_future(r.gateway.drain())
        await asyncio.sleep(0)
        held.release.set()
        await draining
        assert r.gateway.metric("gateway_idempotency_verdicts_total", verdict="first") == 1


@pytest.mark.parametrize("each_lane", ["fast"], indirect=True)
async def test_a_worker_that_is_killed_frees_its_keys_with_their_lease(redis: RedisServer) -> None:
    """The key is held at first, also before other gateways, and free when the lease has run out."""
    held = Held()
    async with (
        asyncio.timeout(30),
        running_origin(held) as origin,
        gateway_process(TABLE, {"ORIGIN": origin.url, "STORE": redis.url}) as process,
        running_gateway(TABLE, {"ORIGIN": origin.url, "STORE": redis.url}) as other,
        connected(other.port) as client,
    ):
        async with connected(process.port) as first:
            first.send(REQUEST)
            await until(lambda: bool(origin.requests))
            os.kill(process.workers()[0], signal.SIGKILL)
        assert (await post(client)).status == 409
        held.release.set()
        async with Redis.from_url(redis.url) as admin:
            (key,) = await admin.keys("claim:*")
            assert 0 < await admin.pttl(key) <= idempotency.LEASE_S * 1000
            await admin.pexpire(key, 100)  # instead of so many seconds
        assert (await settled(client)).get("Idempotency-Replayed") is None
        assert len(origin.requests) == 2


@pytest.mark.parametrize("each_lane", ["fast"], indirect=True)
@pytest.mark.parametrize("kind", ["redis", "cluster"])
async def test_two_gateways_of_two_workers_carry_a_write_out_once(
    kind: str, shared_redis: RedisServer, shared_cluster: RedisClusterServers
) -> None:
    store = shared_redis.url if kind == "redis" else shared_cluster.url
    async with (
        asyncio.timeout(30),
        running_origin() as origin,
        gateway_process(TABLE, {"ORIGIN": origin.url, "STORE": store}, workers=2, is_patient=True) as one,
        gateway_process(TABLE, {"ORIGIN": origin.url, "STORE": store}, workers=2, is_patient=True) as two,
    ):
        key = os.urandom(8).hex()

        async def send(number: int) -> ClientReply:
            # A connection each, so that the kernel spreads them over the workers.
            async with connected((one, two)[number % 2].port) as client:
                # While a busy machine connects its workers to the store, that may be late.
                while (reply := await client.request("POST", "/", {"Idempotency-Key": key}, body=b"{}")).status == 503:
                    await asyncio.sleep(0.05)
                return reply

        assert (await send(0)).status == 200
        replies = await asyncio.gather(*(send(number) for number in range(40)))
        assert len(origin.requests) == 1
        assert {reply.status for reply in replies} == {200}
        assert {reply.get("Idempotency-Replayed") for reply in replies} == {"true"}


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_without_the_store_keyed_requests_are_503_and_others_go_on(fault: str, redis: RedisServer) -> None:
    async with rig(TABLE, environ={"STORE": redis.url}) as r:
        assert (await post(r.client)).status == 200
        getattr(redis, fault)()
        for _ in range(5):
            started_s = asyncio.get_running_loop().time()
            reply = await post(r.client)
            assert asyncio.get_running_loop().time() - started_s < 0.2
            assert (reply.status, reply.json["code"]) == (503, "idempotency_store_down")
            assert reply.get("Retry-After") == "1"
        assert (await r.exchange("POST", "/", body=b"{}")).status == 200
        assert len(r.origin.requests) == 2
        if fault == "freeze":
            redis.thaw()
            while (reply := await post(r.client)).status == 503:
                await asyncio.sleep(0.05)
            assert reply.get("Idempotency-Replayed") == "true"


async def test_a_store_that_falls_out_while_the_upstream_works_costs_the_client_nothing(redis: RedisServer) -> None:
    held = Held()
    async with rig(TABLE, held, environ={"STORE": redis.url}) as r:
        first = asyncio.ensure_future(post(r.client))
        await until(lambda: bool(r.origin.requests))
        redis.kill()
        held.release.set()
        assert (await first).body == b"done"
        assert r.gateway.metric("gateway_idempotency_verdicts_total", verdict="lost") == 1


async def test_a_client_that_leaves_amid_its_body_has_asked_for_nothing() -> None:
    async with rig(TABLE) as r:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k1\r\nContent-Length: 200000\r\n\r\n"
        async with connected(r.gateway.port) as leaving:
            leaving.send(head + bytes(100_000))
            await until(lambda: bool(r.origin.requests))
        await until(lambda: r.gateway.metric("gateway_idempotency_verdicts_total", verdict="freed") == 1)
        reply = await r.send(head + bytes(200_000), "POST")
        assert (reply.status, reply.get("Idempotency-Replayed")) == (200, None)


def test_a_lease_outlives_a_renewal_that_failed() -> None:
    assert idempotency.LEASE_S >= 2 * idempotency.RENEWED_AFTER_S
