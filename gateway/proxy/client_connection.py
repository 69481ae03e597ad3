"""A client's connection in the aiohttp lane: aiohttp's protocol with the gateway's limits, strictness and errors.

Theory of operation. aiohttp's parser is given the bytes of one message, after `core/request_framing.py` has found
nothing wrong with them; what follows is held back until that message has been answered:

    HEAD --a head without fault--> BODY --its last byte--> HELD --reply written, connection kept--> HEAD
    HEAD --anything else--> ENDED        BODY --wrong framing--> ENDED

So both have to agree on every request, a fault in a later request takes nothing from an earlier one, and a client that
sends ahead costs `_HELD_MAX` bytes.
"""

import asyncio
import logging
import re
from time import monotonic
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers
from gateway.core.request_framing import ChunkedBody, HeadRules
from gateway.core.throughput import LeastThroughput, Throughput
from gateway.proxy.heads import interim_head
from gateway.proxy.lane import BODY_INLINE_MAX, LaneParts, body_too_slow, overloaded, reset_on_close

_log = logging.getLogger("gateway")

_EMPTY_LINES = re.compile(rb"(?:\r\n)*")
_LINGER_S = 5.0
_HELD_MAX = 64 * 1024


class Sent:
    """Tells aiohttp that the reply has been written, and whether the connection may go on."""

    __slots__ = ("keep_alive",)

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Nothing is left to do."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to do."""


SENT = Sent(keep_alive=True)
SENT_CLOSE = Sent(keep_alive=False)


class BodyRefused(Exception):  # noqa: N818 - a verdict on the body
    """Carries the error to whoever reads the payload."""

    def __init__(self, error: GatewayError) -> None:
        super().__init__(str(error))
        self.error = error


class ClientConnection(RequestHandler):
    """See the module's theory of operation. rules: those of the lane. served: requests before this lane had it."""

    __slots__ = (
        "_body",
        "_head_timer",
        "_held",
        "_is_answered",
        "_length_left",
        "_needed",
        "_pace",
        "_parts",
        "_payload",
        "_rules",
        "_served",
        "_stage",
        "is_cut_off",
        "is_trusted",
        "peer_ip",
        "scheme",
    )

    def __init__(self, parts: LaneParts, rules: HeadRules, server: web.Server, served: int = 0) -> None:
        limits = parts.limits
        super().__init__(
            server,
            loop=parts.loop,
            keepalive_timeout=limits.idle_timeout_s,
            access_log=None,  # type: ignore[arg-type]  # the gateway writes its own
            max_line_size=limits.target_max,
            max_field_size=limits.header_max,
            max_headers=2 * limits.header_count_max,  # it counts header and trailer fields together
            lingering_time=_LINGER_S,
            auto_decompress=False,
        )
        self._parts = parts
        self._rules = rules
        self._stage = "HEAD"
        self._held = b""
        # How many bytes have to be held before they are worth looking at again.
        self._needed = 0
        self._length_left = 0
        # Of a body that is waited for before its request is served.
        self._pace: LeastThroughput | None = None
        self._served = served
        self.is_cut_off = False
        self._body: ChunkedBody | None = None
        self._payload: StreamReader = EMPTY_PAYLOAD
        self._is_answered = False
        self._head_timer: asyncio.TimerHandle | None = None
        self.peer_ip = ""
        self.is_trusted = False
        self.scheme = "http"

    # -- for the lane -----------------------------------------------------------------------------------------------

    @property
    def is_ending(self) -> bool:
        """Whether the connection takes no further request."""
        return self._close or self._force_close or self._served >= self._parts.limits.max_requests

    @property
    def body_timeout_s(self) -> float:
        """The longest silence of the client amid a body."""
        return self._parts.limits.header_timeout_s

    @property
    def body_rate_min(self) -> Throughput | None:
        """The least that has to arrive of a body."""
        return self._parts.limits.body_rate_min

    def answered(self, *, keep_alive: bool) -> None:
        """The reply has been written: look at what was held back, or take no further request."""
        self._is_answered = True
        if not keep_alive:
            self._watch_rest()
        else:
            # Not from here: aiohttp has not finished with this exchange yet.
            self._loop.call_soon(self._read_on)

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
        tail, self._held = self._held, b""
        return tail

    def reset(self) -> None:
        """Break the connection off so that no client can take the reply for whole, not even one without a length."""
        if self.transport is not None:
            reset_on_close(self.transport)
            self.transport.abort()

    def cut_off(self, transport: asyncio.Transport) -> None:
        """Its client reads too slowly: break the connection off."""
        self.is_cut_off = True
        reset_on_close(transport)
        transport.abort()

    # -- asyncio.Protocol and aiohttp -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        parts = self._parts
        connections = parts.state.connections
        connections.inc()
        if connections.value > parts.limits.max_connections:
            self._stage = "REFUSED"
            transport.write(parts.refusal(overloaded(), ""))  # type: ignore[attr-defined]  # uvloop's is no subclass
            transport.close()
            return
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.peer_ip = peer[0] if isinstance(peer, tuple) else ""
        self.is_trusted = parts.trusted.is_trusted(self.peer_ip)
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = "https"

    def data_received(self, data: bytes) -> None:
        stage = self._stage
        if not data or stage == "BODY":
            # aiohttp gives b"" where it goes on with what it had stopped at for want of room.
            self._take_body(data)
        elif stage == "HEAD":
            data = self._held + data
            if len(data) < self._needed:
                self._await_rest(data, self._needed)
            else:
                self._take_head(data)
        elif stage == "HELD":
            self._hold(data)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._parts.slow_readers.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._parts.state.connections.dec()
        self._parts.slow_readers.discard(self)
        self._stop_head_timer()
        if self._stage != "REFUSED":
            super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Any:
        """A fault of the lane itself. How much of a reply has left is not known, so only the connection can end."""
        _log.error("the lane failed", exc_info=exc)
        self.reset()
        return SENT_CLOSE

    # -- reading ----------------------------------------------------------------------------------------------------

    def _take_head(self, data: bytes) -> None:
        if self._close or self._force_close:
            return
        if data.startswith(b"\r\n") and (found := _EMPTY_LINES.match(data)):
            data = data[found.end() :]  # RFC 9112 section 2.2
        end = data.find(b"\r\n\r\n", 0, self._rules.head_max + 4)
        body_start = end + 4
        try:
            if end < 0:
                self._rules.check_unfinished(data)
                self._await_rest(data, 0)
                return
            length, has_expectation = self._rules.check(data[:end])
            if length is None:
                self._body = ChunkedBody(self._rules)
                size = self._body.feed(data[body_start:])
                is_whole = self._body.is_complete
            else:
                self._body = None
                size = min(length, len(data) - body_start)
                self._length_left = length - size
                is_whole = size == length
                if not is_whole and length <= BODY_INLINE_MAX and not has_expectation:
                    self._await_rest(data, body_start + length)
                    return
            messages = self._parse(data[: body_start + size])
            if not messages:
                raise GatewayError(errors.BAD_REQUEST, close=True)
        except GatewayError as error:
            self._refuse(error)
            return
        self._needed = 0
        self._pace = None
        self._served += 1
        self._payload = messages[0][1]
        self._is_answered = False
        self._stop_head_timer()
        self._stage = "HELD" if is_whole else "BODY"
        self._held = data[body_start + size :]
        self._messages.append(messages[0])
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _take_body(self, data: bytes) -> None:
        try:
            if self._body is not None:
                size = self._body.feed(data)
                is_whole = self._body.is_complete
            else:
                size = min(self._length_left, len(data))
                self._length_left -= size
                is_whole = not self._length_left
            if is_whole and self._stage == "BODY":
                self._stage = "HELD"
            self._parse(data[:size])
        except GatewayError as error:
            self._break_body(error)
            return
        if len(data) > size:
            self._hold(data[size:])

    def _parse(self, data: bytes) -> Any:
        """Let aiohttp have the bytes; the messages that begin in them. Raises GatewayError."""
        assert self._parser is not None
        try:
            messages, self._upgraded, _ = self._parser.feed_data(data)
        except BadHttpMethod:
            raise GatewayError(errors.NOT_IMPLEMENTED, "The method is not known here", close=True) from None
        except (HttpProcessingError, ValueError):
            raise GatewayError(errors.BAD_REQUEST, close=True) from None
        return messages

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > _HELD_MAX and self.transport is not None:
            self.transport.pause_reading()

    def _read_on(self) -> None:
        if self.is_ending or self.transport is None:
            return
        self._stage = "HEAD"
        data, self._held = self._held, b""
        if len(data) > _HELD_MAX:
            self.transport.resume_reading()
        if data:
            self._take_head(data)

    def _await_rest(self, data: bytes, needed: int) -> None:
        """A slow request has a limit of its own, shorter than that of an idle connection: for all of the head, or for
        each silence amid the body.
        """
        self._held = data
        self._needed = needed
        if needed:
            self._stop_head_timer()
            now_s = monotonic()
            least = self._parts.limits.body_rate_min
            if self._pace is not None and self._pace.is_missed(now_s, len(data)):
                self._refuse(body_too_slow())
                return
            if self._pace is None and least is not None:
                self._pace = LeastThroughput(least, now_s, len(data))
        if data:
            # A request has begun: aiohttp's limit for an idle connection would end it without a word.
            self.keep_alive(True)
        if data and self._head_timer is None:
            self._head_timer = self._loop.call_later(self._parts.limits.header_timeout_s, self._on_head_timeout)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_timeout(self) -> None:
        self._head_timer = None
        self._refuse(GatewayError(errors.REQUEST_TIMEOUT))

    def _refuse(self, error: GatewayError) -> None:
        """No request could be read."""
        self._stage = "ENDED"
        self._held = b""
        self._stop_head_timer()
        if self.transport is not None:
            self.transport.write(self._parts.refusal(error, self.peer_ip))
            self._watch_rest()
            self.force_close()

    def _watch_rest(self) -> None:
        """The connection is about to be closed: what is not sent yet must not keep it for ever."""
        if self.transport is not None and self.transport.get_write_buffer_size():
            self._parts.slow_readers.add(self)

    def _break_body(self, error: GatewayError) -> None:
        """The body's framing is wrong: whoever reads it hears of it there, and nothing more is taken."""
        self._stage = "ENDED"
        if self._is_answered:
            self.force_close()
        else:
            self._payload.set_exception(BodyRefused(error))

    def __repr__(self) -> str:
        return f"<ClientConnection {self.peer_ip} {self._stage}>"
