"""Hazard: TLS that shows the wrong certificate, lets a client in that shows none, hangs on one that says nothing, or
loses what the lanes promise: whole bodies, resets that cannot be taken for an end, the scheme.
"""

import asyncio
import hashlib
import logging
import os
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.config.settings import TlsSettings
from tests.support.certificates import Authority
from tests.support.client import RawClient, breaks_off, connected
from tests.support.gateway import TABLE, RunningGateway, running_gateway, until
from tests.support.origin import Origin, Received, answer, raw, running_origin

pytestmark = pytest.mark.usefixtures("each_lane")
AUTHORITY = Authority()
MIB = 1 << 20
BIG = os.urandom(4 * MIB)


@asynccontextmanager
async def served(
    tls: TlsSettings | None = None, table: str = TABLE, script: object = None
) -> AsyncIterator[tuple[RunningGateway, Origin]]:
    async with (
        asyncio.timeout(10),
        running_origin(script) as origin,  # type: ignore[arg-type]
        running_gateway(table, {"ORIGIN": origin.url}, tls=tls or AUTHORITY.tls()) as gateway,
    ):
        yield gateway, origin


def shown(client: RawClient) -> list[str]:
    """The DNS names of the certificate that the client was shown."""
    return [value for kind, value in client.writer.get_extra_info("peercert")["subjectAltName"] if kind == "DNS"]


async def test_an_exchange_over_tls_says_https_to_the_upstream_on_a_kept_connection() -> None:
    async with served() as (gateway, origin), connected(gateway.port, AUTHORITY.client_context()) as client:
        for _ in range(3):
            reply = await client.request("GET", "/a")
            assert (reply.status, reply.body) == (200, b"hello")
            assert origin.last.get("x-forwarded-proto") == "https"
        assert client.writer.get_extra_info("cipher")[1] == "TLSv1.3"
        assert gateway.metric("gateway_connections") == 1
        assert gateway.metric("gateway_tls_handshakes_total", outcome="done") == 1


async def test_the_certificate_is_the_one_of_the_name_that_is_asked_for() -> None:
    other, wild = AUTHORITY.issue("shop.test"), AUTHORITY.issue("*.wild.test", "wild.test")
    context = AUTHORITY.client_context()
    context.check_hostname = False
    async with served(AUTHORITY.tls(other, wild)) as (gateway, _):
        for name, expected in {
            "shop.test": ["shop.test"],
            "SHOP.test": ["shop.test"],
            "a.wild.test": ["*.wild.test", "wild.test"],
            "wild.test": ["*.wild.test", "wild.test"],
            "a.b.wild.test": ["gateway.test"],
            "gateway.test": ["gateway.test"],
            "127.0.0.1": ["gateway.test"],
        }.items():
            async with connected(gateway.port, context, name) as client:
                assert shown(client) == expected, name
                assert (await client.request("GET", "/")).status == 200


async def test_http_1_1_is_agreed_on_by_alpn() -> None:
    context = AUTHORITY.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with served() as (gateway, _), connected(gateway.port, context) as client:
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


async def test_new_certificates_are_for_new_connections_and_old_ones_go_on() -> None:
    context = AUTHORITY.client_context()
    async with served() as (gateway, _), connected(gateway.port, context) as old:
        assert (await old.request("GET", "/")).status == 200
        renewed = Authority("Another Authority")
        gateway.serving.renew_certificates(renewed.tls())
        assert (await old.request("GET", "/")).status == 200
        async with connected(gateway.port, renewed.client_context()) as new:
            assert (await new.request("GET", "/")).status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            async with connected(gateway.port, context):
                pass
        assert (await old.request("GET", "/")).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("auth", ["none", "optional", "required"])
async def test_certificates_of_clients_are_asked_for_and_checked(auth: str, version: ssl.TLSVersion) -> None:
    stranger = Authority("Stranger").issue("client")
    own = AUTHORITY.issue("client")
    accepted = {"none": {None, own, stranger}, "optional": {None, own}, "required": {own}}[auth]
    async with served(AUTHORITY.tls(client_auth=auth)) as (gateway, origin):
        for certificate in (None, own, stranger):
            context = AUTHORITY.client_context(certificate)
            context.maximum_version = version
            is_served = True
            try:
                async with connected(gateway.port, context) as client:
                    assert (await client.request("GET", "/")).status == 200
            except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
                is_served = False
            assert is_served == (certificate in accepted)
        assert len(origin.requests) == len(accepted)
        failed = gateway.metric("gateway_tls_handshakes_total", outcome="failed")
        assert failed == 3 - len(accepted)


async def test_tls_1_1_and_weak_ciphers_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as (gateway, _):
        for version, ciphers in (
            (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
            (ssl.TLSVersion.TLSv1_2, "AES128-SHA256"),
            (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256"),
        ):
            context = AUTHORITY.client_context()
            context.set_ciphers(ciphers)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = context.maximum_version = version
            with pytest.raises((ssl.SSLError, ConnectionError)):
                async with connected(gateway.port, context):
                    pass
        await until(lambda: gateway.metric("gateway_tls_handshakes_total", outcome="failed") == 3)
    assert caplog.records == []


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x00" * 70_000, b"\x80"]
)
async def test_what_is_no_tls_is_closed_and_counted_and_nothing_is_logged(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as (gateway, origin), connected(gateway.port) as client:
        client.send(data)
        if data == b"\x80":
            client.writer.write_eof()
        reply = await client.reader.read() if len(data) < 70_000 else b""
        assert not reply.startswith(b"HTTP")
        await until(lambda: gateway.metric("gateway_tls_handshakes_total", outcome="failed") == 1)
        assert gateway.metric("gateway_connections") == 0
        assert origin.requests == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("trickle", [False, True])
async def test_a_handshake_that_is_not_finished_in_time_is_closed(
    trickle: bool, caplog: pytest.LogCaptureFixture
) -> None:
    table = TABLE.replace("version: 1", "version: 1\ngateway: {limits: {header_timeout: 200ms}}")
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        AUTHORITY.client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="gateway.test").do_handshake()
    hello = outgoing.read()
    async with served(table=table) as (gateway, _), connected(gateway.port) as client:
        closed = asyncio.create_task(client.is_closed())
        for byte in hello if trickle else b"":
            client.send(bytes([byte]))
            done, _ = await asyncio.wait([closed], timeout=0.005)
            if done:
                break
        assert await closed
        assert gateway.metric("gateway_tls_handshakes_total", outcome="timeout") == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_handshakes_under_way_are_bounded_and_served_clients_are_not_in_the_way() -> None:
    table = TABLE.replace("version: 1", "version: 1\ngateway: {limits: {max_connections: 2}}")
    async with served(table=table) as (gateway, _):
        async with connected(gateway.port), connected(gateway.port), connected(gateway.port) as third:
            assert await third.is_closed()
            assert gateway.metric("gateway_tls_handshakes_total", outcome="refused") == 1
        await until(lambda: gateway.metric("gateway_tls_handshakes_total", outcome="failed") == 2)
        context = AUTHORITY.client_context()
        async with connected(gateway.port, context) as one, connected(gateway.port, context) as two:
            assert [(await client.request("GET", "/")).status for client in (one, two)] == [200, 200]
            async with connected(gateway.port, context) as third:
                assert (await third.read_reply()).status == 503


async def test_large_bodies_are_whole_both_ways() -> None:
    async def echo(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(received.body)(received, reader, writer)

    async with served(script=echo) as (gateway, _), connected(gateway.port, AUTHORITY.client_context()) as client:
        for size in (4 * MIB, 64 * 1024, 64 * 1024 + 1, 1):
            reply = await client.request("POST", "/", body=BIG[:size])
            assert hashlib.sha256(reply.body).digest() == hashlib.sha256(BIG[:size]).digest()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for begin in range(0, MIB, 10_000):
            piece = BIG[begin : min(begin + 10_000, MIB)]
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")
        assert (await client.read_reply()).body == BIG[:MIB]
        assert (await client.request("GET", "/")).status == 200


async def test_a_slow_reader_of_a_closed_connection_still_gets_all_of_it() -> None:
    async with (
        served(script=answer(BIG, close=True)) as (gateway, _),
        connected(gateway.port, AUTHORITY.client_context()) as client,
    ):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        head = await client.read_head()
        assert head.get("Connection") == "close"
        assert await client.reader.readexactly(len(BIG)) == BIG
        assert await client.is_closed()


async def test_a_body_without_length_that_breaks_off_never_ends_in_order() -> None:
    """No closure alert follows (RFC 9112 section 9.8), nor an end of the stream that could be taken for one."""

    async def break_off(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await writer.drain()
        writer.transport.abort()

    async with served(script=break_off) as (gateway, _):
        for version in ("1.1", "1.0"):
            async with connected(gateway.port, AUTHORITY.client_context()) as client:
                assert await breaks_off(client.request("GET", "/", version=version))

    chunked = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", close=True)
    async with (
        served(script=chunked) as (gateway, _),
        connected(gateway.port, AUTHORITY.client_context()) as client,
    ):
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        assert (await client.read_head()).get("Content-Length") is None
        with pytest.raises(ConnectionResetError):
            await client.reader.read()


async def test_a_body_without_length_that_is_whole_ends_with_a_closure_alert() -> None:
    chunked = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    async with served(script=chunked) as (gateway, _):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = AUTHORITY.client_context().wrap_bio(incoming, outgoing, server_hostname="gateway.test")
        async with connected(gateway.port) as wire:
            # By hand, for asyncio's streams do not tell a closure alert from an end of the stream.
            while True:
                try:
                    session.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    wire.send(outgoing.read())
                    incoming.write(await wire.reader.read(65536))
            session.write(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            wire.send(outgoing.read())
            got = b""
            while True:
                try:
                    piece = session.read(65536)
                except ssl.SSLWantReadError:
                    data = await wire.reader.read(65536)
                    assert data, "the stream ended without a closure alert"
                    incoming.write(data)
                    continue
                except ssl.SSLZeroReturnError:
                    piece = b""
                if not piece:
                    break
                got += piece
            assert got.endswith(b"\r\n\r\nhello")


async def test_a_drain_does_not_wait_for_the_farewell_of_clients_at_rest() -> None:
    async with served() as (gateway, _), connected(gateway.port) as wire:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = AUTHORITY.client_context().wrap_bio(incoming, outgoing, server_hostname="gateway.test")
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                wire.send(outgoing.read())
                incoming.write(await wire.reader.read(65536))
        wire.send(outgoing.read())
        async with connected(gateway.port):
            await until(lambda: gateway.metric("gateway_connections") == 1)
            # Neither the one that has been let in nor the one amid its handshake says anything more.
            async with asyncio.timeout(5):
                await gateway.drain(60)
