"""One pooled connection to an upstream endpoint, at protocol level.

Theory of operation. A connection serves one exchange at a time:

    CONNECTING --> IDLE --start--> WAITING --head--> BODY --last byte--> IDLE
                                      |--whole reply in one read-------> IDLE
                                      |--101--> SWITCHED (a tunnel takes the socket over)
    any --fault, timeout, cancel, close--> CLOSED, which is final

llhttp (through httptools) parses the head and the chunked framing. The caller is called back within the very read that
brought the head: no future, no turn of the loop lies between the upstream's bytes and the client's. Where a reply
arrives in one piece, which most do, its body is plain bytes. Otherwise a `ReplyBody` is handed out; it pauses the
socket while more than 256 KiB wait in it, so that a slow client slows the upstream down. The connection
goes back to its pool when the last byte came from the upstream, not when the client has read it.
"""

import asyncio
import select
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final

import httptools

from gateway.core import errors, reply_framing
from gateway.core.errors import GatewayError
from gateway.core.headers import NOT_RETURNED, HeaderLine, Headers, connection_options
from gateway.core.plain_head import parse_plain_reply_head
from gateway.core.reply_framing import HEADER_COUNT_MAX, INTERIM_MAX, START, ReplyRefused
from gateway.plugin_api import Reply
from gateway.proxy.heads import has_no_body
from gateway.proxy.outbox import Outbox
from gateway.proxy.reply_body import ReplyBody
from gateway.proxy.upstream_error import UpstreamError

_HEAD_MAX: Final = 64 * 1024
_PLAIN_OPTIONS: Final = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})

InterimSink = Callable[[int, Headers], None]
ReplySink = Callable[[Reply | GatewayError], None]


class UpstreamConnection(asyncio.Protocol):
    """See the module's theory of operation.

    on_idle(connection): it may serve another exchange. on_closed(connection): it never will; called once.
    """

    __slots__ = (
        "_body",
        "_deadline_s",
        "_drain_waiter",
        "_framing_size",
        "_head_size",
        "_idle_timeout_s",
        "_interim",
        "_interim_count",
        "_is_close_delimited",
        "_is_complete",
        "_is_silent",
        "_is_write_paused",
        "_keep_alive",
        "_lines",
        "_loop",
        "_may_switch",
        "_method",
        "_on_closed",
        "_on_idle",
        "_outbox",
        "_parser",
        "_pieces",
        "_reply",
        "_sink",
        "_state",
        "_tail",
        "_timer",
        "_timer_s",
        "_trailers",
        "_transport",
        "keep_alive_hint_s",
        "last_active_s",
        "pump",
        "served",
        "upgrade",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        outbox: Outbox,
        on_idle: "Callable[[UpstreamConnection], None]",
        on_closed: "Callable[[UpstreamConnection], None]",
    ) -> None:
        self._loop = loop
        self._outbox = outbox
        self._on_idle = on_idle
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._state = "CONNECTING"
        self._sink: ReplySink | None = None
        self._method = ""
        self._may_switch = False
        self._lines: list[HeaderLine] = []
        self._head_size = 0
        # Bytes read since the last one of a body: heads, chunk sizes, extensions and trailers, however they are cut.
        self._framing_size = 0
        self._interim_count = 0
        self._reply: Reply | None = None
        self._is_close_delimited = False
        self._keep_alive = False
        self._pieces: deque[bytes] = deque()
        self._body: ReplyBody | None = None
        self._is_complete = False
        self._is_silent = True
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
        # What the reply to an upgrade says.
        self.upgrade: bytes | None = None
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
        sink: ReplySink,
        is_whole: bool = True,
        may_switch: bool = False,
    ) -> None:
        """Write a request's head (with its body, where that is at hand: is_whole).

        deadline_s: on the loop's clock, for the whole reply. idle_timeout_s: the longest silence. None: no limit.
        sink: called once, with the reply as soon as its head is here, or with what went wrong; never from within this
        call, and not at all after `close`. may_switch: the request asks for another protocol, so a 101 is an answer.
        """
        assert self._state == "IDLE" and self._transport is not None, self
        self._state = "WAITING"
        self._method = method
        self._may_switch = may_switch
        self._is_complete = False
        self._is_silent = True
        self._framing_size = 0
        self._interim_count = 0
        self._trailers = None
        self._interim = interim
        self._deadline_s = deadline_s
        self._idle_timeout_s = idle_timeout_s
        if idle_timeout_s is not None:
            self.last_active_s = self._loop.time()
        self._arm_timer()
        self.served += 1
        self._sink = sink
        if is_whole:
            self._outbox.put(self._transport, data)
        else:
            self._transport.write(data)

    def write(self, data: bytes) -> None:
        """More of the request body. While it moves, the upstream has nothing to say yet."""
        if self._transport is not None:
            if self._idle_timeout_s is not None:
                self.last_active_s = self._loop.time()
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the upstream takes no more (backpressure towards the client)."""
        if self._is_write_paused and self._transport is not None:
            self._drain_waiter = self._loop.create_future()
            await self._drain_waiter

    def fail(self, error: GatewayError) -> None:
        """End the exchange with an error, and close."""
        sink, self._sink = self._sink, None
        body, self._body = self._body, None
        self.close()
        if sink is not None:
            sink(error)
        if body is not None:
            body.fail(error)

    def close(self) -> None:
        """Give up whatever goes on here. Harmless when closed already."""
        if self._state == "CLOSED":
            return
        self._state = "CLOSED"
        self._sink = None
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
        if self._state == "CLOSED":
            # Given up while it was being made.
            transport.abort()  # type: ignore[attr-defined]
            return
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
        if self._is_silent:
            self._is_silent = False
            if self._take_plain(data):
                return
            if data[: len(START)] != START[: len(data)]:
                # llhttp would also read other protocols' replies, and skip empty lines.
                self._fail_reply("it does not begin as a reply of HTTP/1.0 or HTTP/1.1")
                return
        if self._idle_timeout_s is not None:
            self.last_active_s = self._loop.time()
        self._framing_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._reply is None or self._reply.status != 101:
                self._fail_reply("it changed the protocol unasked")
                return
            self._tail = data[upgrade.args[0] :]
            self._state = "SWITCHED"
        except httptools.HttpParserError as error:
            # What a callback raises stands behind httptools' own error.
            self._fail_reply(str(error.__context__ or error))
            return
        if self._framing_size > _HEAD_MAX and self._state != "SWITCHED":
            self._fail_reply(f"it has more than {_HEAD_MAX} bytes without any of a body")
            return
        reply, self._reply = self._reply, None
        if reply is not None and self._state != "WAITING":
            self._deliver(reply)
        elif self._is_complete:
            self._end_exchange()

    def eof_received(self) -> None:
        body = self._body
        if self._state == "BODY" and body is not None and self._is_close_delimited:
            # RFC 9112 section 6.3, rule 8. Over TLS only a closure alert ends it (9.8), and only then is this called.
            self._body = None
            self.close()
            body.complete(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ssl.SSLError):
            # An alert after the handshake: a server of TLS 1.3 refuses our certificate, or the lack of one, that late.
            self.fail(UpstreamError(errors.UPSTREAM_TLS_FAILED, "", "tls"))
        elif self._state == "WAITING" and self._is_silent:
            detail = "The upstream closed the connection without a reply"
            self.fail(UpstreamError(errors.UPSTREAM_RESET, detail, "reset", is_stale=self.served > 1))
        else:
            self.fail(UpstreamError(errors.UPSTREAM_RESET, "The upstream broke off amid its reply", "reset"))

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
            raise ReplyRefused("it sent more than one")
        self._lines = []
        self._head_size = 0

    def on_status(self, reason: bytes) -> None:
        reply_framing.check_reason(reason)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        if self._head_size > _HEAD_MAX:
            raise ReplyRefused(f"its headers are over {_HEAD_MAX} bytes")
        if self._state == "WAITING":
            if len(self._lines) == HEADER_COUNT_MAX:
                raise ReplyRefused(f"it has more than {HEADER_COUNT_MAX} header lines")
            self._lines.append((name.lower(), value.rstrip(b" \t")))
        elif (name := name.lower()) not in NOT_RETURNED:
            if self._trailers is None:
                self._trailers = Headers()
            if len(self._trailers) == HEADER_COUNT_MAX:
                raise ReplyRefused(f"it has more than {HEADER_COUNT_MAX} trailer lines")
            self._trailers.add(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        version = self._parser.get_http_version()
        reply_framing.check_status(version, status)
        if status < 200 and status != 101:
            self._interim_count += 1
            if self._interim_count > INTERIM_MAX:
                raise ReplyRefused(f"more than {INTERIM_MAX} interim replies stand before it")
            if self._interim is not None and status > 101:
                options = NOT_RETURNED | connection_options(Headers(self._lines))
                self._interim(status, Headers([line for line in self._lines if line[0] not in options]))
            return
        if status == 101 and not self._may_switch:
            raise ReplyRefused("it changed the protocol unasked")
        length: int | None = None
        is_chunked = has_options = False
        kept = []
        for line in self._lines:
            name = line[0]
            if name not in NOT_RETURNED:
                kept.append(line)
            elif name == b"content-length":
                length = reply_framing.content_length(line[1])
            elif name == b"transfer-encoding":
                reply_framing.check_coding(line[1], version, is_repeated=is_chunked)
                is_chunked = True
            elif name == b"keep-alive":
                self.keep_alive_hint_s = reply_framing.keep_alive_s(line[1])
            elif name == b"upgrade":
                self.upgrade = line[1]
            elif name == b"connection":
                has_options = has_options or line[1] not in _PLAIN_OPTIONS
        if has_options:
            options = connection_options(Headers(self._lines))
            kept = [line for line in kept if line[0] not in options]
        self._keep_alive = self._parser.should_keep_alive()
        self._state = "BODY"
        self._reply = Reply(status, Headers(kept), length=length)
        if status != 101 and has_no_body(status, self._method):
            self._is_complete = True
            # llhttp would wait for the body that Content-Length announces.
            self._parser = httptools.HttpResponseParser(self)
        else:
            self._is_close_delimited = length is None and not is_chunked

    def on_body(self, piece: bytes) -> None:
        if self._is_complete:
            raise ReplyRefused("it has a body where none belongs")
        self._framing_size = 0
        if self._body is None:
            self._pieces.append(piece)
        elif self._body.feed(piece) and self._transport is not None:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._state == "BODY" and (self._reply is None or self._reply.status != 101):
            self._is_complete = True

    # -- internals --------------------------------------------------------------------------------------------------

    def _take_plain(self, data: bytes) -> bool:
        """Take a reply that is here whole and plain, past the parser: it is most of them, at half the cost."""
        end = data.find(b"\r\n\r\n")
        if end < 0 or end > _HEAD_MAX or self._method == "HEAD":
            return False
        head = parse_plain_reply_head(data[:end])
        if head is None or end + 4 + head.length != len(data):
            return False
        reply = Reply(head.status, head.headers, data[end + 4 :])
        if head.keep_alive_text is not None:
            self.keep_alive_hint_s = reply_framing.keep_alive_s(head.keep_alive_text)
        self._keep_alive = head.keep_alive
        self._is_complete = True
        self._state = "BODY"
        self._deliver(reply)
        return True

    def _deliver(self, reply: Reply) -> None:
        """The head is here, perhaps all of it: call back."""
        sink, self._sink = self._sink, None
        pieces = self._pieces
        if self._is_complete:
            if pieces:
                reply.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                pieces.clear()
            if reply.length is not None and not has_no_body(reply.status, self._method):
                reply.length = None
            reply.trailers = self._trailers
            # First back to the pool: what the callback starts next may have this connection.
            self._end_exchange()
        elif self._state == "BODY":
            self._pieces = deque()
            reply.body = self._body = ReplyBody(self, reply.length, pieces)
            reply.length = None
        if sink is not None:
            sink(reply)

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
        detail = f"The upstream's reply is not valid HTTP: {reason}"
        self.fail(UpstreamError(errors.UPSTREAM_BAD_REPLY, detail, "bad_reply"))

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
            self.fail(UpstreamError(errors.UPSTREAM_TIMEOUT, "The upstream did not answer in time", "timeout"))
        else:
            self._arm_timer()

    def __repr__(self) -> str:
        return f"<UpstreamConnection {self._state} served={self.served}>"
