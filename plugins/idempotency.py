"""`idempotency`: a write that is sent again under the same `Idempotency-Key` is carried out once, and answered again.

draft-ietf-httpapi-idempotency-key-header, for POST and PATCH. Short form: `optional` or `required`; long form:
`{mode: optional, for: 24h}`. A key is a tenant's own (a client address's, where nobody is known), for one route and
method.

| the key | gets |
| --- | --- |
| is new | the upstream's reply, which is kept |
| came with the same request, by the same user | the kept reply, with `Idempotency-Replayed: true` |
| came with another request | 422 |
| is of a request under way | 409, with Retry-After |
| came with a request whose reply was over REPLY_MAX, or a stream | 409: it was carried out, its reply is not kept |

Only what is final is kept (`core/idempotency.py`): after a 5xx, a 429 and their like, and where no reply came, the key
is free again. The key passes on to the upstream, so one that knows keys makes even such a repetition exact. Decision
0014 says why.

A keyed request goes on when its client has left. Its key is held by a lease that is renewed while the request runs, so
it is free LEASE_S after a worker was killed. Without the store no keyed request is served: 503.
"""

import asyncio
import os
from collections.abc import Awaitable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers
from gateway.core.idempotency import (
    UNKNOWN,
    Claim,
    Fingerprint,
    KeptReply,
    claim_record,
    is_final,
    lost_record,
    parse_key,
    read_record,
    record_key,
    reply_record,
)
from gateway.core.scalars import Duration, Settings
from gateway.plugin_api import (
    REPEATABLE,
    BodyStream,
    Exchange,
    Plugin,
    PluginServices,
    PolicyError,
    Reply,
    RouteInfo,
    Stage,
    StoreDown,
    UpstreamCall,
)

LEASE_S = 15.0
RENEWED_AFTER_S = 5.0
REPLY_MAX = 256 << 10
# How long a table that is gone waits for requests whose clients have left.
CLOSE_S = 5.0

_METHODS = frozenset({"POST", "PATCH"})
_VERDICTS = ("first", "freed", "lost", "replayed", "in_flight", "mismatch", "unkept", "store_down")


Mode = Literal["optional", "required"]


class IdempotencySettings(Settings):
    """The short form is the mode."""

    mode: Mode = Field(description="Whether a write without a key is refused")
    for_: Duration = Field(default=86_400.0, alias="for", description="How long a reply is kept")

    @field_validator("for_")
    @classmethod
    def _check_for(cls, value: float) -> float:
        if value < LEASE_S:
            raise ValueError(f"a reply is kept for {LEASE_S:g}s at least")
        return value


def _read_short(value: Any) -> Any:
    return {"mode": value} if isinstance(value, str) else value


class Idempotency(Plugin):
    """Answers a repetition, or lets the first one through and keeps its reply."""

    name = "idempotency"
    stage = Stage.CACHE
    Policy = Annotated[
        IdempotencySettings, BeforeValidator(_read_short, json_schema_input_type=Mode | IdempotencySettings)
    ]

    def __init__(self, policy: IdempotencySettings, route: RouteInfo, services: PluginServices) -> None:
        if route.methods is not None and not route.methods & _METHODS:
            raise PolicyError("keys are for POST and PATCH, and this route has neither")
        self._is_required = policy.mode == "required"
        self._keep_s = policy.for_
        self._route = route.id
        self._store = services.claims
        self._log = services.log
        self._running: set[asyncio.Task[Reply]] = set()
        counter = services.metrics.counter
        self._count = {
            verdict: counter("gateway_idempotency_verdicts", "Keyed requests", route=route.id, verdict=verdict).inc
            for verdict in _VERDICTS
        }

    def on_request(self, exchange: Exchange) -> None:
        """Read the key."""
        if exchange.method not in _METHODS:
            return
        if b"idempotency-key" not in exchange.headers:
            if self._is_required:
                raise GatewayError(errors.IDEMPOTENCY_KEY_MISSING, "This needs an Idempotency-Key: a new one a write")
            return
        try:
            key = parse_key(exchange.headers.get_all(b"idempotency-key"))
        except ValueError as error:
            raise GatewayError(errors.IDEMPOTENCY_KEY_MALFORMED, f"Of the Idempotency-Key: {error}") from None
        exchange.state["idempotency"] = record_key(_caller(exchange), self._route, exchange.method, key)
        exchange.state[REPEATABLE] = True

    def wrap_upstream(self, call: UpstreamCall) -> UpstreamCall:
        """Carry a keyed request out once. One without a key costs a look."""

        def once(exchange: Exchange) -> Awaitable[Reply]:
            key = exchange.state.get("idempotency")
            return call(exchange) if key is None else self._once(exchange, key, call)

        return once

    def close(self) -> Awaitable[None] | None:
        """Let what runs without its client end, but not for ever; what still runs then frees its key by its lease."""
        return self._end_all() if self._running else None

    async def _once(self, exchange: Exchange, key: str, call: UpstreamCall) -> Reply:
        request = _Request(exchange)
        claim = claim_record(request.known, os.urandom(16))
        try:
            found = await self._store.claim(key, claim, LEASE_S)
        except StoreDown:
            self._note(exchange, "store_down")
            raise GatewayError(errors.IDEMPOTENCY_STORE_DOWN, headers=((b"retry-after", b"1"),)) from None
        if found is not None:
            return await self._answer(exchange, found, request)
        task = asyncio.create_task(self._carry_out(exchange, key, claim, request, call))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_let_go)
            raise
        finally:
            exchange.body = request.body

    async def _answer(self, exchange: Exchange, found: bytes, request: "_Request") -> Reply:
        record = read_record(found)
        if isinstance(record, Claim):
            if UNKNOWN not in (record.fingerprint, request.known) and record.fingerprint != request.known:
                raise self._mismatch(exchange)
            self._note(exchange, "in_flight")
            detail = "The first request with this Idempotency-Key is still under way"
            raise GatewayError(errors.IDEMPOTENCY_IN_FLIGHT, detail, headers=((b"retry-after", b"1"),))
        if record.fingerprint != await request.read_to_end():
            raise self._mismatch(exchange)
        if isinstance(record, KeptReply):
            self._note(exchange, "replayed")
            return Reply(record.status, Headers((*record.headers, (b"idempotency-replayed", b"true"))), record.body)
        self._note(exchange, "unkept")
        detail = "The first request with this Idempotency-Key was carried out; its reply was too large to be kept"
        raise GatewayError(errors.IDEMPOTENCY_REPLY_NOT_KEPT, detail)

    def _mismatch(self, exchange: Exchange) -> GatewayError:
        self._note(exchange, "mismatch")
        detail = "This Idempotency-Key came with another request before: take a new one for a new request"
        return GatewayError(errors.IDEMPOTENCY_KEY_REUSED, detail)

    async def _carry_out(
        self, exchange: Exchange, key: str, claim: bytes, request: "_Request", call: UpstreamCall
    ) -> Reply:
        """Goes on to its end whether or not anybody waits. Cancelled, it leaves its key: nobody knows what was done."""
        lease = asyncio.create_task(self._renew(key, claim))
        try:
            reply = await call(exchange)
            new = await _keep(reply, request) if is_final(reply.status) else b""
        except Exception:
            await self._end(exchange, key, claim, b"")
            raise
        finally:
            lease.cancel()
        await self._end(exchange, key, claim, new)
        return reply

    async def _end(self, exchange: Exchange, key: str, claim: bytes, new: bytes) -> None:
        try:
            is_ours = await self._store.replace(key, claim, new, self._keep_s)
        except StoreDown as error:
            is_ours = False
            self._log.warning("an idempotency key has lost its reply: %s", error)
        self._note(exchange, "lost" if not is_ours else "first" if new else "freed")

    async def _end_all(self) -> None:
        await asyncio.wait(self._running, timeout=CLOSE_S)
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _renew(self, key: str, claim: bytes) -> None:
        while True:
            await asyncio.sleep(RENEWED_AFTER_S)
            try:
                await self._store.replace(key, claim, claim, LEASE_S)
            except StoreDown:
                pass  # the lease is longer than one renewal

    def _note(self, exchange: Exchange, verdict: str) -> None:
        exchange.verdicts["idempotency"] = verdict
        self._count[verdict]()


class _Request:
    """The fingerprint of an exchange's request. known: UNKNOWN while the body still has to come. body: as it was."""

    def __init__(self, exchange: Exchange) -> None:
        identity = exchange.identity
        user = "" if identity is None else identity.user or identity.key or ""
        self._fingerprint = Fingerprint(user, exchange.method, exchange.target)
        self._body: _HashedBody | None = None
        self.known = UNKNOWN
        body = self.body = exchange.body
        if isinstance(body, bytes):
            self._fingerprint.update(body)
            self.known = self._fingerprint.digest()
        else:
            exchange.body = self._body = _HashedBody(body, self._fingerprint)

    @property
    def final(self) -> bytes | None:
        """The fingerprint, if all of the body was read."""
        if self._body is not None and not self._body.is_ended:
            return None
        return self._fingerprint.digest()

    async def read_to_end(self) -> bytes:
        """The fingerprint, after all of the body. Raises GatewayError where that breaks off."""
        while self._body is not None and not self._body.is_ended:
            await self._body.read()
        return self._fingerprint.digest()


class _HashedBody:
    """A request body that is read once, by the upstream, and so has its fingerprint at the end without being kept."""

    def __init__(self, body: BodyStream, fingerprint: Fingerprint) -> None:
        self._source = body
        self._fingerprint = fingerprint
        self._left = body.length
        self.is_ended = False

    @property
    def length(self) -> int | None:
        return self._source.length

    @property
    def has_buffered(self) -> bool:
        return self._source.has_buffered

    async def read(self) -> bytes:
        piece = await self._source.read()
        self._fingerprint.update(piece)
        if self._left is not None:
            # The upstream may answer its last byte before the end is read.
            self._left -= len(piece)
        self.is_ended = not piece or self._left == 0
        return piece

    def close(self) -> None:
        self._source.close()


class _ReadBefore:
    """A reply's body whose first pieces were read already."""

    def __init__(self, pieces: list[bytes], rest: BodyStream) -> None:
        self._pieces = pieces
        self._rest = rest

    @property
    def length(self) -> int | None:
        return self._rest.length

    @property
    def has_buffered(self) -> bool:
        return bool(self._pieces) or self._rest.has_buffered

    @property
    def trailers(self) -> Headers | None:
        return getattr(self._rest, "trailers", None)

    async def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else await self._rest.read()

    def close(self) -> None:
        self._pieces.clear()
        self._rest.close()


async def _keep(reply: Reply, request: _Request) -> bytes:
    """The record of a reply, whose body is then whole; b"" where there is none, for the request was not read whole.

    Raises GatewayError where the reply breaks off.
    """
    fits = await _gather(reply)
    fingerprint = request.final
    if fingerprint is None:
        return b""
    if not fits:
        return lost_record(fingerprint)
    assert isinstance(reply.body, bytes)
    return reply_record(fingerprint, reply.status, reply.headers.lines, reply.body)


async def _gather(reply: Reply) -> bool:
    """Read a reply whole, if it is neither too large nor a stream without an end."""
    body = reply.body
    if isinstance(body, bytes):
        return len(body) <= REPLY_MAX
    content_type = reply.headers.get(b"content-type") or b""
    if (body.length or 0) > REPLY_MAX or content_type[:17].lower() == b"text/event-stream":
        return False
    pieces: list[bytes] = []
    size = 0
    while piece := await body.read():
        pieces.append(piece)
        size += len(piece)
        if size > REPLY_MAX:
            reply.body = _ReadBefore(pieces, body)
            return False
    reply.body = b"".join(pieces)
    reply.trailers = getattr(body, "trailers", None)
    return True


def _let_go(task: asyncio.Task[Reply]) -> None:
    """Nobody waits for the reply any more."""
    if not task.cancelled() and task.exception() is None:
        body = task.result().body
        if not isinstance(body, bytes):
            body.close()


def _caller(exchange: Exchange) -> str:
    identity = exchange.identity
    if identity is None or identity.tenant is None:
        return f"ip:{exchange.client_ip}"
    return f"tenant:{identity.tenant}"
