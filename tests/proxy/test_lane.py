"""Hazard: a client that passes for somebody else, a broken body that looks whole."""

import asyncio
import socket

import pytest

from gateway.core.errors import UPSTREAM_RESET, GatewayError
from gateway.core.headers import Headers
from gateway.plugin_api import BodyStream
from gateway.proxy.lane import last_chunk, reset_on_close, send_stream
from tests.proxy.fakes import FakeTransport
from tests.support.gateway import running_gateway
from tests.support.plugins import Pieces, exchange

TRUSTING = """
version: 1
gateway: {trusted_proxies: [192.0.2.0/24]}
routes: [{id: local, match: /*, respond: {text: x}, auth: none}]
"""


class FakeClient:
    def __init__(self) -> None:
        self.transport: FakeTransport | None = FakeTransport()
        self.writing_paused = False
        self.was_reset = False
        self.drained = 0

    async def drain(self) -> None:
        self.drained += 1
        self.writing_paused = False

    def reset(self) -> None:
        self.was_reset = True


class Failing(Pieces):
    """Ends in an error instead of an end."""

    def __init__(self, error: Exception, *pieces: bytes) -> None:
        super().__init__(*pieces)
        self._error = error

    async def read(self) -> bytes:
        if not self._pieces:
            raise self._error
        return await super().read()


async def sent(body: BodyStream, client: FakeClient, *, is_chunked: bool = False) -> tuple[bool, str, str]:
    asked = exchange()
    is_whole = await send_stream(asked, body, client, is_chunked=is_chunked)  # type: ignore[arg-type]
    return is_whole, asked.outcome, asked.error_code


async def test_a_stream_is_moved_piece_by_piece() -> None:
    client = FakeClient()
    client.writing_paused = True
    assert await sent(Pieces(b"hello", b" world"), client) == (True, "", "")
    assert client.transport is not None and client.transport.written == b"hello world"
    assert client.drained == 1
    client = FakeClient()
    await sent(Pieces(b"hello", b" world"), client, is_chunked=True)
    assert client.transport is not None
    assert client.transport.written == b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("error", "code"), [(GatewayError(UPSTREAM_RESET), "upstream_reset"), (RuntimeError("x"), "internal_error")]
)
async def test_a_stream_that_breaks_off_resets_the_connection(error: Exception, code: str) -> None:
    client = FakeClient()
    assert await sent(Failing(error, b"hello"), client, is_chunked=True) == (False, "broken", code)
    assert client.was_reset
    assert client.transport is not None and client.transport.written == b"5\r\nhello\r\n"


async def test_a_client_that_has_gone_is_told_to_the_lane() -> None:
    client = FakeClient()
    client.transport = None
    with pytest.raises(ConnectionError):
        await sent(Pieces(b"hello"), client)
    with pytest.raises(ConnectionError):
        await sent(Failing(ConnectionResetError()), FakeClient())


def test_the_last_chunk_has_the_trailers_that_the_client_takes() -> None:
    trailers = Headers([(b"x-sum", b"1"), (b"x-more", b"2")])
    assert last_chunk(exchange(), trailers) == b"0\r\n\r\n"
    assert last_chunk(exchange(headers={"te": "trailers"}), None) == b"0\r\n\r\n"
    assert last_chunk(exchange(headers={"te": "trailers"}), trailers) == b"0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n"


async def test_a_reset_is_no_end_of_stream_to_the_client() -> None:
    ours, theirs = _tcp_pair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        reset_on_close(transport)
        transport.abort()
        await asyncio.sleep(0)
        theirs.settimeout(5)
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(theirs.recv, 1)


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    return ours, theirs


async def test_who_asks_is_believed_only_behind_a_trusted_proxy() -> None:
    said = {"x-forwarded-for": "203.0.113.9", "x-request-id": "chosen-by-edge"}
    async with running_gateway(TRUSTING) as gateway:
        parts = gateway.serving._fast_lane.parts
        untrusted = exchange(headers=said, peer_ip="198.51.100.1", client_ip="198.51.100.1")
        parts.identify(untrusted)
        assert untrusted.client_ip == "198.51.100.1"
        assert untrusted.request_id != "chosen-by-edge" and len(untrusted.request_id) >= 16
        trusted = exchange(headers=said, peer_ip="192.0.2.1", client_ip="192.0.2.1", is_trusted_peer=True)
        parts.identify(trusted)
        assert (trusted.client_ip, trusted.request_id) == ("203.0.113.9", "chosen-by-edge")


@pytest.mark.parametrize("given", ["short", "x" * 129, 'a"b"c"d"e', "with space s", "tab\tin-between"])
async def test_a_request_id_that_is_no_plain_word_is_replaced(given: str) -> None:
    async with running_gateway(TRUSTING) as gateway:
        asked = exchange(headers={"x-request-id": given}, peer_ip="192.0.2.1", is_trusted_peer=True)
        gateway.serving._fast_lane.parts.identify(asked)
        assert asked.request_id != given


async def test_a_refusal_is_counted_and_logged() -> None:
    async with running_gateway(TRUSTING) as gateway:
        data = gateway.serving._fast_lane.parts.refusal(GatewayError(UPSTREAM_RESET), "192.0.2.7")
        assert data.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert b"\r\nconnection: close\r\n" in data
        (line,) = await gateway.log_lines()
        assert (line["client_ip"], line["code"], line["status"]) == ("192.0.2.7", "upstream_reset", 502)
        assert gateway.metric("gateway_errors_total", code="upstream_reset") == 1
