"""The hot subset at protocol level; anything else is handed to the aiohttp lane on the same connection.

Theory of operation. A connection serves one exchange at a time, and where nothing has to be waited for it does so
without a task: `data_received` parses the head (`core/plain_head.py`), runs the hooks and writes to a pooled upstream
connection; that connection's `data_received` calls back here with the reply, which is written to the client. Whatever
needs waiting (a hook, a new connection, a repeat, a body that streams) goes on in one task, with the same pipeline.

    READING --whole plain request--> SERVING --reply written--> READING
    READING --anything else--> handed over: the other lane's protocol gets the transport and the bytes so far

Handing over happens between exchanges only and is final. Bodies up to `BODY_INLINE_MAX` are taken here, once they are
all there; larger ones stream, and are not plain.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Final

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers
from gateway.core.plain_head import PlainHead, parse_plain_head
from gateway.core.throughput import LeastThroughput
from gateway.plugin_api import Exchange, Later, Reply
from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.error_reply import error_reply
from gateway.proxy.heads import has_no_body, interim_head, reply_head
from gateway.proxy.lane import BODY_INLINE_MAX, LaneParts, body_too_slow, overloaded, reset_on_close, send_stream
from gateway.proxy.open_connections import OpenConnections
from gateway.proxy.pipeline import Pending
from gateway.proxy.transformed_body import INLINE_MAX
from gateway.proxy.tunnel import SwitchingReply
from gateway.proxy.whole_reply import whole_reply

_log = logging.getLogger("gateway")

_PIPELINED_MAX: Final = 64 * 1024
_SWEEP_S: Final = 1.0


class FastLane:
    """Makes the protocol of each client connection.

    hand_over: makes the complete lane's protocol for a connection that has had so many requests.
    """

    def __init__(self, parts: LaneParts, hand_over: Callable[[int], asyncio.Protocol]) -> None:
        self.parts = parts
        self.hand_over = hand_over
        sweep_s = min(_SWEEP_S, parts.limits.header_timeout_s / 4, parts.limits.idle_timeout_s / 4)
        self.open = OpenConnections(parts.loop, sweep_s)
        # A head up to this size can pass neither the limit of all headers nor that of one; longer ones are handed over.
        self.plain_head_max = min(parts.limits.header_max, parts.limits.header_line_max)

    def __call__(self) -> "FastConnection":
        return FastConnection(self)

    def close_idle(self) -> None:
        """Let no connection take a further request; those at rest are closed at once."""
        self.open.close_idle()

    async def shutdown(self, timeout_s: float) -> None:
        """Give the exchanges under way `timeout_s` in all, then end what is left."""
        await self.open.shutdown(timeout_s)


class FastConnection(asyncio.Protocol):
    """See the module's theory of operation."""

    __slots__ = (
        "_buffer",
        "_drain_waiter",
        "_exchange",
        "_is_closing",
        "_is_reading_paused",
        "_keep_alive",
        "_lane",
        "_needed",
        "_pace",
        "_served",
        "_since_s",
        "_task",
        "_upstream",
        "is_trusted",
        "peer_ip",
        "scheme",
        "transport",
        "writing_paused",
    )

    def __init__(self, lane: FastLane) -> None:
        self._lane = lane
        self.transport: asyncio.Transport | None = None
        self._buffer = b""
        # How many bytes the buffer has to hold before it is worth looking at again.
        self._needed = 0
        # Of a body that is waited for.
        self._pace: LeastThroughput | None = None
        self._served = 0
        self._exchange: Exchange | None = None
        self._keep_alive = True
        self._is_closing = False
        self._is_reading_paused = False
        self._task: asyncio.Task[None] | None = None
        self._upstream: UpstreamConnection | None = None
        self._drain_waiter: asyncio.Future[None] | None = None
        self._since_s = 0.0
        self.writing_paused = False
        self.peer_ip = ""
        self.is_trusted = False
        self.scheme = "http"

    # -- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a Transport on every loop there is
        lane = self._lane
        parts = lane.parts
        connections = parts.state.connections
        connections.inc()
        lane.open.add(self)
        if connections.value > parts.limits.max_connections:
            self._refuse(overloaded())
            return
        peer = transport.get_extra_info("peername")
        self.peer_ip = peer[0] if isinstance(peer, tuple) else ""
        self.is_trusted = parts.trusted.is_trusted(self.peer_ip)
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = "https"
        self._since_s = monotonic()

    def data_received(self, data: bytes) -> None:
        if self._is_closing and self._exchange is None:
            return
        if self._buffer:
            data = self._buffer + data
        if self._exchange is not None or len(data) < self._needed or self.writing_paused:
            self._buffer = data
            if self._needed:
                # Amid a body silence counts, and how much comes, not how long it takes in all.
                self._since_s = monotonic()
                if self._pace is not None and self._pace.is_missed(self._since_s, len(data)):
                    self._refuse(body_too_slow())
                    return
            is_held = self._exchange is not None or self.writing_paused
            if is_held and len(data) > _PIPELINED_MAX and not self._is_reading_paused:
                assert self.transport is not None
                self._is_reading_paused = True
                self.transport.pause_reading()
            return
        self._read(data)

    def pause_writing(self) -> None:
        self.writing_paused = True
        self._lane.parts.slow_readers.add(self)

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)
        if self._exchange is None and self._buffer:
            self._resume_reading()
            self._read_on()

    def connection_lost(self, exc: Exception | None) -> None:
        lane = self._lane
        self.transport = None
        lane.parts.state.connections.dec()
        lane.parts.slow_readers.discard(self)
        lane.open.discard(self)
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_exception(ConnectionResetError())
        if self._task is not None:
            self._task.cancel()
        elif self._exchange is not None:
            upstream, self._upstream = self._upstream, None
            if upstream is not None:
                upstream.close()
                self._exchange.forwarder.abandon(self._exchange)
            self._finish(self._exchange, "client_gone")

    # -- for the lane -----------------------------------------------------------------------------------------------

    def close_when_done(self) -> None:
        """Take no further request."""
        self._is_closing = True
        if self._exchange is None:
            self._close()
            self._lane.open.discard(self)  # TLS may wait for the client's closure alert, a drain need not

    def abort(self) -> None:
        """End the connection whatever it does."""
        self._is_closing = True
        if self.transport is not None:
            self.transport.abort()

    def cut_off(self, transport: asyncio.Transport) -> None:
        """Its client reads too slowly: break the connection off."""
        if self._exchange is not None:
            self._exchange.outcome = "client_slow"
        self._is_closing = True
        reset_on_close(transport)
        transport.abort()

    def close_if_late(self, now_s: float) -> None:
        """Close a connection that has waited too long for its next request, or for the rest of one."""
        if self._exchange is not None or self._is_closing or self.writing_paused:
            return
        limits = self._lane.parts.limits
        if self._buffer or self._since_s == 0.0:
            if now_s - self._since_s >= limits.header_timeout_s:
                self._refuse(GatewayError(errors.REQUEST_TIMEOUT))
        elif now_s - self._since_s >= limits.idle_timeout_s:
            self.close_when_done()

    # -- reading ----------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        """Serve the request at the front of the bytes, wait for the rest of it, or hand everything over."""
        parts = self._lane.parts
        end = data.find(b"\r\n\r\n")
        if end < 0 or end > self._lane.plain_head_max:
            if end < 0 and len(data) <= self._lane.plain_head_max:
                self._wait_for(data, 0)
            else:
                self._hand_over(data)
            return
        head = parse_plain_head(data[:end])
        limits = parts.limits
        if (
            head is None
            or head.length > BODY_INLINE_MAX
            or len(head.headers) > limits.header_count_max
            or len(head.target) > limits.target_max
        ):
            self._hand_over(data)
            return
        body_start = end + 4
        body_end = body_start + head.length
        if len(data) < body_end:
            self._wait_for(data, body_end)
            return
        self._buffer = data[body_end:]
        self._needed = 0
        self._serve(head, data[body_start:body_end])

    def _wait_for(self, data: bytes, needed: int) -> None:
        if needed or not self._buffer:
            self._since_s = monotonic()
            least = self._lane.parts.limits.body_rate_min
            self._pace = None if least is None or not needed else LeastThroughput(least, self._since_s, len(data))
        self._buffer = data
        self._needed = needed

    def _read_on(self) -> None:
        """Look at what came while an exchange was served."""
        data = self._buffer
        if self.writing_paused:
            # Its client reads no replies, so it gets no more of them; `resume_writing` goes on.
            return
        if self._exchange is None and data and len(data) >= self._needed and not self._is_closing:
            self._buffer = b""
            self._read(data)

    def _resume_reading(self) -> None:
        if self._is_reading_paused and self.transport is not None:
            self._is_reading_paused = False
            self.transport.resume_reading()

    def _hand_over(self, data: bytes) -> None:
        transport = self.transport
        assert transport is not None
        lane = self._lane
        self.transport = None
        lane.parts.state.connections.dec()
        lane.parts.slow_readers.discard(self)
        lane.open.discard(self)
        protocol = lane.hand_over(self._served)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)

    # -- serving ----------------------------------------------------------------------------------------------------

    def _serve(self, head: PlainHead, body: bytes) -> None:
        parts = self._lane.parts
        exchange = Exchange(
            method=head.method,
            target=head.target,
            headers=head.headers,
            body=body,
            scheme=self.scheme,
            authority=head.authority,
            peer_ip=self.peer_ip,
            client_ip=self.peer_ip,
            is_trusted_peer=self.is_trusted,
            started_s=monotonic(),
        )
        exchange.bytes_in = head.length
        exchange.send_interim = self.send_interim
        self._exchange = exchange
        self._served += 1
        self._keep_alive = head.keep_alive and self._served < parts.limits.max_requests
        parts.identify(exchange)
        parts.state.in_flight.inc()
        try:
            self._proceed(exchange, parts.pipeline.enter(exchange))
        except Exception as error:
            self._break_off(exchange, error)

    def _proceed(self, exchange: Exchange, pending: Pending) -> None:
        """Do what the request hooks have left to do, without a task if nothing else is to be waited for."""
        if pending is None:
            forwarder = exchange.forwarder
            if forwarder is not None:
                self._upstream = forwarder.start(exchange, self._on_outcome)
                if self._upstream is not None:
                    return
        elif isinstance(pending, Reply):
            self._answer(exchange, pending)
            return
        elif isinstance(pending, Later):
            pending.future.add_done_callback(partial(self._on_waited, exchange, pending))
            return
        self._start_task(exchange, partial(self._lane.parts.pipeline.handle, exchange, pending, is_entered=True))

    def _on_waited(self, exchange: Exchange, later: Later, _: "asyncio.Future[object]") -> None:
        """What a hook waited for is done; the client may have gone meanwhile."""
        if self._exchange is not exchange:
            return
        try:
            self._proceed(exchange, self._lane.parts.pipeline.resume(exchange, later))
        except Exception as error:
            self._break_off(exchange, error)

    def _on_outcome(self, outcome: Reply | GatewayError) -> None:
        """From the upstream's connection: how the first attempt ended."""
        self._upstream = None
        exchange = self._exchange
        assert exchange is not None
        try:
            if not exchange.forwarder.judge(exchange, outcome):
                self._start_task(exchange, partial(self._lane.parts.pipeline.handle, exchange, None, is_entered=True))
            elif isinstance(outcome, Reply):
                self._answer(exchange, outcome)
            else:
                self._answer(exchange, error_reply(outcome, exchange))
        except Exception as error:
            self._break_off(exchange, error)

    def _answer(self, exchange: Exchange, reply: Reply) -> None:
        """The reply is here: send it now if all of it can be, else in a task."""
        transforms = self._lane.parts.pipeline.leave(exchange, reply)
        reply = exchange.reply or reply
        body = reply.body
        if not isinstance(body, bytes) or (transforms and len(body) > INLINE_MAX):
            self._start_task(exchange, partial(self._lane.parts.pipeline.transform, exchange, transforms))
            return
        if transforms:
            reply = self._lane.parts.pipeline.transform_now(exchange, transforms)
        self._send_whole(exchange, reply)

    def _start_task(self, exchange: Exchange, make_reply: Callable[[], Awaitable[Reply]]) -> None:
        self._task = self._lane.parts.loop.create_task(self._send_later(exchange, make_reply))
        self._task.add_done_callback(partial(self._on_task_done, exchange))

    def _on_task_done(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        """Whatever became of the task (one that is cancelled before its first step runs no line), the exchange ends."""
        error = None if task.cancelled() else task.exception()
        if error is not None or self._exchange is exchange:
            self._break_off(exchange, error)

    def _break_off(self, exchange: Exchange, error: BaseException | None) -> None:
        """End an exchange whose client has gone, or that failed by a fault of ours: what has left is not known then."""
        if error is not None:
            _log.error("an exchange failed", exc_info=error, extra={"request_id": exchange.request_id})
        if exchange.forwarder is not None:
            exchange.forwarder.abandon(exchange)
        reply = exchange.reply
        if reply is not None and not isinstance(reply.body, bytes):
            reply.body.close()
        if self._exchange is exchange:
            self._finish(exchange, "client_gone" if error is None else "broken")
        self.reset()

    def _send_whole(self, exchange: Exchange, reply: Reply) -> None:
        transport = self.transport
        body = reply.body
        assert isinstance(body, bytes)
        if transport is None:
            return
        keep_alive = self._keep_alive and not reply.close and not self._is_closing
        data = whole_reply(reply, exchange, body, now_s=monotonic(), keep_alive=keep_alive)
        self._lane.parts.outbox.put(transport, data)
        self._end(exchange, keep_alive=keep_alive)

    def _end(self, exchange: Exchange, *, keep_alive: bool) -> None:
        self._finish(exchange, "complete")
        self._since_s = monotonic()
        transport = self.transport
        if transport is None:
            return
        if not keep_alive or self._is_closing:
            self._close()
            return
        self._resume_reading()
        if self._buffer:
            # Not from here: a long pipeline would nest as deep as it is long.
            self._lane.parts.loop.call_soon(self._read_on)

    def _finish(self, exchange: Exchange, outcome: str) -> None:
        self._exchange = None
        self._task = None
        exchange.outcome = exchange.outcome or outcome
        parts = self._lane.parts
        parts.state.in_flight.dec()
        parts.pipeline.finish(exchange)

    # -- what has to wait: one task an exchange ---------------------------------------------------------------------

    async def _send_later(self, exchange: Exchange, make_reply: Callable[[], Awaitable[Reply]]) -> None:
        try:
            reply = await make_reply()
        except asyncio.CancelledError:
            self._finish(exchange, "client_gone")
            raise
        await self._send(exchange, reply)

    async def _send(self, exchange: Exchange, reply: Reply) -> None:
        body = reply.body
        if isinstance(body, bytes):
            self._send_whole(exchange, reply)
            return
        assert not isinstance(reply, SwitchingReply), "an upgrade is not plain"
        keep_alive = self._keep_alive and not reply.close and not self._is_closing
        is_whole = False
        try:
            transport = self.transport
            if transport is None:
                raise ConnectionResetError
            head, is_chunked = reply_head(reply, exchange, now_s=monotonic(), is_http10=False, keep_alive=keep_alive)
            self._lane.parts.outbox.flush()
            transport.write(head)
            if not has_no_body(reply.status, exchange.method):
                is_whole = await send_stream(exchange, body, self, is_chunked=is_chunked)
            else:
                is_whole = True
        except (ConnectionError, asyncio.CancelledError):
            self._finish(exchange, "client_gone")
            return
        finally:
            body.close()
        if is_whole:
            self._end(exchange, keep_alive=keep_alive)
        else:
            self._finish(exchange, "broken")

    # -- `lane.ReplySocket` -----------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Wait while the client takes no more. Raises ConnectionError where it has gone."""
        if self.transport is None:
            raise ConnectionResetError
        if self.writing_paused:
            self._drain_waiter = self._lane.parts.loop.create_future()
            await self._drain_waiter

    def reset(self) -> None:
        """Break the connection off so that no client can take the reply for whole."""
        if self.transport is not None:
            reset_on_close(self.transport)
            self.transport.abort()

    def send_interim(self, status: int, lines: Headers) -> None:
        """Pass a 1xx reply on."""
        if self.transport is not None:
            self.transport.write(interim_head(status, lines))

    def _refuse(self, error: GatewayError) -> None:
        if self.transport is not None:
            self._lane.parts.outbox.flush()
            self.transport.write(self._lane.parts.refusal(error, self.peer_ip))
        self._close()

    def _close(self) -> None:
        """End the connection once all is sent."""
        self._is_closing = True
        transport = self.transport
        if transport is not None:
            self._lane.parts.outbox.flush()
            if transport.get_write_buffer_size():
                self._lane.parts.slow_readers.add(self)
            transport.close()

    def __repr__(self) -> str:
        doing = "serving" if self._exchange is not None else "closing" if self._is_closing else "reading"
        return f"<FastConnection {self.peer_ip} {doing}>"
