"""Hazard: an upstream that is not the one that is meant gets the request, or TLS loses the end of a reply."""

import asyncio
import logging
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from gateway.proxy.secured_transport import SecuredTransport, secure
from tests.proxy.fakes import FakeTransport
from tests.support.certificates import Authority, Certified
from tests.support.client import breaks_off, connected
from tests.support.gateway import Rig, running_gateway, until
from tests.support.origin import Received, Script, answer, greeting_endpoint, running_origin

pytestmark = pytest.mark.usefixtures("each_lane")
AUTHORITY, STRANGER = Authority(), Authority("Stranger")
MIB = 1 << 20
BIG = os.urandom(4 * MIB)
CA = "ca: '${file:ca.pem}'"
OWN = "client_cert: '${file:own.pem}', client_key: '${file:own.key}'"


def table(tls: str, folder: Path, own: Certified | None = None) -> str:
    """Everything to one upstream with this `tls`. The files are in `folder`."""
    (folder / "ca.pem").write_text(AUTHORITY.pem)
    if own is not None:
        (folder / "own.pem").write_text(own.certificate)
        (folder / "own.key").write_text(own.key)
    found = f"""
version: 1
defaults: {{auth: none, retry: {{attempts: 3, on: [connect, reset, 502]}}}}
upstreams: {{origin: {{endpoints: ["${{env:ORIGIN}}"], tls: {{{tls}}}}}}}
routes: [{{id: all, match: /*, to: origin}}]
"""
    return found.replace("${file:", f"${{file:{folder}/")


@asynccontextmanager
async def before(
    origin_tls: ssl.SSLContext, text: str, script: Script | None = None, **settings: Any
) -> AsyncIterator[Rig]:
    """A gateway of this table before an origin with TLS."""
    async with (
        asyncio.timeout(10),
        running_origin(script, tls=origin_tls) as origin,
        running_gateway(text, {"ORIGIN": origin.url}, **settings) as gateway,
        connected(gateway.port, AUTHORITY.client_context() if "tls" in settings else None) as client,
    ):
        yield Rig(origin, gateway, client)


async def test_the_authority_of_the_table_is_believed_and_connections_are_kept(tmp_path: Path) -> None:
    async with before(AUTHORITY.server_context(AUTHORITY.local), table(CA, tmp_path)) as r:
        for _ in range(3):
            assert (await r.exchange("GET", "/")).body == b"hello"
            assert (await r.exchange("POST", "/", body=b"x")).status == 200
        assert r.origin.last.get("host") == f"127.0.0.1:{r.origin.port}"
        assert r.origin.connections == 1


@pytest.mark.parametrize(
    ("names", "signed_by", "tls", "why"),
    [
        (["127.0.0.1"], STRANGER, CA, "unable to get local issuer certificate"),
        (["127.0.0.2"], AUTHORITY, CA, "IP address mismatch"),
        (["crm.internal"], AUTHORITY, f"{CA}, server_name: hr.internal", "Hostname mismatch"),
        (["127.0.0.1"], AUTHORITY, "", "unable to get local issuer certificate"),
    ],
)
async def test_another_certificate_is_502_with_a_code_of_its_own_and_is_not_tried_again(
    names: list[str], signed_by: Authority, tls: str, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with before(signed_by.server_context(signed_by.issue(*names)), table(tls, tmp_path)) as r:
        for _ in range(2):
            reply = await r.exchange("GET", "/")
            assert (reply.status, reply.json["code"]) == (502, "upstream_certificate_refused")
            assert "tls_certificate_error" in (reply.get("Proxy-Status") or "")
            assert why not in reply.body.decode()
        assert r.origin.requests == []
        assert r.gateway.metric("gateway_upstream_attempts_total", outcome="tls") == 2
        # The reason is for the operators, once a minute.
        (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert why in told


async def test_the_server_name_is_asked_for_and_expected(tmp_path: Path) -> None:
    asked: list[str | None] = []
    context = AUTHORITY.server_context(AUTHORITY.issue("crm.internal"))
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with before(context, table(f"{CA}, server_name: crm.internal", tmp_path)) as r:
        assert (await r.exchange("GET", "/")).status == 200
    assert asked == ["crm.internal"]


async def test_without_verification_any_certificate_will_do(tmp_path: Path) -> None:
    context = STRANGER.server_context(STRANGER.issue("nobody.test"))
    async with before(context, table("verify: false", tmp_path)) as r:
        assert (await r.exchange("GET", "/")).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_gateway_shows_its_own_certificate_where_it_is_asked(version: ssl.TLSVersion, tmp_path: Path) -> None:
    context = AUTHORITY.server_context(AUTHORITY.local, asks=True)
    context.maximum_version = version
    async with before(context, table(f"{CA}, {OWN}", tmp_path, AUTHORITY.issue("gateway"))) as r:
        assert (await r.exchange("GET", "/")).status == 200
        assert (await r.exchange("POST", "/", body=b"x")).status == 200


def refuse(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Take one connection and refuse its certificate with an alert, which servers on asyncio do not send."""
    client, _ = listening.accept()
    with context.wrap_socket(client, server_side=True, do_handshake_on_connect=False) as secured:
        try:
            secured.do_handshake()
        except ssl.SSLError:
            # What the client has sent by then is read: to close before it would reset the connection, alert and all.
            with socket.socket(fileno=os.dup(secured.fileno())) as raw, suppress(ConnectionError):
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(65536):
                    pass
        else:
            raise AssertionError("it was not refused")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("signed_by", [STRANGER, None])
async def test_an_upstream_that_refuses_the_gateways_certificate_is_502(
    signed_by: Authority | None, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """With TLS 1.3 the refusal comes when the handshake is over for the client."""
    context = AUTHORITY.server_context(AUTHORITY.local, asks=True)
    context.maximum_version = version
    own = signed_by.issue("gateway") if signed_by is not None else None
    text = table(f"{CA}, {OWN}" if own is not None else CA, tmp_path, own)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        async with (
            asyncio.timeout(10),
            running_gateway(text, {"ORIGIN": url}) as gateway,
            connected(gateway.port) as client,
        ):
            for method in ("GET", "POST"):
                refusing = asyncio.create_task(asyncio.to_thread(refuse, listening, context))
                reply = await client.request(method, "/", body=b"x" * (method == "POST"))
                assert (reply.status, reply.json["code"]) == (502, "upstream_tls_failed")
                await refusing
            assert gateway.metric("gateway_upstream_attempts_total", outcome="tls") == 2


async def test_an_upstream_without_tls_is_502_and_is_asked_nothing(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(10),
        greeting_endpoint() as url,
        running_gateway(table(CA, tmp_path), {"ORIGIN": url}) as gateway,
        connected(gateway.port) as client,
    ):
        reply = await client.request("GET", "/")
        assert (reply.status, reply.json["code"]) == (502, "upstream_tls_failed")


async def test_a_handshake_that_hangs_is_a_connect_timeout(tmp_path: Path) -> None:
    text = table(CA, tmp_path).replace("auth: none,", "auth: none, timeout: {connect: 200ms},")
    async with (
        asyncio.timeout(10),
        running_origin() as origin,
        running_gateway(text, {"ORIGIN": origin.url.replace("http:", "https:")}) as gateway,
        connected(gateway.port) as client,
    ):
        reply = await client.request("GET", "/")
        assert (reply.status, reply.json["code"]) == (502, "upstream_connect_timeout")
        await until(lambda: not origin.open_connections)


class Reader(asyncio.Protocol):
    """Stops reading at the first data."""

    def __init__(self) -> None:
        self.got = b""
        self.has_ended = False
        self.transport: asyncio.Transport | None = None
        self.paused = threading.Event()
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.got += data
        if self.transport is not None and not self.paused.is_set():
            self.transport.pause_reading()
            self.paused.set()

    def eof_received(self) -> None:
        self.has_ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def test_what_comes_with_the_end_of_the_stream_waits_for_a_slow_reader() -> None:
    """TLS on its own goes on reading the socket, sees the end and drops what it holds back."""
    loop = asyncio.get_running_loop()
    reader = Reader()
    context = AUTHORITY.server_context(AUTHORITY.local)

    def send(listening: socket.socket) -> None:
        client, _ = listening.accept()
        with context.wrap_socket(client, server_side=True) as wrapped:
            wrapped.recv(1)
            wrapped.sendall(BIG[:1000])
            assert reader.paused.wait(5)
            wrapped.sendall(BIG[1000:200_000])
            wrapped.setblocking(False)
            try:
                wrapped.unwrap()  # the closure alert; nobody waits for the other one
            except ssl.SSLWantReadError:
                pass

    async with asyncio.timeout(10):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            sending = asyncio.create_task(asyncio.to_thread(send, listening))
            outer, _ = await loop.create_connection(lambda: reader, *listening.getsockname())
            reader.transport = transport = await secure(loop, outer, reader, AUTHORITY.client_context(), "gateway.test")
            transport.write(b"x")
            await sending
        for _ in range(100):
            await asyncio.sleep(0)
        assert (reader.got, reader.has_ended) == (BIG[:1000], False)
        transport.resume_reading()
        await reader.lost.wait()
        assert reader.got == BIG[:200_000]
        assert reader.has_ended


@pytest.mark.parametrize("framing", ["Content-Length", "chunked", "close"])
async def test_a_reply_after_which_the_upstream_closes_is_whole(framing: str, tmp_path: Path) -> None:
    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads = {"Content-Length": f"Content-Length: {len(BIG)}\r\n", "chunked": "Transfer-Encoding: chunked\r\n"}
        writer.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{heads.get(framing, '')}\r\n".encode())
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BIG), BIG) if framing == "chunked" else BIG)
        writer.close()

    async with before(AUTHORITY.server_context(AUTHORITY.local), table(CA, tmp_path), script) as r:
        assert (await r.exchange("GET", "/")).body == BIG
        assert (await r.exchange("GET", "/")).body == BIG


async def test_a_reply_without_length_counts_only_with_a_closure_alert(tmp_path: Path) -> None:
    """RFC 9112 section 9.8: anybody on the way can end the stream, but not send the alert."""
    is_cut = False

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await writer.drain()
        if is_cut:
            await go_on.wait()
            # Past TLS: an end of the stream, and nothing before it.
            with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as wire:
                wire.shutdown(socket.SHUT_WR)
        else:
            writer.close()

    go_on = asyncio.Event()
    async with before(AUTHORITY.server_context(AUTHORITY.local), table(CA, tmp_path), script) as r:
        assert (await r.exchange("GET", "/")).body == b"hello"
        is_cut = True
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await r.client.read_head()).status == 200
        go_on.set()
        assert await breaks_off(read_chunks(r))


async def read_chunks(r: Rig) -> None:
    while await r.client.read_chunk():
        pass


async def test_large_bodies_pass_both_ways_with_tls_on_both_sides(tmp_path: Path) -> None:
    async def echo(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(received.body)(received, reader, writer)

    context = AUTHORITY.server_context(AUTHORITY.local)
    async with before(context, table(CA, tmp_path), echo, tls=AUTHORITY.tls()) as r:
        for size in (len(BIG), 300_000, 1):
            assert (await r.exchange("POST", "/", body=BIG[:size])).body == BIG[:size]
        assert r.origin.connections == 1


@pytest.mark.parametrize("tls_of", ["client", "upstream", "both"])
async def test_websockets_pass_and_close_in_order(
    tls_of: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[int | None] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=2 * MIB, timeout=1.0)
        await socket.prepare(request)
        async for message in socket:
            if message.data == "bye":
                await socket.close(code=4001)
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        codes.append(socket.close_code)
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    upstream_tls = AUTHORITY.server_context(AUTHORITY.local) if tls_of != "client" else None
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=upstream_tls).start()
    origin = f"{'https' if upstream_tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    text = table(CA, tmp_path)
    if upstream_tls is None:
        text = text.replace(f", tls: {{ca: '${{file:{tmp_path}/ca.pem}}'}}", "")
    settings: Mapping[str, Any] = {"tls": AUTHORITY.tls()} if tls_of != "upstream" else {}
    try:
        async with (
            asyncio.timeout(10),
            running_gateway(text, {"ORIGIN": origin}, **settings) as gateway,
            aiohttp.ClientSession() as session,
        ):
            url = f"{'wss' if settings else 'ws'}://127.0.0.1:{gateway.port}/"
            for last in ("bye", ""):
                async with session.ws_connect(url, ssl=AUTHORITY.client_context(), max_msg_size=2 * MIB) as socket:
                    for data in (BIG[:MIB], b"", b"x"):
                        await socket.send_bytes(data)
                        assert (await socket.receive_bytes()) == data
                    if last:
                        await socket.send_str(last)
                        assert (await socket.receive()).data == 4001
                    else:
                        await socket.close(code=4002)
            await until(lambda: len(codes) == 2)
            assert codes[1] == 4002
            await until(lambda: gateway.metric("gateway_requests_in_flight") == 0)
    finally:
        await runner.cleanup()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_it_stops_reading_at_both_layers_and_ends_in_order() -> None:
    inner, outer = FakeTransport(), FakeTransport()
    transport = SecuredTransport(inner, outer)
    assert repr(transport) == "<SecuredTransport open>"
    transport.pause_reading()
    assert inner.is_paused and outer.is_paused
    transport.resume_reading()
    assert not inner.is_paused and not outer.is_paused
    transport.write(b"a")
    assert inner.written == b"a"
    transport.pause_reading()
    # The other side's closure alert has to be seen.
    transport.close()
    assert (inner.closed_by, outer.is_paused) == ("close", False)
    assert transport.can_write_eof() is False
    assert repr(transport) == "<SecuredTransport closing>"
