"""aiohttp's low-level `web.Server` in, Exchange out: complete and correct for everything.

aiohttp owns parsing, keep-alive and lingering close; this lane owns the limits, turns each message into an `Exchange`,
and writes the reply's bytes itself (`heads.py`), since aiohttp's responses cost twice as much. What aiohttp gets to see
of a client is `client_connection.py`'s affair.
"""

import asyncio
import re
import time
from collections.abc import Callable
from time import monotonic

from aiohttp import http_parser, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.explain_token import EXPLAIN_HEADER
from gateway.core.headers import Headers
from gateway.core.request_framing import HeadRules, is_host
from gateway.core.throughput import LeastThroughput
from gateway.plugin_api import Exchange, Reply
from gateway.proxy.client_connection import SENT, SENT_CLOSE, BodyRefused, ClientConnection, Sent
from gateway.proxy.error_reply import error_reply
from gateway.proxy.explained import asks_to_explain, explain_in
from gateway.proxy.heads import has_no_body, reply_head, strip_connection_options
from gateway.proxy.lane import LaneParts, body_too_slow, last_chunk, send_stream
from gateway.proxy.request_body import RequestBody
from gateway.proxy.tunnel import SwitchingReply, Tunnel

_ABSOLUTE = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE)


def has_c_parser() -> bool:
    """Whether aiohttp reads requests by llhttp. Its parser in Python takes some of what llhttp refuses, and what this
    lane reads differently from the upstream could be smuggled past the gateway.
    """
    return http_parser.HttpRequestParser is getattr(http_parser, "HttpRequestParserC", None)


class AiohttpLane:
    """Makes the protocol of each client connection. state: what all connections of the worker share."""

    def __init__(self, parts: LaneParts) -> None:
        self.parts = parts
        limits = parts.limits
        self._rules = HeadRules(
            target_max=limits.target_max,
            header_max=limits.header_max,
            header_line_max=limits.header_line_max,
            header_count_max=limits.header_count_max,
        )
        self._server = web.Server(
            self._serve,  # type: ignore[arg-type]  # what `_serve` returns has all that the server uses
            handler_cancellation=True,
            loop=parts.loop,
        )

    def __call__(self, served: int = 0) -> ClientConnection:
        """served: how many requests the connection has had already."""
        return ClientConnection(self.parts, self._rules, self._server, served)

    def close_idle(self) -> None:
        """Let no connection take a further request; those at rest are closed at once."""
        self._server.pre_shutdown()

    async def shutdown(self, timeout_s: float) -> None:
        """Give the exchanges under way `timeout_s` in all, then end what is left."""
        await self._server.shutdown(timeout_s)

    async def _serve(self, request: web.BaseRequest) -> Sent:
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
                if EXPLAIN_HEADER in exchange.headers:
                    reply = await self._handle_explained(exchange)
                else:
                    reply = await pipeline.handle(exchange)
            return await self._send(exchange, reply, message, request.content, connection)
        except (ConnectionError, asyncio.CancelledError):
            exchange.outcome = exchange.outcome or ("client_slow" if connection.is_cut_off else "client_gone")
            raise
        except Exception:
            exchange.outcome = "broken"
            raise
        finally:
            parts.state.in_flight.dec()
            if isinstance(exchange.body, RequestBody):
                exchange.bytes_in = exchange.body.bytes_read
            else:
                exchange.bytes_in = len(exchange.body) if isinstance(exchange.body, bytes) else 0
            if reply is not None and not isinstance(reply.body, bytes):
                reply.body.close()
            if isinstance(reply, SwitchingReply) and exchange.outcome in ("client_gone", "client_slow"):
                reply.abandon()
            pipeline.finish(exchange)

    async def _handle_explained(self, exchange: Exchange) -> Reply:
        pipeline = self.parts.pipeline
        snapshot = pipeline.snapshot
        is_asked = asks_to_explain(exchange, snapshot, time.time())
        reply = await pipeline.handle(exchange)
        if is_asked:
            explain_in(exchange, reply, snapshot.version)
        return reply

    def _read_head(self, exchange: Exchange, message: RawRequestMessage, connection: ClientConnection) -> None:
        """What RFC 9112 section 3 asks of a request head, beyond what the parser has seen to. Raises GatewayError."""
        headers = exchange.headers
        host = headers.get(b"host")
        authority = host.decode("latin-1") if host is not None else ""
        target = exchange.target
        if not target.startswith("/"):
            absolute = _ABSOLUTE.fullmatch(target)
            if absolute is not None:
                # RFC 9112 section 3.2.2: the target's authority rules, Host is ignored.
                authority = absolute[1]
                if not is_host(authority.encode()):
                    raise GatewayError(errors.BAD_REQUEST, "The request target's authority is not a host", close=True)
                target = absolute[2]
                exchange.target = target if target.startswith("/") else "/" + target
            elif exchange.method == "OPTIONS" and target == "*":
                raise GatewayError(errors.NOT_IMPLEMENTED, "OPTIONS * is not served", close=True)
            else:
                raise GatewayError(errors.BAD_REQUEST, "The request target must start with /", close=True)
        exchange.authority = authority.lower()
        if b"connection" in headers:
            strip_connection_options(headers)
        if any(expectation.lower() != b"100-continue" for expectation in headers.get_all(b"expect")):
            raise GatewayError(errors.EXPECTATION_FAILED, "Only 100-continue can be expected", close=True)
        if message.version >= (1, 1):
            exchange.send_interim = connection.send_interim

    async def _send(
        self,
        exchange: Exchange,
        reply: Reply,
        message: RawRequestMessage,
        payload: StreamReader,
        connection: ClientConnection,
    ) -> Sent:
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
                return SENT_CLOSE
        exchange.outcome = "complete"
        connection.answered(keep_alive=keep_alive)
        return SENT if keep_alive else SENT_CLOSE

    async def _tunnel(
        self, exchange: Exchange, reply: SwitchingReply, transport: asyncio.Transport, connection: ClientConnection
    ) -> Sent:
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
        return SENT_CLOSE


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

    timeout_s = connection.body_timeout_s
    least = connection.body_rate_min
    pace = LeastThroughput(least, monotonic()) if least is not None else None
    moved = 0

    async def read_some() -> bytes:
        nonlocal moved
        try:
            piece = payload.read_nowait()
            moved += len(piece)
            if piece or payload.is_eof():
                return piece
            if pace is not None:
                # What has passed since the last piece was not the client's time.
                pace.resume(monotonic())
            async with asyncio.timeout(timeout_s):
                piece = await payload.readany()
            moved += len(piece)
            if pace is not None and pace.is_missed(monotonic(), moved) and not payload.is_eof():
                raise body_too_slow()
            return piece
        except BodyRefused as refused:
            raise refused.error from None
        except TimeoutError:
            raise GatewayError(errors.REQUEST_TIMEOUT, "The body has stopped arriving", close=True) from None
        except (web.RequestPayloadError, ConnectionError, OSError):
            raise ConnectionResetError from None

    return RequestBody(int(length_line) if length_line is not None else None, read_some, on_first_read)
