"""One pooled connection to an upstream endpoint, at protocol level.

Theory of operation. A connection serves one exchange at a time:

    CONNECTING --> IDLE --start--> WAITING --head--> BODY --last byte--> IDLE
                                      |--whole reply in one read-------> IDLE
                                      |--101--> SWITCHED (a tunnel takes the socket over)
    any --fault, timeout, cancel, close--> CLOSED, which is final

llhttp (through httptools) parses the head and the chunked framing. Where a reply arrives in one piece, which most do,
the caller gets it whole with one future and no stream. Otherwise a `ReplyBody` is handed out; it pauses the socket
while more than `_HIGH_WATER` bytes wait in it, so that a slow client slows the upstream down. The connection goes back
to its pool when the last byte came from the upstream, not when the client has read it.
"""

import asyncio
import re
import select
from collections import deque
from collections.abc import Callable

import httptools

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import HeaderLine, Headers
from gateway.proxy.heads import end_to_end_lines, has_no_body

_HIGH_WATER = 256 * 1024
_HEAD_MAX = 64 * 1024
_KEEP_ALIVE_TIMEOUT = re.compile(rb"timeout\s*=\s*(\d{1,6})")

InterimSink = Callable[[int, Headers], None]


class ReplyHead:
    """What `UpstreamConnection.start` resolves to: a final reply's head.

    body: whole bytes, or a `ReplyBody` still moving. length: what Content-Length said. trailers: of a whole reply.
    """

    __slots__ = ("body", "length", "lines", "status", "trailers")

    def __init__(
        self,
        status: int,
        lines: list[HeaderLine],
        length: int | None,
        body: "bytes | ReplyBody",
        trailers: Headers | None,
    ) -> None:
        self.status = status
        self.lines = lines
        self.length = length
        self.body = body
        self.trailers = trailers


class ReplyBody:
    """The moving body of one reply (`plugin_api.BodyStream`)."""

    __slots__ = ("_connection", "_error", "_is_complete", "_pieces", "_size", "_waiter", "length", "trailers")

    def __init__(self, connection: "UpstreamConnection", length: int | None, pieces: deque[bytes]) -> None:
        self._connection: UpstreamConnection | None = connection
        self._pieces = pieces
        self._size = sum(map(len, pieces))
        self._waiter: asyncio.Future[None] | None = None
        self._is_complete = False
        self._error: GatewayError | None = None
        self.length = length
        self.trailers: Headers | None = None

    @property
    def has_buffered(self) -> bool:
        return bool(self._pieces)

    async def read(self) -> bytes:
        if not self._pieces and not self._is_complete and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._pieces:
            pieces = self._pieces
            piece = pieces.popleft() if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._size = 0
            if self._connection is not None:
                self._connection.resume_reading()
            return piece
        if self._error is not None:
            raise self._error
        return b""

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()
        self._pieces.clear()

    def feed(self, piece: bytes) -> bool:
        """From the connection; returns whether it should pause reading."""
        self._pieces.append(piece)
        self._size += len(piece)
        self._wake()
        return self._size > _HIGH_WATER

    def complete(self, trailers: Headers | None) -> None:
        """From the connection: the last byte has come."""
        self._is_complete = True
        self.trailers = trailers
        self._connection = None
        self._wake()

    def fail(self, error: GatewayError) -> None:
        """From the connection: the rest will not come. What came before is still read first."""
        self._error = error
        self._connection = None
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __repr__(self) -> str:
        state = "failed" if self._error else "complete" if self._is_complete else "moving"
        return f"<ReplyBody {state} buffered={self._size}>"


class UpstreamConnection(asyncio.Protocol):
    """See the module's theory of operation.

    on_idle(connection): it may serve another exchange. on_closed(connection): it never will; called once.
    """

    __slots__ = (
        "_body",
        "_deadline_s",
        "_drain_waiter",
        "_head_size",
        "_idle_timeout_s",
        "_interim",
        "_is_chunked",
        "_is_complete",
        "_is_write_paused",
        "_keep_alive",
        "_length",
        "_lines",
        "_loop",
        "_method",
        "_on_closed",
        "_on_idle",
        "_parser",
        "_pieces",
        "_state",
        "_status",
        "_tail",
        "_timer",
        "_timer_s",
        "_trailers",
        "_transport",
        "_waiter",
        "keep_alive_hint_s",
        "last_active_s",
        "pump",
        "served",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_idle: "Callable[[UpstreamConnection], None]",
        on_closed: "Callable[[UpstreamConnection], None]",
    ) -> None:
        self._loop = loop
        self._on_idle = on_idle
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._state = "CONNECTING"
        self._waiter: asyncio.Future[ReplyHead] | None = None
        self._method = ""
        self._status = 0
        self._lines: list[HeaderLine] = []
        self._head_size = 0
        self._length: int | None = None
        self._is_chunked = False
        self._keep_alive = False
        self._pieces: deque[bytes] = deque()
        self._body: ReplyBody | None = None
        self._is_complete = False
        self._trailers: Headers | None = None
        self._interim: InterimSink | None = None
        self._tail = b""
        self._drain_waiter: asyncio.Future[None] | None = None
        self._is_write_paused = False
        self._deadline_s: float | None = None
        self._idle_timeout_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0
        # How long the peer said it keeps an idle connection.
        self.keep_alive_hint_s: float | None = None
        self.last_active_s = 0.0
        self.served = 0
        self.pump: asyncio.Task[None] | None = None

    # -- for the forwarder and the pool -----------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        return self._state == "CLOSED"

    def is_stale(self) -> bool:
        """Whether the peer has closed, or said something unasked, that the loop has not told us yet.

        Asked of the kernel (about 2 us) before a request that must not be sent twice.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return True
        poller = select.poll()
        poller.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)
        return bool(poller.poll(0))

    def start(
        self,
        method: str,
        data: bytes,
        *,
        deadline_s: float | None,
        idle_timeout_s: float | None,
        interim: InterimSink | None,
    ) -> "asyncio.Future[ReplyHead]":
        """Write a request's head (with its body, where that is at hand) and return the future of the reply's head.

        deadline_s: on the loop's clock, for the whole reply. idle_timeout_s: the longest silence. None: no limit.
        The future raises GatewayError.
        """
        assert self._state == "IDLE" and self._transport is not None, self
        self._state = "WAITING"
        self._method = method
        self._is_complete = False
        self._trailers = None
        self._interim = interim
        self._deadline_s = deadline_s
        self._idle_timeout_s = idle_timeout_s
        if idle_timeout_s is not None:
            self.last_active_s = self._loop.time()
        self._arm_timer()
        self.served += 1
        waiter = self._waiter = self._loop.create_future()
        self._transport.write(data)
        return waiter

    def write(self, data: bytes) -> None:
        """More of the request body."""
        if self._transport is not None:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the upstream takes no more (backpressure towards the client)."""
        if self._is_write_paused and self._transport is not None:
            self._drain_waiter = self._loop.create_future()
            await self._drain_waiter

    def fail(self, error: GatewayError) -> None:
        """End the exchange with an error, and close."""
        waiter, self._waiter = self._waiter, None
        body, self._body = self._body, None
        self.close()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        if body is not None:
            body.fail(error)

    def close(self) -> None:
        """Give up whatever goes on here. Harmless when closed already."""
        if self._state == "CLOSED":
            return
        self._state = "CLOSED"
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.pump is not None:
            self.pump.cancel()
            self.pump = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._wake_drain()
        self._on_closed(self)

    def take_over(self) -> tuple[asyncio.Transport, bytes]:
        """After a 101: the transport, and what the upstream has already said in the new protocol."""
        assert self._state == "SWITCHED" and self._transport is not None, self
        transport, self._transport = self._transport, None
        self.close()
        return transport, self._tail

    # -- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a Transport on every loop there is
        self._state = "IDLE"

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state != "WAITING" and state != "BODY":
            if state == "SWITCHED":
                self._tail += data
            else:
                # Nobody asked: a late error page or a smuggled reply must not become the answer to the next request.
                self.close()
            return
        if self._idle_timeout_s is not None:
            self.last_active_s = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._status != 101:
                self._fail_reply("it changed the protocol unasked")
                return
            self._tail = data[upgrade.args[0] :]
            self._state = "SWITCHED"
        except httptools.HttpParserError as error:
            # What a callback raises stands behind httptools' own error.
            self._fail_reply(str(error.__context__ or error))
            return
        if self._waiter is not None and self._state != "WAITING":
            self._deliver()
        if self._is_complete:
            self._end_exchange()

    def connection_lost(self, exc: Exception | None) -> None:
        state = self._state
        body = self._body
        if state == "BODY" and body is not None and self._length is None and not self._is_chunked and exc is None:
            # RFC 9112 section 6.3, rule 8: without a length the reply ends with the connection.
            self._body = None
            self.close()
            body.complete(None)
        elif state == "WAITING":
            self.fail(GatewayError(errors.UPSTREAM_RESET, "The upstream closed the connection without a reply"))
        else:
            self.fail(GatewayError(errors.UPSTREAM_RESET, "The upstream closed the connection amid its reply"))

    def pause_writing(self) -> None:
        self._is_write_paused = True

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._wake_drain()

    def resume_reading(self) -> None:
        """The body was read: let more come."""
        if self._transport is not None:
            self._transport.resume_reading()

    # -- httptools --------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise _BadReply("it sent more than one")
        self._lines = []
        self._head_size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        if self._head_size > _HEAD_MAX:
            raise _BadReply(f"its headers are over {_HEAD_MAX} bytes")
        if self._state == "WAITING":
            self._lines.append((name.lower(), value.rstrip(b" \t")))
        else:
            if self._trailers is None:
                self._trailers = Headers()
            self._trailers.add(name.lower(), value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        status = self._status = self._parser.get_status_code()
        if status < 200 and status != 101:
            if self._interim is not None and status > 101:
                self._interim(status, Headers(end_to_end_lines(self._lines)))
            return
        if status > 599:
            raise _BadReply(f"its status is {status}")
        self._length = None
        self._is_chunked = False
        for name, value in self._lines:
            if name == b"content-length":
                if not value.isdigit():
                    raise _BadReply("its Content-Length is no number")
                self._length = int(value)
            elif name == b"transfer-encoding":
                if value.lower() != b"chunked":
                    raise _BadReply("its Transfer-Encoding is not chunked")
                self._is_chunked = True
            elif name == b"keep-alive":
                found = _KEEP_ALIVE_TIMEOUT.search(value)
                self.keep_alive_hint_s = float(found[1]) if found else None
        self._keep_alive = self._parser.should_keep_alive()
        self._state = "BODY"
        if status != 101 and has_no_body(status, self._method):
            self._is_complete = True
            # llhttp would wait for the body that Content-Length announces.
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, piece: bytes) -> None:
        if self._is_complete:
            raise _BadReply("it has a body where none belongs")
        if self._body is None:
            self._pieces.append(piece)
        elif self._body.feed(piece) and self._transport is not None:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._state == "BODY" and self._status != 101:
            self._is_complete = True

    # -- internals --------------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        """The head is known: resolve the caller's future, with the whole body where it is here."""
        waiter, self._waiter = self._waiter, None
        assert waiter is not None
        pieces, self._pieces = self._pieces, deque()
        body: bytes | ReplyBody
        if self._is_complete or self._state == "SWITCHED":
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        else:
            body = self._body = ReplyBody(self, self._length, pieces)
        if waiter.done():
            self.close()
        else:
            waiter.set_result(ReplyHead(self._status, self._lines, self._length, body, self._trailers))

    def _end_exchange(self) -> None:
        body, self._body = self._body, None
        self._deadline_s = self._idle_timeout_s = None
        self._interim = None
        # A request still being sent (an early refusal, say) leaves a connection that nobody else can use.
        if self._state != "CLOSED":
            if self._keep_alive and (self.pump is None or self.pump.done()):
                self._state = "IDLE"
                self.pump = None
                self.last_active_s = self._loop.time()
                if body is not None:
                    self.resume_reading()
                self._on_idle(self)
            else:
                self.close()
        if body is not None:
            body.complete(self._trailers)

    def _fail_reply(self, reason: str) -> None:
        self.fail(GatewayError(errors.UPSTREAM_BAD_REPLY, f"The upstream's reply is not valid HTTP: {reason}"))

    def _wake_drain(self) -> None:
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)

    def _arm_timer(self) -> None:
        """One timer a connection, not one a request: it is left running and looks at the deadline of its day."""
        due_s = self._due_s()
        if due_s is None or (self._timer is not None and self._timer_s <= due_s):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = due_s
        self._timer = self._loop.call_at(due_s, self._on_timer)

    def _due_s(self) -> float | None:
        if self._idle_timeout_s is None:
            return self._deadline_s
        silent_s = self.last_active_s + self._idle_timeout_s
        return silent_s if self._deadline_s is None else min(silent_s, self._deadline_s)

    def _on_timer(self) -> None:
        self._timer = None
        due_s = self._due_s()
        if due_s is None or self._state not in ("WAITING", "BODY"):
            return
        # The loop may run a timer early by its clock's resolution.
        if due_s <= self._loop.time() + 0.001:
            self.fail(GatewayError(errors.UPSTREAM_TIMEOUT, "The upstream did not answer in time"))
        else:
            self._arm_timer()

    def __repr__(self) -> str:
        return f"<UpstreamConnection {self._state} served={self.served}>"


class _BadReply(Exception):  # noqa: N818 - a verdict on the reply, raised through the parser
    """Leaves httptools' callbacks; becomes a 502."""
