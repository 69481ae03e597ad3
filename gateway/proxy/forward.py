"""The attempt loop: choose an endpoint, get a connection, send, judge the reply, repeat where that is safe.

What may be repeated, and why it does no harm:
- a connect that failed: nothing was sent;
- a pooled connection that turns out closed before a byte of reply came: for safe and idempotent methods always, for
  others never, but those first ask the kernel whether the connection is still open;
- what the route's `retry` lists, for idempotent methods and for requests with a key, within the upstream's budget and
  the deadline, after a pause.
A body that is still streaming in cannot be sent twice: then only a failed connect is repeated.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import connection_options
from gateway.core.retry import IDEMPOTENT_METHODS, fits, may_retry, pause_s
from gateway.plugin_api import REPEATABLE, BodyStream, Exchange, Reply
from gateway.proxy.attempt_notes import enter, leave, notes_of
from gateway.proxy.connection import ReplySink, UpstreamConnection
from gateway.proxy.heads import request_head
from gateway.proxy.hedging import Hedge, HedgedAttempt, may_hedge
from gateway.proxy.outbox import Outbox
from gateway.proxy.secured_transport import secure
from gateway.proxy.tunnel import SwitchingReply
from gateway.proxy.upstream_error import UpstreamError
from gateway.upstreams.admission import NORMAL
from gateway.upstreams.breaker import UNKNOWN
from gateway.upstreams.guard import Guard
from gateway.upstreams.registry import Endpoint, Upstream

_log = logging.getLogger("gateway")


@dataclass(frozen=True)
class ForwardPolicy:
    """How a route goes to its upstream, and how the paths in its replies come back.

    attempts: all of them, 1 is no retry. retry_on: causes and statuses as text. count_attempt: called with the outcome
    of each attempt, "ok" or a cause; count_retry: with the cause of each repeat. guard: of the upstream, where it has
    a breaker or a limit. priority: an index of `admission.PRIORITIES`. sends_timeout: the upstream is told what is left
    of the deadline. Times are seconds, None is no limit.
    legs: by upstream, where the route's requests go to more than one. line: a header line for each request, or b"".
    """

    upstream: Upstream
    rewrite: Callable[[Exchange], str] | None
    connect_timeout_s: float
    idle_timeout_s: float | None
    attempts: int
    retry_on: frozenset[str]
    retry_ratio: float
    count_attempt: Callable[[str], None]
    location: Callable[[str], str] | None = None
    guard: Guard | None = None
    hedge: Hedge | None = None
    priority: int = NORMAL
    sends_timeout: bool = False
    count_retry: Callable[[str], None] | None = None
    legs: "Mapping[str, ForwardPolicy] | None" = None
    line: bytes = b""


class Forwarder:
    """One for a snapshot; `send` is the innermost call of its routes. policies: by route id, set before the first.

    `send` is the whole of it. `start` and `judge` are the same steps for a lane that wants to go without a task as long
    as nothing has to be waited for: it starts the first attempt, judges its outcome, and leaves the rest to `send`.
    """

    __slots__ = ("_loop", "_outbox", "_rng", "policies")

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox, rng: random.Random | None = None) -> None:
        self._loop = loop
        self._outbox = outbox
        self._rng = rng or random.Random()
        self.policies: Mapping[str, ForwardPolicy] = {}

    async def send(self, exchange: Exchange) -> Reply:
        """The upstream's reply, its body perhaps still moving. Raises GatewayError.

        After a `start` whose outcome was not final, goes on where that left off.
        """
        policy = self._policy(exchange)
        upstream = policy.upstream
        tried = [endpoint for endpoint in upstream.endpoints if endpoint.name == exchange.endpoint]
        # What `start` chose and could not send to at once: to choose anew would skip a turn of the balancing.
        chosen = tried.pop() if tried and not exchange.attempts else None
        try:
            while True:
                if exchange.attempt is not None and exchange.attempt.pause_s:
                    await asyncio.sleep(exchange.attempt.pause_s)
                if policy.guard is not None:
                    await enter(exchange, policy.guard, policy.priority, self._loop)
                if exchange.upstream_started_s == 0.0:
                    self._begin(exchange, policy)
                endpoint = chosen or upstream.choose(tried, exchange)
                chosen = None
                exchange.attempts += 1
                exchange.endpoint = endpoint.name
                try:
                    outcome: Reply | GatewayError
                    if policy.hedge is not None and not tried and may_hedge(exchange, upstream):
                        hedged = HedgedAttempt(exchange, upstream, policy.guard, policy.hedge, policy.count_attempt)
                        outcome = await hedged.run(endpoint, partial(self._attempt, exchange, policy), self._loop)
                    else:
                        outcome = await self._attempt(exchange, policy, endpoint)
                except GatewayError as error:
                    outcome = error
                if self.judge(exchange, outcome):
                    if isinstance(outcome, Reply):
                        return outcome
                    raise outcome
                tried.append(endpoint)
        finally:
            if exchange.attempt is not None:
                self.abandon(exchange)

    def start(self, exchange: Exchange, sink: ReplySink) -> UpstreamConnection | None:
        """Start the first attempt if an idle connection is at hand and the request is plain; else None.

        sink: gets the outcome, which then has to be judged.
        """
        policy = self._policy(exchange)
        if not isinstance(exchange.body, bytes) or b"upgrade" in exchange.headers or policy.hedge is not None:
            return None
        guard = policy.guard
        ticket = None
        if guard is not None:
            ticket = guard.enter_now(monotonic())
            if ticket is None:
                return None
        endpoint = policy.upstream.choose((), exchange)
        exchange.endpoint = endpoint.name
        connection = self._idle(exchange, endpoint)
        if connection is None:
            if guard is not None and ticket is not None:
                guard.leave(ticket, UNKNOWN, monotonic())
            return None
        if ticket is not None:
            notes_of(exchange).ticket = ticket
        self._begin(exchange, policy)
        exchange.attempts = 1
        self._write(exchange, policy, endpoint, connection, sink, upgrade=None)
        return connection

    def judge(self, exchange: Exchange, outcome: Reply | GatewayError) -> bool:
        """Whether an attempt's outcome is the exchange's. False: another attempt may be made, and is counted on."""
        policy = self._policy(exchange)
        exchange.upstream_s = monotonic() - exchange.upstream_started_s
        if isinstance(outcome, Reply):
            if outcome.status < 500:
                policy.count_attempt("ok")
                if policy.upstream.is_failing:
                    policy.upstream.endpoint(exchange.endpoint).succeeded()
                if policy.guard is not None:
                    leave(exchange, policy.guard, "ok")
                if policy.location is not None and (outcome.status == 201 or 300 <= outcome.status < 400):
                    _restore_location(outcome, exchange.endpoint, policy.location)
                return True
            cause = str(outcome.status)
            is_sent = True
        else:
            if not isinstance(outcome, UpstreamError):
                # What the client's own body did wrong is no fault of the upstream.
                if policy.guard is not None:
                    leave(exchange, policy.guard, UNKNOWN)
                return True
            cause = outcome.cause
            is_sent = outcome.is_sent
        policy.count_attempt(cause)
        if not isinstance(outcome, UpstreamError) or not outcome.is_stale:
            # That an idle connection was closed says nothing of the endpoint.
            policy.upstream.endpoint(exchange.endpoint).failed(cause)
        if isinstance(outcome, UpstreamError) and outcome.is_stale and _may_resend(exchange):
            if policy.guard is not None:
                leave(exchange, policy.guard, UNKNOWN)
            exchange.attempts -= 1
            return False
        is_repeatable = (
            exchange.attempts < policy.attempts
            and may_retry(
                cause, exchange.method, policy.retry_on, is_sent=is_sent, is_keyed=REPEATABLE in exchange.state
            )
            and (not is_sent or isinstance(exchange.body, bytes))
        )
        is_final = not is_repeatable or not self._repeat(exchange, policy, cause, outcome)
        if policy.guard is not None:
            # Of a request that was still being sent nobody knows whose fault it was: its client may have been slow.
            is_known = not is_sent or isinstance(outcome, Reply) or isinstance(exchange.body, bytes)
            leave(exchange, policy.guard, cause if is_known else UNKNOWN, is_final=is_final)
        return is_final

    def abandon(self, exchange: Exchange) -> None:
        """The attempt under way was given up, for its client has gone. Harmless where none is."""
        if exchange.attempt is not None and exchange.route is not None:
            guard = self._policy(exchange).guard
            if guard is not None:
                leave(exchange, guard, UNKNOWN)

    def _policy(self, exchange: Exchange) -> ForwardPolicy:
        route = exchange.route
        assert route is not None
        policy = self.policies[route.id]
        return policy if policy.legs is None else policy.legs[route.upstream or ""]

    def _repeat(self, exchange: Exchange, policy: ForwardPolicy, cause: str, outcome: Reply | GatewayError) -> bool:
        """Make ready for another attempt, if there is time, room and budget for it."""
        now_s = monotonic()
        retry_after = None
        if isinstance(outcome, Reply) and outcome.status == 503:
            retry_after = outcome.headers.get(b"retry-after")
        # Nothing was sent, and the next endpoint is another one: it gets no more than its share of the requests.
        is_elsewhere = cause == "connect" and exchange.attempts < len(policy.upstream.endpoints)
        wait_s = pause_s(exchange.attempts, self._rng.random(), retry_after, is_elsewhere=is_elsewhere)
        if wait_s is None or not fits(wait_s, now_s, exchange.deadline_s):
            return False
        if policy.guard is not None and not policy.guard.may_repeat:
            return False
        if not is_elsewhere and not policy.upstream.retry_budget.take_retry():
            return False
        notes_of(exchange).pause_s = wait_s
        if policy.count_retry is not None:
            policy.count_retry(cause)
        if isinstance(outcome, Reply) and not isinstance(outcome.body, bytes):
            outcome.body.close()
        return True

    def _begin(self, exchange: Exchange, policy: ForwardPolicy) -> None:
        exchange.upstream_started_s = monotonic()
        policy.upstream.retry_budget.count_request(policy.retry_ratio)

    async def _attempt(self, exchange: Exchange, policy: ForwardPolicy, endpoint: Endpoint) -> Reply:
        connection = self._idle(exchange, endpoint) or await self._connection(exchange, policy, endpoint)
        waiter: asyncio.Future[Reply] = self._loop.create_future()
        is_over = False

        def sink(outcome: Reply | GatewayError) -> None:
            nonlocal is_over
            is_over = True
            if waiter.done():
                _discard(outcome, connection)
            elif isinstance(outcome, Reply):
                waiter.set_result(outcome)
            else:
                waiter.set_exception(outcome)

        self._write(exchange, policy, endpoint, connection, sink, upgrade=_upgrade(exchange))
        try:
            reply = await waiter
        except asyncio.CancelledError:
            # Once the sink was called, the connection may serve another exchange already.
            if not is_over:
                connection.close()
            elif not waiter.cancelled() and waiter.exception() is None:
                _discard(waiter.result(), connection)
            raise
        if reply.status == 101:
            return _switching(reply, connection, policy.idle_timeout_s)
        return reply

    def _write(
        self,
        exchange: Exchange,
        policy: ForwardPolicy,
        endpoint: Endpoint,
        connection: UpstreamConnection,
        sink: ReplySink,
        *,
        upgrade: bytes | None,
    ) -> None:
        body = exchange.body
        framing, is_chunked = _framing(exchange.method, body)
        if policy.sends_timeout and exchange.deadline_s is not None:
            left = b"x-request-timeout-ms: %d" % max(1, int(1000.0 * (exchange.deadline_s - monotonic())))
            framing = framing + b"\r\n" + left if framing else left
        if policy.line:
            framing = framing + b"\r\n" + policy.line if framing else policy.line
        target = policy.rewrite(exchange) if policy.rewrite is not None else exchange.target
        data = request_head(exchange, target, endpoint.name, framing=framing, upgrade=upgrade)
        connection.start(
            exchange.method,
            data + body if isinstance(body, bytes) else data,
            deadline_s=exchange.deadline_s,
            idle_timeout_s=policy.idle_timeout_s,
            interim=exchange.send_interim,
            sink=sink,
            is_whole=isinstance(body, bytes),
            may_switch=upgrade is not None,
        )
        if not isinstance(body, bytes):
            connection.pump = self._loop.create_task(_pump(connection, body, is_chunked=is_chunked))

    def _idle(self, exchange: Exchange, endpoint: Endpoint) -> UpstreamConnection | None:
        """A pooled connection that may be used at once."""
        while (connection := endpoint.pool.take_idle()) is not None:
            assert isinstance(connection, UpstreamConnection)
            if _may_resend(exchange) or not connection.is_stale():
                return connection
            connection.close()
        return None

    async def _connection(self, exchange: Exchange, policy: ForwardPolicy, endpoint: Endpoint) -> UpstreamConnection:
        """A connection as soon as there is one. Raises UpstreamError; nothing was sent then."""
        pool = endpoint.pool
        timeout_s = policy.connect_timeout_s
        if exchange.deadline_s is not None:
            timeout_s = max(0.001, min(timeout_s, exchange.deadline_s - monotonic()))
        while not pool.reserve():
            try:
                waited = await pool.wait(timeout_s)
            except TimeoutError:
                detail = "All connections to the upstream are busy"
                raise UpstreamError(
                    errors.UPSTREAM_BUSY, detail, "busy", is_sent=False, headers=[(b"retry-after", b"1")]
                ) from None
            if waited is None:
                break
            assert isinstance(waited, UpstreamConnection)
            # It may have ended in the very turn in which it was handed over.
            if not waited.is_closed and (_may_resend(exchange) or not waited.is_stale()):
                return waited
            waited.close()
        return await self._connect(endpoint, timeout_s)

    async def _connect(self, endpoint: Endpoint, timeout_s: float) -> UpstreamConnection:
        pool = endpoint.pool
        made: list[UpstreamConnection] = []

        def make() -> UpstreamConnection:
            connection = UpstreamConnection(self._loop, self._outbox, pool.put, pool.forget)
            made.append(connection)
            return connection

        try:
            async with asyncio.timeout(timeout_s):
                transport = await endpoint.connect(make)
                if endpoint.tls is not None:
                    name = endpoint.server_name
                    made[0].connection_made(await secure(self._loop, transport, made[0], endpoint.tls, name))
        except BaseException as error:
            # close() tells the pool; where no connection was even made, the place is given back here.
            if made:
                for connection in made:
                    connection.close()
            else:
                pool.discard()
            if isinstance(error, TimeoutError):
                detail = "The upstream did not accept a connection in time"
                raise UpstreamError(errors.UPSTREAM_CONNECT_TIMEOUT, detail, "connect", is_sent=False) from None
            if isinstance(error, ssl.SSLError):
                raise _tls_failure(endpoint, error) from None
            if isinstance(error, OSError):
                detail = "The upstream accepts no connection"
                raise UpstreamError(errors.UPSTREAM_UNREACHABLE, detail, "connect", is_sent=False) from None
            raise
        connection = made[0]
        if connection.is_closed:
            detail = "The upstream ended the connection before it was asked anything"
            raise UpstreamError(errors.UPSTREAM_RESET, detail, "reset", is_sent=False)
        return connection


def _tls_failure(endpoint: Endpoint, error: ssl.SSLError) -> UpstreamError:
    """No cause that a route can list under `retry.on`: what is wrong stays wrong until somebody mends it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        kind, why = errors.UPSTREAM_CERTIFICATE_REFUSED, error.verify_message
    else:
        kind, why = errors.UPSTREAM_TLS_FAILED, error.reason or str(error)
    if endpoint.may_warn(monotonic()):
        _log.warning("TLS to %s failed: %s: %s", endpoint.name, kind.code, why)
    # What exactly is wrong with it is the operator's affair, and says much about what stands behind the gateway.
    return UpstreamError(kind, "", "tls", is_sent=False)


def _may_resend(exchange: Exchange) -> bool:
    """Whether sending the request again over a fresh connection does no harm."""
    return exchange.method in IDEMPOTENT_METHODS and isinstance(exchange.body, bytes)


def _restore_location(reply: Reply, endpoint: str, client_path: Callable[[str], str]) -> None:
    """Say where a thing is as the client has to ask for it: the upstream knows neither the gateway nor its paths."""
    for name in (b"location", b"content-location"):
        value = reply.headers.get(name)
        if value is None:
            continue
        text = value.decode("latin-1")
        for origin in (f"http://{endpoint}/", f"https://{endpoint}/"):
            if text.startswith(origin):
                text = text[len(origin) - 1 :]
        if text.startswith("/") and not text.startswith("//"):
            reply.headers.set(name, client_path(text).encode("latin-1"))


def _discard(outcome: Reply | GatewayError, connection: UpstreamConnection) -> None:
    """Let go of a reply that nobody waits for any more."""
    if isinstance(outcome, Reply):
        if outcome.status == 101:
            connection.close()
        elif not isinstance(outcome.body, bytes):
            outcome.body.close()


def _framing(method: str, body: bytes | BodyStream) -> tuple[bytes, bool]:
    """The line that frames the request body, and whether it goes in chunks."""
    length = len(body) if isinstance(body, bytes) else body.length
    if length is None:
        return b"transfer-encoding: chunked", True
    if length or method in _BODY_EXPECTED:
        return b"content-length: %d" % length, False
    return b"", False


# RFC 9110 section 8.6: a method that defines a meaning for a body says its length even where that is 0.
_BODY_EXPECTED: Final = frozenset({"POST", "PUT", "PATCH"})


def _upgrade(exchange: Exchange) -> bytes | None:
    headers = exchange.headers
    protocol = headers.get(b"upgrade")
    if protocol is None or exchange.method != "GET" or b"upgrade" not in connection_options(headers):
        return None
    if exchange.send_interim is None:
        # An HTTP/1.0 client takes no 101 (RFC 9110 section 7.8).
        return None
    return protocol


def _switching(reply: Reply, connection: UpstreamConnection, idle_timeout_s: float | None) -> SwitchingReply:
    """The 101 with the upstream's socket, and with the fields that end at a hop only where the hop goes on."""
    transport, tail = connection.take_over()
    reply.headers.add(b"upgrade", connection.upgrade or b"")
    reply.headers.add(b"connection", b"upgrade")
    return SwitchingReply(reply.headers, transport, tail, idle_timeout_s)


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
