"""Slowness on either side: each has its limit, and its own error."""

import asyncio

import pytest

from tests.support.client import breaks_off, connected
from tests.support.gateway import Rig, rig, running_gateway, until
from tests.support.origin import Received, deaf_endpoint, raw

QUICK = """
version: 1
gateway: {limits: {header_timeout: 300ms, idle_timeout: 600ms}}
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}, deaf: {endpoints: ["${env:DEAF:-http://127.0.0.1:1}"]}}
routes:
- {id: total, match: /total, to: origin, timeout: {total: 200ms}}
- {id: idle, match: /idle, to: origin, timeout: {total: none, idle: 200ms}}
- {id: long, match: /*, to: origin, timeout: {total: none, idle: 60s}}
- {id: deaf, match: /deaf, to: deaf, timeout: {connect: 200ms}}
"""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


def elapsed(started_s: float) -> float:
    return asyncio.get_running_loop().time() - started_s


async def silent(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize("path", ["/total", "/idle"])
async def test_an_upstream_that_says_nothing_is_504_in_time(path: str) -> None:
    async with rig(QUICK, silent) as r:
        started_s = asyncio.get_running_loop().time()
        reply = await r.exchange("GET", path)
        assert (reply.status, reply.json["code"]) == (504, "upstream_timeout")
        assert 0.15 < elapsed(started_s) < 0.5
        # The upstream sees that nobody waits any more.
        await r.origin.closed.wait()


@pytest.mark.parametrize("path", ["/total", "/idle"])
async def test_an_upstream_that_stops_amid_the_body_breaks_the_transfer(path: str) -> None:
    async with rig(QUICK, raw(HEAD + b"12345")) as r:
        assert await breaks_off(r.exchange("GET", path))
        (line,) = await r.gateway.log_lines()
        assert (line["code"], line["outcome"]) == ("upstream_timeout", "broken")


async def trickle(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    for _ in range(10):
        await asyncio.sleep(0.05)  # the passing of time is what this is about
        writer.write(b"x")


async def test_a_body_that_keeps_moving_has_no_end_by_the_idle_limit() -> None:
    async with rig(QUICK, trickle) as r:
        assert (await r.exchange("GET", "/idle")).body == b"x" * 10


async def test_a_body_that_keeps_moving_is_ended_by_the_total_limit() -> None:
    async with rig(QUICK, trickle) as r:
        assert await breaks_off(r.exchange("GET", "/total"))


async def test_an_upload_that_keeps_moving_is_not_ended_by_the_idle_limit() -> None:
    async with rig(QUICK) as r:
        r.client.send(b"POST /idle HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(8):
            r.client.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.05)  # the passing of time is what this is about
        r.client.send(b"0\r\n\r\n")
        assert (await r.client.read_reply()).status == 200
        assert r.origin.last.body == b"x" * 8


async def test_a_connect_that_nobody_answers_is_502_in_time() -> None:
    with deaf_endpoint() as url:
        async with running_gateway(QUICK, {"ORIGIN": url, "DEAF": url}) as gateway, connected(gateway.port) as client:
            started_s = asyncio.get_running_loop().time()
            reply = await client.request("GET", "/deaf")
            assert (reply.status, reply.json["code"]) == (502, "upstream_connect_timeout")
            assert 0.15 < elapsed(started_s) < 0.5


async def refused_as_late(r: Rig) -> None:
    started_s = asyncio.get_running_loop().time()
    reply = await r.client.read_reply()
    assert (reply.status, reply.json["code"]) == (408, "request_timeout")
    assert reply.get("Connection") == "close"
    assert 0.2 < elapsed(started_s) < 0.7
    assert await r.client.is_closed()
    assert r.origin.requests == []
    await until(lambda: any(line["code"] == "request_timeout" for line in r.gateway.log()))


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow", b"OPTIONS * HT"])
async def test_a_head_that_stops_is_408(start: bytes) -> None:
    async with rig(QUICK) as r:
        r.client.send(start)
        await refused_as_late(r)


async def test_a_head_that_trickles_is_408_as_well() -> None:
    async with rig(QUICK) as r:

        async def trickle_head() -> None:
            for byte in b"GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaa":
                r.client.send(bytes([byte]))
                await asyncio.sleep(0.02)  # the passing of time is what this is about

        trickling = asyncio.create_task(trickle_head())
        await refused_as_late(r)
        trickling.cancel()


async def test_the_second_head_of_a_connection_that_stops_is_408() -> None:
    async with rig(QUICK) as r:
        await r.exchange("GET", "/")
        r.origin.requests.clear()
        r.client.send(b"GET /")
        await refused_as_late(r)


async def test_a_small_body_that_arrives_slowly_is_served() -> None:
    async with rig(QUICK) as r:
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0.06)  # longer in sum than a head may take
            r.client.send(b"x")
        reply = await r.client.read_reply()
        assert reply.status == 200, reply.json
        assert r.origin.last.body == b"x" * 10


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_stops_is_408_and_never_complete_at_the_upstream(framing: bytes) -> None:
    async with rig(QUICK) as r:
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n5\r\nhel")
        reply = await r.client.read_reply()
        assert (reply.status, reply.json["code"]) == (408, "request_timeout")
        assert not any(request.is_complete for request in r.origin.requests)


async def test_a_connection_without_a_request_is_closed_in_time() -> None:
    async with rig(QUICK) as r:
        await r.exchange("GET", "/")
        started_s = asyncio.get_running_loop().time()
        assert await r.client.is_closed()
        assert 0.4 < elapsed(started_s) < 1.2


async def test_more_connections_than_allowed_are_refused_with_503_and_counted_down_again() -> None:
    table = QUICK.replace("header_timeout", "max_connections: 2, header_timeout").replace("600ms", "10s")
    async with rig(table) as r:
        async with connected(r.gateway.port) as second:
            assert (await second.request("GET", "/")).status == 200
            for _ in range(3):
                async with connected(r.gateway.port) as third:
                    reply = await third.read_reply()
                    assert (reply.status, reply.json["code"]) == (503, "overloaded")
                    assert reply.get("Retry-After") == "1"
                    assert await third.is_closed()
            assert (await r.exchange("GET", "/")).status == 200
        await until(lambda: r.gateway.metric("gateway_connections") == 1)
        async with connected(r.gateway.port) as next_one:
            assert (await next_one.request("GET", "/")).status == 200
