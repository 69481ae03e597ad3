"""One request through a table's own router, hooks and pipeline, up to where it would go to an upstream.

The services around them are not there: every bucket is full, nothing is kept, no key is claimed, the upstream is a
reply of nothing. Who asks is either whom a real credential names, verified as ever, or a caller that the rehearsal
vouches for: then the exchange carries an identity of the route's auth profile before auth runs, as a part of a batch
does.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config.load import LoadedTable
from gateway.config.offline import NothingKept, OfflineServices
from gateway.config.partial import admit
from gateway.config.snapshot import CompiledRoute, Snapshot
from gateway.config.table_test import Caller
from gateway.core.client_address import TrustedProxies, client_address
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers
from gateway.core.identity import Identity
from gateway.core.kept_replies import Answer, Sought, Ticket
from gateway.core.rate_limit import Decision, Window
from gateway.core.rate_limit import take as take_tokens
from gateway.core.tokens import identity_of
from gateway.observe.tracing import IdSource
from gateway.plugin_api import Exchange, Plugin, Reply
from gateway.proxy.error_reply import error_reply
from gateway.proxy.explained import describe, plugin_reports, upstream_target
from gateway.proxy.forward import Forwarder
from gateway.proxy.heads import request_head, strip_connection_options
from gateway.proxy.outbox import Outbox
from gateway.proxy.pipeline import Current, Pipeline, match_route

_SENT = "rehearsal.sent"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. target: origin form. authority: Host. caller: who is vouched for; None: only what the headers
    show. headers: names in any case.
    """

    method: str
    target: str
    authority: str = "gateway"
    scheme: str = "http"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    caller: Caller | None = None
    peer_ip: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. summary: of `explained.describe`. reports: what the plugins that were entered say, by name.
    detail: of the error. route: None where none serves it. sent: the header lines for the upstream, less those of the
    body's framing; None where it does not go there.
    """

    exchange: Exchange
    summary: Mapping[str, Any]
    reports: Mapping[str, Mapping[str, Any]]
    detail: str
    route: CompiledRoute | None
    sent: tuple[tuple[str, str], ...] | None


class Rehearsal:
    """Of one table. Raises TableInvalid where that is not good. now_s: wall clock, for the dates in tokens."""

    def __init__(self, loaded: LoadedTable, now_s: Callable[[], float] = time.time) -> None:
        self._handle: Callable[[Exchange], Awaitable[Reply]] = _nobody_serves
        self._ids = IdSource()
        self._trusted = TrustedProxies(loaded.table.gateway.trusted_proxies)
        self.loaded = loaded
        self.snapshot: Snapshot = admit(
            loaded, lambda plugin: _Services(loaded, plugin, now_s, lambda exchange: self._handle(exchange)), _send
        )
        self._routes = {route.info.id: route for route in self.snapshot.routes}

    async def run(self, request: Request) -> Outcome:
        """One request."""
        loop = asyncio.get_running_loop()
        forwarder = Forwarder(loop, Outbox(loop))
        pipeline = Pipeline(Current(self.snapshot, forwarder), loop, _record_nothing)
        self._handle = pipeline.handle
        exchange = self._exchange(request)
        try:
            exchange.identity = self._vouch(request)
        except GatewayError as error:
            # What the caller is said to be cannot be: a token that said so would be refused.
            exchange.compiled = match_route(exchange, self.snapshot)
            exchange.route = exchange.compiled.info
            exchange.reply = error_reply(error, exchange)
        else:
            await pipeline.handle(exchange)
            pipeline.finish(exchange)
        sent: tuple[tuple[str, str], ...] | None = exchange.state.get(_SENT)
        summary = describe(exchange, self.snapshot.version, is_sent=sent is not None)
        if sent is not None and not summary["code"]:
            summary["status"] = None  # the upstream's affair
        compiled: CompiledRoute = exchange.compiled
        # Of a leg of a split: the route that stands in the table.
        route = None if compiled is self.snapshot.fallback else self._routes.get(compiled.info.id, compiled)
        return Outcome(exchange, summary, plugin_reports(exchange), _detail(exchange), route, sent)

    def _exchange(self, request: Request) -> Exchange:
        headers = Headers([(name.lower().encode(), value.encode()) for name, value in request.headers])
        if headers.get(b"host") is None:
            headers.add(b"host", request.authority.encode())
        authority = headers.get(b"host") or b""
        strip_connection_options(headers)
        exchange = Exchange(
            method=request.method,
            target=request.target,
            headers=headers,
            body=request.body,
            scheme=request.scheme,
            authority=authority.decode("latin-1").lower(),
            peer_ip=request.peer_ip,
            client_ip=request.peer_ip,
            is_trusted_peer=self._trusted.is_trusted(request.peer_ip),
            started_s=time.monotonic(),
        )
        exchange.request_id, exchange.traceparent = self._ids.new_ids()
        if exchange.is_trusted_peer and (forwarded_for := headers.get_all(b"x-forwarded-for")):
            exchange.client_ip = client_address(request.peer_ip, forwarded_for, self._trusted)
        return exchange

    def _vouch(self, request: Request) -> Identity | None:
        """The identity that the route's auth takes for checked; None where nobody is vouched for, or nobody asks.
        Raises GatewayError where no credential could say so.
        """
        caller = request.caller
        if caller is None:
            return None
        try:
            route = match_route(self._exchange(request), self.snapshot)
        except GatewayError:
            return None
        credential = next((found for plugin in route.plugins if (found := getattr(plugin, "credential", None))), None)
        if credential is None:
            return None
        names = self.loaded.table.identity.claims()
        if str(credential).startswith("api_key:"):
            return Identity(
                tenant=caller.tenant,
                user=caller.user,
                plan=caller.plan,
                scopes=frozenset(caller.scopes),
                claims=caller.claims,
                credential=credential,
                key=caller.claims.get("key"),
            )
        said = {names.tenant: caller.tenant, names.user: caller.user, names.plan: caller.plan}
        claims = {
            **caller.claims,
            **{name: value for name, value in said.items() if value is not None},
            names.scopes: list(caller.scopes),
        }
        return identity_of(
            claims, credential, tenant=names.tenant, user=names.user, plan=names.plan, scopes=names.scopes
        )


async def _send(exchange: Exchange) -> Reply:
    """The innermost call: what would go to the upstream is noted, and a reply of nothing comes back."""
    head = request_head(exchange, upstream_target(exchange), "", framing=b"", upgrade=None)
    lines = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:] if line]
    exchange.state[_SENT] = tuple((name, value) for name, _, value in lines if name != "host")
    return Reply(200)


async def _nobody_serves(exchange: Exchange) -> Reply:
    raise AssertionError("no request is under way")


def _record_nothing(exchange: Exchange) -> None:
    """Nobody counts here."""


def _detail(exchange: Exchange) -> str:
    """What the error says to the client, "" where there is none."""
    body = exchange.reply.body if exchange.reply is not None else b""
    if not exchange.error_code or not isinstance(body, bytes):
        return ""
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError):
        # A plugin has put something else in its place.
        return ""


class _FullBuckets:
    def take(self, key: str, windows: tuple[Window, ...], cost: int = 1) -> Decision:
        """As from buckets that nobody has used."""
        return take_tokens([None] * len(windows), windows, cost, 0)[0]


class _NothingClaimed:
    async def claim(self, key: str, value: bytes, for_s: float) -> bytes | None:
        """Whoever asks is the first."""
        return None

    async def replace(self, key: str, value: bytes, new: bytes, for_s: float) -> bool:
        """And still is."""
        return True


class _NothingKeptYet(NothingKept):
    async def find(self, sought: Sought) -> Answer | Ticket | None:
        """The right to ask the upstream, as for whoever comes first."""
        return Ticket(sought, sought.name_of(sought.vary), 0)


class _Services(OfflineServices):
    """For one plugin of the rehearsed table."""

    def __init__(
        self,
        loaded: LoadedTable,
        plugin: type[Plugin],
        now_s: Callable[[], float],
        dispatch: Callable[[Exchange], Awaitable[Reply]],
    ) -> None:
        super().__init__(loaded, plugin)
        self.limits = self.local_limits = _FullBuckets()
        self.claims = _NothingClaimed()
        self.kept = _NothingKeptYet()
        self._now_s = now_s
        self._dispatch = dispatch

    def now(self) -> float:
        """The wall clock: tokens have dates."""
        return self._now_s()

    async def dispatch(self, exchange: Exchange) -> Reply:
        """A part of a batch goes the same way."""
        return await self._dispatch(exchange)
