"""The client goes away, or sends more than it may: the upstream hears of it at once, and the log says so."""

import asyncio

import pytest

from tests.support.client import connected
from tests.support.gateway import Rig, rig, until
from tests.support.origin import Received, answer, deaf_endpoint, read_body

SMALL = """
version: 1
defaults: {auth: none, body_max: 100KiB}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes: [{id: all, match: /*, to: origin}]
"""
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def silent(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def endless(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(CHUNKED_HEAD)
    while True:
        writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        await writer.drain()


async def events(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(CHUNKED_HEAD + b"5\r\nfirst\r\n")
    await reader.read()


async def assert_client_gone(r: Rig, status: int | None) -> None:
    await r.origin.closed.wait()
    (line,) = await r.gateway.log_lines()
    assert (line["outcome"], line["status"]) == ("client_gone", status)
    await until(lambda: r.gateway.metric("gateway_requests_in_flight") == 0)
    assert r.gateway.metric("gateway_requests_total") == 1
    await until(lambda: r.gateway.metric("gateway_connections") == 0)


@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
async def test_a_client_that_leaves_before_the_head_ends_the_upstream_request(is_reset: bool) -> None:
    async with rig(script=silent) as r:
        r.client.send(GET)
        await until(lambda: bool(r.origin.requests))
        if is_reset:
            r.client.writer.transport.abort()
        r.client.close()
        await assert_client_gone(r, None)


async def test_a_client_that_leaves_while_a_pooled_connection_works_for_it_ends_the_upstream_request() -> None:
    async with rig() as r:
        assert (await r.exchange("GET", "/")).status == 200
        r.origin.script = silent
        r.client.send(GET)
        await until(lambda: len(r.origin.requests) == 2)
        assert r.origin.connections == 1
        r.client.close()
        await r.origin.closed.wait()
        lines = await r.gateway.log_lines(2)
        assert lines[1]["outcome"] == "client_gone"
        await until(lambda: r.gateway.metric("gateway_requests_in_flight") == 0)


@pytest.mark.parametrize("script", [endless, events], ids=["moving", "resting"])
async def test_a_client_that_leaves_amid_the_body_ends_the_upstream_request(script: object) -> None:
    async with rig(script=script) as r:  # type: ignore[arg-type]
        r.client.send(GET)
        assert (await r.client.read_head()).status == 200
        await r.client.read_chunk()
        r.client.close()
        await assert_client_gone(r, 200)


async def test_a_client_that_leaves_while_a_connection_is_made_leaves_nothing_behind() -> None:
    with deaf_endpoint() as url:
        async with rig(SMALL, environ={"ORIGIN": url}) as r:
            r.client.send(GET)
            await until(lambda: r.gateway.metric("gateway_requests_in_flight") == 1)
            r.client.close()
            (line,) = await r.gateway.log_lines()
            assert (line["outcome"], line["attempts"]) == ("client_gone", 1)
            (upstream,) = r.gateway.serving._registry._upstreams.values()
            assert upstream.endpoints[0].pool.open == 0


async def test_clients_that_leave_at_any_moment_leave_nothing_behind() -> None:
    async with rig(script=answer(b"x" * 100)) as r:
        post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        for request in (GET, post, post.replace(b"hello", b"he")):
            for turns in range(12):
                async with connected(r.gateway.port) as client:
                    client.send(request)
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    client.writer.transport.abort()
        await until(lambda: r.gateway.metric("gateway_connections") == 1)
        assert r.gateway.metric("gateway_requests_in_flight") == 0
        (upstream,) = r.gateway.serving._registry._upstreams.values()
        assert upstream.endpoints[0].pool.in_use == 0
        assert (await r.exchange("GET", "/")).status == 200


@pytest.mark.parametrize("framing", [b"Content-Length: 200000", b"Transfer-Encoding: chunked"])
async def test_an_upload_that_the_client_breaks_off_is_never_complete_at_the_upstream(framing: bytes) -> None:
    async with rig() as r:
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n5\r\nhello\r\n")
        await until(lambda: bool(r.origin.requests))
        r.client.close()
        await assert_client_gone(r, None)
        assert not r.origin.last.is_complete


async def test_a_body_over_the_limit_by_its_length_is_413_before_any_of_it_is_read() -> None:
    async with rig(SMALL) as r:
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 102401\r\n\r\n")
        reply = await r.client.read_reply()
        assert (reply.status, reply.json["code"]) == (413, "body_too_large")
        assert reply.get("Connection") == "close"
        assert r.origin.requests == []


async def test_a_chunked_body_over_the_limit_is_413_before_it_is_read_whole() -> None:
    async with rig(SMALL) as r:
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        r.client.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        await until(lambda: bool(r.origin.requests))
        # Without an end: a gateway that reads the body whole would wait for ever.
        r.client.send((b"2710\r\n" + b"x" * 10_000 + b"\r\n") * 10)
        reply = await r.client.read_reply()
        assert (reply.status, reply.json["code"]) == (413, "body_too_large")
        await r.origin.closed.wait()
        assert not r.origin.last.is_complete


async def test_a_chunked_body_over_the_limit_in_one_packet_is_413() -> None:
    async with rig(SMALL.replace("100KiB", "10B")) as r:
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n")
        reply = await r.client.read_reply()
        assert (reply.status, reply.json["code"]) == (413, "body_too_large")
        assert r.origin.requests == []


@pytest.mark.parametrize("framing", [b"Content-Length: 102400", b"Transfer-Encoding: chunked"])
async def test_a_body_of_exactly_the_limit_passes(framing: bytes) -> None:
    body = b"x" * 102_400
    async with rig(SMALL) as r:
        if framing.startswith(b"T"):
            r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n19000\r\n" + body + b"\r\n0\r\n\r\n")
        else:
            r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n" + body)
        assert (await r.client.read_reply()).status == 200
        assert r.origin.last.body == body
        assert (await r.exchange("GET", "/")).status == 200


async def test_an_early_reply_while_the_upload_goes_on_reaches_the_client() -> None:
    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100_000)
        await answer(b"enough", "413 Content Too Large", close=True)(received, reader, writer)

    async with rig(script=script) as r:
        r.origin.read_body = False
        r.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n")
        uploading = asyncio.create_task(_upload(r, 8_000_000))
        reply = await r.client.read_reply()
        uploading.cancel()
        assert (reply.status, reply.body) == (413, b"enough")
        assert reply.get("Connection") == "close"


async def _upload(r: Rig, size: int) -> None:
    for _ in range(size // 50_000):
        r.client.send(b"x" * 50_000)
        await r.client.writer.drain()


async def test_an_upload_is_paused_while_the_upstream_takes_no_more() -> None:
    go_on = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        received.body = await read_body(received, reader)
        await answer(b"ok")(received, reader, writer)

    async with rig(SMALL.replace("100KiB", "1GiB"), script) as r:
        r.origin.read_body = False
        size = 64_000_000
        r.client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
        uploading = asyncio.create_task(_upload(r, size))
        done, _ = await asyncio.wait([uploading], timeout=0.7)
        assert not done, "all of the body went somewhere"
        go_on.set()
        await uploading
        assert (await r.client.read_reply()).status == 200
        assert len(r.origin.last.body) == size
