"""What the lanes have in common: the limits of a client connection and what a worker counts of them."""

import asyncio
import logging
import re
import socket
import struct
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, Protocol

from gateway.core import errors
from gateway.core.client_address import TrustedProxies, client_address
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers
from gateway.core.throughput import Throughput
from gateway.observe.metrics import Gauge
from gateway.observe.tracing import IdSource, next_traceparent
from gateway.plugin_api import BodyStream, Exchange
from gateway.proxy.error_reply import error_reply
from gateway.proxy.heads import reply_head, wants_trailers
from gateway.proxy.outbox import Outbox
from gateway.proxy.pipeline import Pipeline
from gateway.proxy.slow_readers import SlowReaders
from gateway.proxy.tunnel import Tunnel

# A request body up to this size is taken whole before anything is done about the request, whichever lane it comes by:
# its client has then said all it had to say, the connection can go on, and the request can be sent again.
BODY_INLINE_MAX: Final = 64 * 1024

_log = logging.getLogger("gateway")

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{8,128}")


@dataclass(frozen=True)
class LaneLimits:
    """`gateway.limits` in bytes and seconds, explained in `config/model.py`. body_rate_min None: no least."""

    target_max: int
    header_max: int
    header_line_max: int
    header_count_max: int
    header_timeout_s: float
    idle_timeout_s: float
    body_rate_min: Throughput | None
    max_connections: int
    max_requests: int


@dataclass
class LaneState:
    """Of all client connections of this worker, whichever lane has them."""

    connections: Gauge
    in_flight: Gauge
    tunnels: set[Tunnel] = field(default_factory=set)


@dataclass(frozen=True)
class LaneParts:
    """What every lane is made of."""

    pipeline: Pipeline
    outbox: Outbox
    loop: asyncio.AbstractEventLoop
    limits: LaneLimits
    trusted: TrustedProxies
    ids: IdSource
    state: LaneState
    slow_readers: SlowReaders

    def refusal(self, error: GatewayError, peer_ip: str) -> bytes:
        """A whole reply, after which the connection ends, where no request could be read; counted and logged."""
        now_s = monotonic()
        exchange = Exchange(
            method="-",
            target="",
            headers=Headers(),
            peer_ip=peer_ip,
            client_ip=peer_ip,
            request_id=self.ids.request_id(),
            started_s=now_s,
        )
        reply = exchange.reply = error_reply(error, exchange)
        head, _ = reply_head(reply, exchange, now_s=now_s, is_http10=False, keep_alive=False)
        exchange.outcome = "complete"
        self.pipeline.finish(exchange)
        assert isinstance(reply.body, bytes)
        return head + reply.body

    def identify(self, exchange: Exchange) -> None:
        """Give the exchange its request id and trace context, and behind a trusted proxy its client's address.

        What a client says of itself in these fields counts only where a trusted proxy passes it on.
        """
        headers = exchange.headers
        exchange.request_id, exchange.traceparent = self.ids.new_ids()
        if not exchange.is_trusted_peer:
            if b"tracestate" in headers:
                headers.remove(b"tracestate")
            return
        incoming = headers.get(b"traceparent")
        if incoming is not None:
            exchange.traceparent = next_traceparent(incoming, self.ids.hex)
        if incoming is None or incoming[3:35] != exchange.traceparent[3:35]:
            headers.remove(b"tracestate")
        forwarded_for = headers.get_all(b"x-forwarded-for")
        if forwarded_for:
            exchange.client_ip = client_address(exchange.peer_ip, forwarded_for, self.trusted)
        given = headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given) is not None:
            exchange.request_id = given.decode()


class ReplySocket(Protocol):
    """The client's side of a connection, as far as a reply needs it."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """None once the client has gone."""

    @property
    def writing_paused(self) -> bool:
        """Whether the client takes no more at present."""

    async def drain(self) -> None:
        """Wait until it does. Raises ConnectionError where it has gone."""

    def reset(self) -> None:
        """Break the connection off so that no client can take the reply for whole."""


async def send_stream(exchange: Exchange, body: BodyStream, client: ReplySocket, *, is_chunked: bool) -> bool:
    """Move a reply's body to the client; False where it broke off, and then the connection has been reset.

    Raises ConnectionError where the client has gone.
    """
    try:
        while piece := await body.read():
            transport = client.transport
            if transport is None:
                raise ConnectionResetError
            if is_chunked:
                transport.writelines((b"%x\r\n" % len(piece), piece, b"\r\n"))
            else:
                transport.write(piece)
            exchange.bytes_out += len(piece)
            if client.writing_paused:
                await client.drain()
    except GatewayError as error:
        exchange.error_code = error.kind.code
    except ConnectionError:
        raise
    except Exception:
        # A plugin's transform, say.
        _log.exception("a reply's body failed", extra={"request_id": exchange.request_id})
        exchange.error_code = errors.INTERNAL_ERROR.code
    else:
        if is_chunked and client.transport is not None:
            client.transport.write(last_chunk(exchange, getattr(body, "trailers", None)))
        return True
    exchange.outcome = "broken"
    client.reset()
    return False


def last_chunk(exchange: Exchange, trailers: Headers | None) -> bytes:
    """The end of a chunked body, with its trailer fields where the client takes them."""
    if trailers is None or not wants_trailers(exchange.headers):
        return b"0\r\n\r\n"
    return b"0\r\n%b\r\n" % b"".join([b"%b: %b\r\n" % line for line in trailers.lines])


def reset_on_close(transport: asyncio.Transport) -> None:
    """Make the close of this socket a reset (RST), which no client takes for the end of a body."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        linger = struct.pack("ii", 1, 0)
        with socket.socket(fileno=socket.dup(sock.fileno())) as twin:  # the loop's own object allows no options
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def body_too_slow() -> GatewayError:
    """Less of a body has come than `gateway.limits.body_rate_min`."""
    return GatewayError(errors.REQUEST_TIMEOUT, "The body arrives too slowly", close=True)


def overloaded() -> GatewayError:
    """More client connections than `gateway.limits.max_connections`."""
    return GatewayError(errors.OVERLOADED, headers=[(b"retry-after", b"1")], close=True)
