"""WebSockets through the gateway (RFC 6455), and other upgrades (RFC 9110 section 7.8)."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from tests.support.client import connected
from tests.support.gateway import Rig, RunningGateway, rig, running_gateway, until
from tests.support.origin import Received, answer

TABLE = """
version: 1
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes:
- {id: all, match: /*, to: origin}
- {id: protected, match: /protected, to: origin, auth: test}
- {id: idle, match: /idle, to: origin, timeout: {total: none, idle: 300ms}}
- {id: short, match: /short, to: origin, timeout: {total: 300ms}}
"""
MIB = 1 << 20

Handler = Callable[[web.WebSocketResponse], Awaitable[None]]


async def echo(socket: web.WebSocketResponse) -> None:
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)


@asynccontextmanager
async def websocket_gateway(
    handler: Handler = echo,
) -> AsyncIterator[tuple[RunningGateway, aiohttp.ClientSession, str]]:
    """The gateway before an upstream of WebSockets, a client session, and the URL of the gateway."""
    sockets: list[web.WebSocketResponse] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.path == "/refused":
            return web.Response(status=403, text="not for you", headers={"X-Why": "because"})
        socket = web.WebSocketResponse(protocols=("chat.v2", "chat.v1"), max_msg_size=2 * MIB, timeout=1.0)
        await socket.prepare(request)
        sockets.append(socket)
        await handler(socket)
        return socket

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with (
            asyncio.timeout(10),
            running_gateway(TABLE, {"ORIGIN": f"http://127.0.0.1:{port}"}) as gateway,
            aiohttp.ClientSession() as session,
        ):
            yield gateway, session, f"http://127.0.0.1:{gateway.port}"
    finally:
        await runner.cleanup()


async def test_messages_of_one_mebibyte_pass_both_ways_as_text_and_binary() -> None:
    async with websocket_gateway() as (gateway, session, url):
        async with session.ws_connect(url + "/", max_msg_size=2 * MIB) as socket:
            for data in (os.urandom(MIB), b"", b"x"):
                await socket.send_bytes(data)
                assert (await socket.receive_bytes()) == data
            for text in ("\u20ac" * (MIB // 3), "", "x"):
                await socket.send_str(text)
                assert (await socket.receive_str()) == text
        (line,) = await gateway.log_lines()
        assert (line["status"], line["outcome"]) == (101, "complete")
        assert line["bytes_out"] > 2 * MIB - 10
        await until(lambda: gateway.metric("gateway_requests_in_flight") == 0)


async def test_the_subprotocol_is_agreed_on_with_the_upstream() -> None:
    async with websocket_gateway() as (_, session, url):
        async with session.ws_connect(url + "/", protocols=("chat.v1", "chat.v2")) as socket:
            assert socket.protocol in ("chat.v1", "chat.v2")
        async with session.ws_connect(url + "/") as socket:
            assert socket.protocol is None


async def test_pings_pass() -> None:
    async with websocket_gateway() as (_, session, url), session.ws_connect(url + "/", autoping=False) as socket:
        await socket.ping(b"there?")
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.PONG, b"there?")


@pytest.mark.parametrize("code", [1000, 1001, 4999])
async def test_the_close_code_of_the_client_reaches_the_upstream(code: int) -> None:
    seen: list[int | None] = []

    async def handler(socket: web.WebSocketResponse) -> None:
        async for _ in socket:
            pass
        seen.append(socket.close_code)

    async with websocket_gateway(handler) as (_, session, url):
        async with session.ws_connect(url + "/") as socket:
            await socket.close(code=code, message=b"bye")
        await until(lambda: bool(seen))
        assert seen == [code]


@pytest.mark.parametrize("code", [1000, 1011, 4000])
async def test_the_close_code_of_the_upstream_reaches_the_client(code: int) -> None:
    async def handler(socket: web.WebSocketResponse) -> None:
        await socket.send_str("one")
        await socket.close(code=code, message=b"enough")

    async with websocket_gateway(handler) as (_, session, url), session.ws_connect(url + "/") as socket:
        assert await socket.receive_str() == "one"
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, code, "enough")


async def test_an_upstream_that_refuses_the_upgrade_is_heard_and_the_connection_goes_on() -> None:
    async with websocket_gateway() as (_, session, url):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(url + "/refused")
        assert refused.value.status == 403
        assert refused.value.headers is not None and refused.value.headers["X-Why"] == "because"


async def test_a_policy_refuses_the_upgrade_before_the_upstream_hears_of_it() -> None:
    async with websocket_gateway() as (_, session, url):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(url + "/protected")
        assert refused.value.status == 401


async def test_a_websocket_that_rests_is_ended_by_the_idle_limit_only() -> None:
    async with websocket_gateway() as (_, session, url):
        async with session.ws_connect(url + "/idle") as socket:
            for _ in range(4):
                await asyncio.sleep(0.12)  # the passing of time is what this is about
                await socket.send_str("x")
                assert await socket.receive_str() == "x"
            started_s = asyncio.get_running_loop().time()
            message = await socket.receive()
            assert message.type in (WSMsgType.CLOSED, WSMsgType.CLOSE)
            assert 0.2 < asyncio.get_running_loop().time() - started_s < 0.8
        async with session.ws_connect(url + "/short") as socket:
            await asyncio.sleep(0.5)  # longer than `total`, which is for a reply
            await socket.send_str("x")
            assert await socket.receive_str() == "x"


async def test_a_client_that_vanishes_ends_the_upstreams_side() -> None:
    ended = asyncio.Event()

    async def handler(socket: web.WebSocketResponse) -> None:
        async for _ in socket:
            pass
        ended.set()

    async with websocket_gateway(handler) as (gateway, session, url):
        socket = await session.ws_connect(url + "/")
        assert socket._response.connection is not None
        socket._response.connection.transport.abort()  # type: ignore[union-attr]
        await ended.wait()
        await until(lambda: gateway.metric("gateway_connections") == 0)
        assert len(await gateway.log_lines()) == 1


UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat/1\r\n\r\n"


async def shouting(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes any upgrade, says something at once, then answers in capitals until the end of the input."""
    protocol = received.get("upgrade")
    writer.write(f"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\nready.".encode())
    while data := await reader.read(100_000):
        writer.write(data.upper())
        await writer.drain()
    writer.write(b"END")
    writer.close()


async def upgraded(r: Rig, early: bytes = b"") -> None:
    r.client.send(UPGRADE + early)
    head = await r.client.read_head()
    assert head.status == 101
    assert (head.get("Connection"), head.get("Upgrade")) == ("upgrade", "chat/1")
    assert head.get("Content-Length") is None
    assert head.get("Transfer-Encoding") is None
    assert await r.client.reader.readexactly(6) == b"ready."


async def test_rfc9110_7_8_any_protocol_passes_as_it_is() -> None:
    async with rig(script=shouting) as r:
        await upgraded(r)
        for _ in range(3):
            r.client.send(b"hello\r\n\r\n")
            assert await r.client.reader.readexactly(9) == b"HELLO\r\n\r\n"


async def test_what_the_client_says_before_the_101_is_passed_on() -> None:
    async with rig(script=shouting) as r:
        await upgraded(r, early=b"early")
        assert await r.client.reader.readexactly(5) == b"EARLY"


async def test_the_end_of_one_direction_leaves_the_other_open() -> None:
    async with rig(script=shouting) as r:
        await upgraded(r)
        r.client.send(b"last words")
        r.client.writer.write_eof()
        assert await r.client.reader.read() == b"LAST WORDSEND"


async def test_a_tunnel_holds_up_the_side_that_is_faster() -> None:
    sent = 0

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: chat/1\r\n\r\nready.")
        for _ in range(1000):
            writer.write(b"x" * 64_000)
            await writer.drain()
            sent += 64_000

    async with rig(script=script) as r:
        await upgraded(r)
        r.client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)  # until nothing moves any more
        assert sent < 24_000_000
        r.client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await r.client.reader.readexactly(64_000_000)) == 64_000_000


@pytest.mark.parametrize(
    "head",
    [
        UPGRADE.replace(b"Connection: upgrade\r\n", b""),
        UPGRADE.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"),
        UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["not named by Connection", "no GET", "HTTP/1.0"],
)
async def test_rfc9110_7_8_what_is_no_upgrade_is_an_ordinary_request(head: bytes) -> None:
    async with rig(script=answer(b"plain")) as r:
        r.client.send(head)
        assert (await r.client.read_reply()).body == b"plain"
        assert r.origin.last.get("upgrade") is None
        assert r.origin.last.get("connection") is None


async def test_a_tunnel_ends_with_the_drain_of_the_gateway() -> None:
    async with rig(script=shouting) as r:
        await upgraded(r)
        await r.gateway.drain(0.2)
        assert await r.client.is_closed()
        await r.origin.closed.wait()


async def test_a_client_that_leaves_before_the_101_leaves_nothing_behind() -> None:
    async def silent(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with rig(script=silent) as r:
        async with connected(r.gateway.port) as leaving:
            leaving.send(UPGRADE)
            await until(lambda: bool(r.origin.requests))
        await r.origin.closed.wait()
        assert (await r.gateway.log_lines())[0]["outcome"] == "client_gone"
