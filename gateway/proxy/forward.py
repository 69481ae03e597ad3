"""The attempt loop: choose an endpoint, get a connection, send, judge the reply, repeat where that is safe.

What may be repeated, and why it does no harm:
- a connect that failed: nothing was sent;
- a pooled connection that turns out closed before a byte of reply came: for safe and idempotent methods always, for
  others never, but those first ask the kernel whether the connection is still open;
- what the route's `retry` lists, for safe methods, within the upstream's budget.
A body that is still streaming in cannot be sent twice: then only a failed connect is repeated.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers, connection_options
from gateway.core.retry import IDEMPOTENT_METHODS, may_retry
from gateway.plugin_api import BodyStream, Exchange, Reply
from gateway.proxy.connection import ReplyHead, UpstreamConnection
from gateway.proxy.heads import end_to_end_lines, request_head
from gateway.proxy.tunnel import SwitchingReply
from gateway.upstreams.registry import Endpoint, Upstream


@dataclass(frozen=True, slots=True)
class ForwardPolicy:
    """How a route goes to its upstream.

    attempts: all of them, 1 is no retry. retry_on: causes and statuses as text. count_attempt: called with the outcome
    of each attempt, "ok" or a cause. Times are seconds, None is no limit.
    """

    upstream: Upstream
    rewrite: Callable[[Exchange], str] | None
    connect_timeout_s: float
    idle_timeout_s: float | None
    attempts: int
    retry_on: frozenset[str]
    retry_ratio: float
    count_attempt: Callable[[str], None]


class _AttemptFailed(Exception):  # noqa: N818 - carries the error and what is needed to judge a repeat
    def __init__(self, error: GatewayError, cause: str, *, is_sent: bool, is_stale: bool = False) -> None:
        self.error = error
        self.cause = cause
        self.is_sent = is_sent
        self.is_stale = is_stale


# What the client's own body did wrong is no fault of the upstream.
_CAUSES = {errors.UPSTREAM_TIMEOUT: "timeout", errors.UPSTREAM_RESET: "reset", errors.UPSTREAM_BAD_REPLY: "bad_reply"}


class Forwarder:
    """One for a snapshot; `send` is the innermost call of its routes. policies: by route id, set before the first."""

    __slots__ = ("_loop", "policies")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.policies: Mapping[str, ForwardPolicy] = {}

    async def send(self, exchange: Exchange) -> Reply:
        """The upstream's reply, its body perhaps still moving. Raises GatewayError."""
        assert exchange.route is not None
        policy = self.policies[exchange.route.id]
        upstream = policy.upstream
        upstream.retry_budget.count_request(policy.retry_ratio)
        started_s = self._loop.time()
        tried: list[Endpoint] = []
        stale_left = 2
        try:
            while True:
                endpoint = upstream.choose(tried)
                exchange.attempts += 1
                exchange.endpoint = endpoint.name
                try:
                    reply = await self._attempt(exchange, policy, endpoint)
                except _AttemptFailed as failure:
                    policy.count_attempt(failure.cause)
                    if failure.is_stale and stale_left and _may_resend(exchange):
                        stale_left -= 1
                        exchange.attempts -= 1
                        continue
                    tried.append(endpoint)
                    if not self._may_go_on(exchange, policy, failure.cause, is_sent=failure.is_sent):
                        raise failure.error from None
                else:
                    status = str(reply.status)
                    policy.count_attempt("ok" if reply.status < 500 else status)
                    if status not in policy.retry_on or not self._may_go_on(exchange, policy, status, is_sent=True):
                        return reply
                    tried.append(endpoint)
                    if not isinstance(reply.body, bytes):
                        reply.body.close()
        finally:
            exchange.upstream_s = self._loop.time() - started_s

    def _may_go_on(self, exchange: Exchange, policy: ForwardPolicy, cause: str, *, is_sent: bool) -> bool:
        return (
            exchange.attempts < policy.attempts
            and may_retry(cause, exchange.method, policy.retry_on, is_sent=is_sent)
            and (not is_sent or isinstance(exchange.body, bytes))
            and (exchange.deadline_s is None or self._loop.time() < exchange.deadline_s)
            and policy.upstream.retry_budget.take_retry()
        )

    async def _attempt(self, exchange: Exchange, policy: ForwardPolicy, endpoint: Endpoint) -> Reply:
        upgrade = _upgrade(exchange)
        body = exchange.body
        framing, is_chunked = _framing(exchange.method, body)
        target = policy.rewrite(exchange) if policy.rewrite is not None else exchange.target
        data = request_head(exchange, target, endpoint.authority, framing=framing, upgrade=upgrade)
        if isinstance(body, bytes):
            data += body
        connection = await self._connection(exchange, policy, endpoint)
        is_reused = connection.served > 0
        waiter = connection.start(
            exchange.method,
            data,
            deadline_s=exchange.deadline_s,
            idle_timeout_s=policy.idle_timeout_s,
            interim=exchange.send_interim,
        )
        if not isinstance(body, bytes):
            connection.pump = self._loop.create_task(_pump(connection, body, is_chunked=is_chunked))
        try:
            head = await waiter
        except GatewayError as error:
            is_stale = is_reused and error.kind is errors.UPSTREAM_RESET
            raise _AttemptFailed(error, _CAUSES.get(error.kind, "client"), is_sent=True, is_stale=is_stale) from None
        except asyncio.CancelledError:
            connection.close()
            raise
        return _reply(exchange, head, connection, policy.idle_timeout_s)

    async def _connection(self, exchange: Exchange, policy: ForwardPolicy, endpoint: Endpoint) -> UpstreamConnection:
        """An idle connection of the pool, or a new one. Raises _AttemptFailed; nothing was sent then."""
        pool = endpoint.pool
        while True:
            connection = pool.take_idle()
            if connection is None:
                break
            assert isinstance(connection, UpstreamConnection)
            if not _may_resend(exchange) and connection.is_stale():
                connection.close()
                continue
            return connection
        timeout_s = policy.connect_timeout_s
        if exchange.deadline_s is not None:
            timeout_s = max(0.001, min(timeout_s, exchange.deadline_s - self._loop.time()))
        if not pool.reserve():
            try:
                waited = await pool.wait(timeout_s)
            except TimeoutError:
                error = GatewayError(
                    errors.UPSTREAM_BUSY, "All connections to the upstream are busy", headers=[(b"retry-after", b"1")]
                )
                raise _AttemptFailed(error, "busy", is_sent=False) from None
            if waited is not None:
                assert isinstance(waited, UpstreamConnection)
                return waited
        return await self._connect(endpoint, timeout_s)

    async def _connect(self, endpoint: Endpoint, timeout_s: float) -> UpstreamConnection:
        pool = endpoint.pool
        made: list[UpstreamConnection] = []

        def make() -> UpstreamConnection:
            connection = UpstreamConnection(self._loop, pool.put, pool.forget)
            made.append(connection)
            return connection

        try:
            async with asyncio.timeout(timeout_s):
                await self._loop.create_connection(
                    make,
                    endpoint.host,
                    endpoint.port,
                    ssl=endpoint.tls,
                    server_hostname=endpoint.host if endpoint.tls is not None else None,
                )
        except BaseException as error:
            # close() tells the pool; where no connection was even made, the place is given back here.
            if made:
                for connection in made:
                    connection.close()
            else:
                pool.discard()
            if isinstance(error, TimeoutError):
                raise _AttemptFailed(
                    GatewayError(errors.UPSTREAM_CONNECT_TIMEOUT, "The upstream did not accept a connection in time"),
                    "connect",
                    is_sent=False,
                ) from None
            if isinstance(error, OSError):
                raise _AttemptFailed(
                    GatewayError(errors.UPSTREAM_UNREACHABLE, "The upstream accepts no connection"),
                    "connect",
                    is_sent=False,
                ) from None
            raise
        return made[0]


def _may_resend(exchange: Exchange) -> bool:
    """Whether sending the request again over a fresh connection does no harm."""
    return exchange.method in IDEMPOTENT_METHODS and isinstance(exchange.body, bytes)


def _framing(method: str, body: bytes | BodyStream) -> tuple[bytes, bool]:
    """The line that frames the request body, and whether it goes in chunks."""
    length = len(body) if isinstance(body, bytes) else body.length
    if length is None:
        return b"transfer-encoding: chunked\r\n", True
    if length or method in _BODY_EXPECTED:
        return b"content-length: %d\r\n" % length, False
    return b"", False


# RFC 9110 section 8.6: a method that defines a meaning for a body says its length even where that is 0.
_BODY_EXPECTED = frozenset({"POST", "PUT", "PATCH"})


def _upgrade(exchange: Exchange) -> bytes | None:
    headers = exchange.headers
    protocol = headers.get(b"upgrade")
    if protocol is None or exchange.method != "GET" or b"upgrade" not in connection_options(headers):
        return None
    return protocol


def _reply(
    exchange: Exchange, head: ReplyHead, connection: UpstreamConnection, tunnel_idle_timeout_s: float | None
) -> Reply:
    headers = Headers(end_to_end_lines(head.lines))
    if head.status == 101:
        transport, tail = connection.take_over()
        for name, value in head.lines:
            if name == b"upgrade":
                headers.add(name, value)
        headers.add(b"connection", b"upgrade")
        return SwitchingReply(headers, transport, tail, tunnel_idle_timeout_s)
    reply = Reply(head.status, headers, head.body)
    if exchange.method == "HEAD" or head.status == 304:
        reply.length = head.length
    reply.trailers = head.trailers
    return reply


async def _pump(connection: UpstreamConnection, body: BodyStream, *, is_chunked: bool) -> None:
    """Move a request body that is still arriving; its faults become the exchange's."""
    try:
        while piece := await body.read():
            connection.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            await connection.drain()
            if connection.is_closed:
                return
        if is_chunked:
            connection.write(b"0\r\n\r\n")
    except GatewayError as error:
        connection.fail(error)
