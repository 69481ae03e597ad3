"""aiohttp's low-level `web.Server` in, Exchange out: complete and correct for everything.

aiohttp owns parsing, pipelining, keep-alive and lingering close; this lane owns the limits, turns each message into an
`Exchange`, and writes the reply's bytes itself (`heads.py`), since aiohttp's responses cost twice as much.
"""

import asyncio
import re
from collections.abc import Callable
from itertools import chain
from time import monotonic
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers
from gateway.plugin_api import Exchange, Reply
from gateway.proxy.error_reply import error_reply
from gateway.proxy.heads import has_no_body, interim_head, reply_head, strip_connection_options
from gateway.proxy.lane import LaneParts, last_chunk, overloaded, reset_on_close, send_stream
from gateway.proxy.request_body import RequestBody
from gateway.proxy.tunnel import SwitchingReply, Tunnel

_HOST = re.compile(r"[A-Za-z0-9._~-]+(?::\d{0,5})?|\[[0-9A-Fa-f:.]+\](?::\d{0,5})?")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
_LINGER_S = 5.0


class AiohttpLane:
    """Makes the protocol of each client connection. state: what all connections of the worker share."""

    def __init__(self, parts: LaneParts) -> None:
        self.parts = parts
        self._server = web.Server(
            self._serve,  # type: ignore[arg-type]  # what `_serve` returns has all that the server uses
            handler_cancellation=True,
            loop=parts.loop,
        )

    def __call__(self) -> "ClientConnection":
        return ClientConnection(self, self._server)

    def close_idle(self) -> None:
        """Let no connection take a further request; those at rest are closed at once."""
        self._server.pre_shutdown()

    async def shutdown(self, timeout_s: float) -> None:
        """Give the exchanges under way `timeout_s` in all, then end what is left."""
        await self._server.shutdown(timeout_s)

    async def _serve(self, request: web.BaseRequest) -> "_Sent":
        connection = request.protocol
        assert isinstance(connection, ClientConnection)
        message: RawRequestMessage = request._message
        parts = self.parts
        exchange = Exchange(
            method=message.method,
            target=message.path,
            headers=Headers([(name.lower(), value) for name, value in message.raw_headers]),
            scheme=connection.scheme,
            peer_ip=connection.peer_ip,
            client_ip=connection.peer_ip,
            is_trusted_peer=connection.is_trusted,
            started_s=monotonic(),
        )
        parts.identify(exchange)
        parts.state.in_flight.inc()
        pipeline = parts.pipeline
        reply: Reply | None = None
        try:
            try:
                self._read_head(exchange, message, connection)
                exchange.body = _body(exchange, request.content, connection)
            except GatewayError as error:
                reply = exchange.reply = error_reply(error, exchange)
            else:
                reply = await pipeline.handle(exchange)
            return await self._send(exchange, reply, message, request.content, connection)
        except (ConnectionError, asyncio.CancelledError):
            exchange.outcome = exchange.outcome or "client_gone"
            raise
        finally:
            parts.state.in_flight.dec()
            if isinstance(exchange.body, RequestBody):
                exchange.bytes_in = exchange.body.bytes_read
            else:
                exchange.bytes_in = len(exchange.body) if isinstance(exchange.body, bytes) else 0
            if reply is not None and not isinstance(reply.body, bytes):
                reply.body.close()
            if isinstance(reply, SwitchingReply) and exchange.outcome == "client_gone":
                reply.abandon()
            pipeline.finish(exchange)

    def _read_head(self, exchange: Exchange, message: RawRequestMessage, connection: "ClientConnection") -> None:
        """What RFC 9112 section 3 asks of a request head, beyond what the parser has seen to. Raises GatewayError."""
        headers = exchange.headers
        if sum(map(len, chain.from_iterable(headers.lines))) > self.parts.limits.header_max:
            raise GatewayError(
                errors.HEADERS_TOO_LARGE, f"All headers may have {self.parts.limits.header_max} bytes", close=True
            )
        host = headers.get(b"host")
        authority = host.decode("latin-1") if host is not None else ""
        target = exchange.target
        if not target.startswith("/"):
            absolute = _ABSOLUTE.fullmatch(target)
            if absolute is not None:
                # RFC 9112 section 3.2.2: the target's authority rules, Host is ignored.
                authority = absolute[1]
                target = absolute[2]
                exchange.target = target if target.startswith("/") else "/" + target
            elif exchange.method == "OPTIONS" and target == "*":
                raise GatewayError(errors.NOT_IMPLEMENTED, "OPTIONS * is not served", close=True)
            elif exchange.method == "CONNECT":
                raise GatewayError(
                    errors.NOT_IMPLEMENTED, "This is no forward proxy: CONNECT is not served", close=True
                )
            else:
                raise GatewayError(errors.BAD_REQUEST, "The request target must start with /", close=True)
        if (host is None and message.version >= (1, 1)) or (authority and _HOST.fullmatch(authority) is None):
            raise GatewayError(errors.BAD_REQUEST, "Exactly one valid Host is needed", close=True)
        if b"host" in headers and len(headers.get_all(b"host")) > 1:
            raise GatewayError(errors.BAD_REQUEST, "Exactly one valid Host is needed", close=True)
        exchange.authority = authority.lower()
        if b"connection" in headers:
            strip_connection_options(headers)
        expectation = headers.get(b"expect")
        if expectation is not None and expectation.lower() != b"100-continue":
            raise GatewayError(errors.EXPECTATION_FAILED, "Only 100-continue can be expected", close=True)
        if message.version >= (1, 1):
            exchange.send_interim = connection.send_interim

    async def _send(
        self,
        exchange: Exchange,
        reply: Reply,
        message: RawRequestMessage,
        payload: StreamReader,
        connection: "ClientConnection",
    ) -> "_Sent":
        transport = connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        if isinstance(reply, SwitchingReply):
            return await self._tunnel(exchange, reply, transport, connection)
        is_http10 = message.version < (1, 1)
        body = reply.body
        # A body that the client has not sent whole would be read as the next request, or for ever.
        keep_alive = not message.should_close and not reply.close and not connection.is_ending and payload.is_eof()
        is_bodiless = has_no_body(reply.status, exchange.method)
        if is_http10 and not is_bodiless and not isinstance(body, bytes) and body.length is None:
            keep_alive = False
        head, is_chunked = reply_head(reply, exchange, now_s=monotonic(), is_http10=is_http10, keep_alive=keep_alive)
        if is_bodiless:
            transport.write(head)
        elif isinstance(body, bytes):
            exchange.bytes_out = len(body)
            if is_chunked:
                chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
                body = chunk + last_chunk(exchange, reply.trailers)
            transport.write(head + body)
            if connection.writing_paused:
                await connection.drain()
        else:
            transport.write(head)
            if not await send_stream(exchange, body, connection, is_chunked=is_chunked):
                return _SENT_CLOSE
        exchange.outcome = "complete"
        return _SENT if keep_alive else _SENT_CLOSE

    async def _tunnel(
        self, exchange: Exchange, reply: SwitchingReply, transport: asyncio.Transport, connection: "ClientConnection"
    ) -> "_Sent":
        head, _ = reply_head(reply, exchange, now_s=monotonic(), is_http10=False, keep_alive=True)
        transport.write(head)
        tunnel = Tunnel(self.parts.loop, transport, connection.connection_lost, reply)
        self.parts.state.tunnels.add(tunnel)
        exchange.outcome = "complete"
        try:
            tunnel.feed(connection.take_tail(), reply.tail)
            transport.resume_reading()
            await tunnel.done
        finally:
            self.parts.state.tunnels.discard(tunnel)
            tunnel.close()
            exchange.bytes_out = tunnel.bytes_out
        return _SENT_CLOSE


class ClientConnection(RequestHandler):
    """aiohttp's protocol, with the gateway's limits and errors."""

    __slots__ = ("_head_timer", "_is_refused", "_parts", "is_trusted", "peer_ip", "scheme")

    def __init__(self, lane: AiohttpLane, server: web.Server) -> None:
        parts = self._parts = lane.parts
        limits = parts.limits
        super().__init__(
            server,
            loop=parts.loop,
            keepalive_timeout=limits.idle_timeout_s,
            access_log=None,  # type: ignore[arg-type]  # the gateway writes its own
            max_line_size=limits.target_max,
            max_field_size=limits.header_max,
            max_headers=limits.header_count_max,
            lingering_time=_LINGER_S,
            auto_decompress=False,
        )
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_refused = False
        self.peer_ip = ""
        self.is_trusted = False
        self.scheme = "http"

    @property
    def is_ending(self) -> bool:
        """Whether the connection takes no further request."""
        return self._close or self._force_close

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        parts = self._parts
        connections = parts.state.connections
        connections.inc()
        if connections.value > parts.limits.max_connections:
            self._is_refused = True
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(parts.refusal(overloaded(), ""))
            transport.close()
            return
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.peer_ip = peer[0] if isinstance(peer, tuple) else ""
        self.is_trusted = parts.trusted.is_trusted(self.peer_ip)
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = "https"
        self._head_timer = parts.loop.call_later(parts.limits.header_timeout_s, self._on_head_timeout)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        super().data_received(data)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            # A head has begun to arrive: slowness has a limit of its own, shorter than that of an idle connection.
            if self._head_timer is None:
                self._head_timer = self._parts.loop.call_later(
                    self._parts.limits.header_timeout_s, self._on_head_timeout
                )
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def connection_lost(self, exc: BaseException | None) -> None:
        self._parts.state.connections.dec()
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if not self._is_refused:
            super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Any:
        """What the parser refused: a problem+json like any other, and the connection ends."""
        if self.transport is not None:
            self.transport.write(self._parts.refusal(_parser_error(exc), self.peer_ip))
        return _SENT_CLOSE

    def send_interim(self, status: int, lines: Headers) -> None:
        """Pass a 1xx reply on."""
        if self.transport is not None:
            self.transport.write(interim_head(status, lines))

    def send_continue(self) -> None:
        """The client may send the body that it holds back (RFC 9110 section 10.1.1)."""
        self.send_interim(100, Headers())

    async def drain(self) -> None:
        """Wait while the client takes no more."""
        await self._drain_helper()

    def take_tail(self) -> bytes:
        """What the client has said already in the protocol that it asked for."""
        tail, self._message_tail = self._message_tail, b""
        return tail

    def reset(self) -> None:
        """Break the connection off so that no client can take the reply for whole, not even one without a length."""
        if self.transport is not None:
            reset_on_close(self.transport)
            self.transport.abort()

    def _on_head_timeout(self) -> None:
        self._head_timer = None
        waiter = self._waiter
        if self.transport is not None and waiter is not None and not waiter.done():
            self.transport.write(self._parts.refusal(GatewayError(errors.REQUEST_TIMEOUT), self.peer_ip))
            self.force_close()


def _parser_error(exc: BaseException | None) -> GatewayError:
    if isinstance(exc, LineTooLong):
        return GatewayError(errors.HEADERS_TOO_LARGE, "A line of the request head is too long", close=True)
    return GatewayError(errors.BAD_REQUEST, close=True)


def _body(exchange: Exchange, payload: StreamReader, connection: ClientConnection) -> bytes | RequestBody:
    """The request body: as bytes where it is all here, else as a stream."""
    if payload is EMPTY_PAYLOAD:
        return b""
    if payload.is_eof():
        return payload.read_nowait()
    headers = exchange.headers
    length_line = headers.get(b"content-length")
    on_first_read: Callable[[], None] | None = None
    if b"expect" in headers and exchange.send_interim is not None:
        on_first_read = connection.send_continue

    async def read_some() -> bytes:
        try:
            return await payload.readany()
        except (web.RequestPayloadError, ConnectionError, OSError):
            raise ConnectionResetError from None

    return RequestBody(int(length_line) if length_line is not None else None, read_some, on_first_read)


class _Sent:
    """Tells aiohttp that the reply has been written, and whether the connection may go on."""

    __slots__ = ("keep_alive",)

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Nothing is left to do."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to do."""


_SENT = _Sent(keep_alive=True)
_SENT_CLOSE = _Sent(keep_alive=False)
