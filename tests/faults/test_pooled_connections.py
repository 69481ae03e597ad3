"""Connections to the upstream that are kept: closed while idle, bounded in number, given up in time."""

import asyncio

import pytest

from tests.support.client import connected
from tests.support.gateway import rig, until
from tests.support.origin import Received, answer

POOLED = """
version: 1
defaults: {auth: none, timeout: {connect: 200ms}}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"], pool: {max: 2, idle: 60s}}}
routes: [{id: all, match: /*, to: origin}]
"""


async def test_connections_are_used_again() -> None:
    async with rig() as r:
        for number in range(20):
            assert (await r.exchange("POST" if number % 2 else "GET", "/", body=b"x")).status == 200
        assert r.origin.connections == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_connection_that_was_closed_while_idle_never_costs_the_client_an_error(method: str) -> None:
    async with rig() as r:
        for _ in range(40):
            reply = await r.exchange(method, "/", body=b"" if method == "HEAD" else b"body")
            assert reply.status == 200
            await r.origin.close_connections()
        assert len(r.origin.requests) == 40


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_the_same_where_the_origin_closes_a_moment_after_its_reply(method: str) -> None:
    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Without `Connection: close`, as servers do whose keep-alive timer has just run out.
        await answer(b"ok")(received, reader, writer)
        await writer.drain()
        writer.close()

    async with rig(script=script) as r:
        for _ in range(40):
            reply = await r.exchange(method, "/", body=b"body")
            assert reply.status == 200, reply.body


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_a_connection_that_ends_as_it_is_handed_to_who_waits_costs_nothing(method: str) -> None:
    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(b"ok")(received, reader, writer)
        writer.close()

    async with rig(POOLED.replace("200ms", "5s"), script) as r:

        async def one() -> int:
            async with connected(r.gateway.port) as client:
                return (await client.request(method, "/", body=b"x")).status

        assert set(await asyncio.gather(*(one() for _ in range(60)))) == {200}


async def test_a_large_upload_over_a_connection_that_was_closed_while_idle_arrives() -> None:
    async with rig() as r:
        for _ in range(10):
            reply = await r.exchange("POST", "/", body=b"x" * 300_000)
            assert reply.status == 200
            await r.origin.close_connections()


async def test_many_closed_connections_at_once_cost_nothing() -> None:
    async with rig(POOLED.replace("max: 2", "max: 30")) as r:

        async def one(method: str) -> int:
            async with connected(r.gateway.port) as client:
                return (await client.request(method, "/", body=b"x")).status

        for _ in range(5):
            statuses = await asyncio.gather(*(one(method) for method in ("GET", "POST", "PUT") * 10))
            assert set(statuses) == {200}
            await r.origin.close_connections()


@pytest.mark.parametrize("hint", ["timeout=1", "timeout=0, max=5"])
async def test_rfc9112_9_3_a_connection_that_is_about_to_be_closed_is_not_kept(hint: str) -> None:
    async with rig(script=answer(b"x", headers=(f"Keep-Alive: {hint}",))) as r:
        for _ in range(3):
            assert (await r.exchange("GET", "/")).status == 200
        assert r.origin.connections == 3


async def test_a_keep_alive_hint_that_is_long_enough_is_no_reason_to_close() -> None:
    async with rig(script=answer(b"x", headers=("Keep-Alive: timeout=30",))) as r:
        for _ in range(3):
            assert (await r.exchange("GET", "/")).status == 200
        assert r.origin.connections == 1


async def test_more_requests_than_connections_wait_in_line() -> None:
    async with rig(POOLED) as r:

        async def one() -> int:
            async with connected(r.gateway.port) as client:
                return (await client.request("GET", "/")).status

        assert set(await asyncio.gather(*(one() for _ in range(40)))) == {200}
        assert r.origin.connections <= 2


async def test_a_request_that_waits_too_long_for_a_connection_is_503() -> None:
    release = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await answer(b"late")(received, reader, writer)

    async with rig(POOLED, script) as r, connected(r.gateway.port) as one, connected(r.gateway.port) as other:
        for client in (one, other):
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: len(r.origin.requests) == 2)
        reply = await r.exchange("GET", "/")
        assert (reply.status, reply.json["code"], reply.get("Retry-After")) == (503, "upstream_busy", "1")
        release.set()
        assert (await one.read_reply()).body == (await other.read_reply()).body == b"late"
        # And whoever comes later is served again.
        assert (await r.exchange("GET", "/")).body == b"late"


async def test_a_place_in_the_pool_is_given_back_by_whoever_leaves_or_fails() -> None:
    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/hang" in received.request_line:
            await reader.read()
        elif b"/reset" in received.request_line:
            writer.close()
        else:
            await answer(b"ok")(received, reader, writer)

    async with rig(POOLED, script) as r:
        for _ in range(5):
            async with connected(r.gateway.port) as leaving:
                count = len(r.origin.requests)
                leaving.send(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
                await until(lambda count=count: len(r.origin.requests) > count)
            assert (await r.exchange("GET", "/reset")).status == 502
        assert (await r.exchange("GET", "/")).status == 200
        (upstream,) = r.gateway.serving._registry._upstreams.values()
        pool = upstream.endpoints[0].pool
        await until(lambda: pool.open == 1)
        assert pool.in_use == 0
