"""`cache`: replies that are kept and used again, as a shared cache does (RFC 9111; the rules are `core/cache_*.py`).

`cache: 3m` is how long a reply is fresh where the upstream says nothing; the long form says more. Who shares a kept
reply is the `scope`: all, a tenant or a user, as the verified credential says. A reply is kept as the client gets it,
compressed, in this worker's memory (l1) and in the store (l2). Of many requests for what is not there, one goes to the
upstream and the others wait for it. Other policies name kept replies by their `tags` to drop them (`invalidates`).
"""

from collections.abc import Awaitable
from typing import Any, ClassVar, Final

from gateway.core.body_copy import BodyCopy
from gateway.core.cache_control import read_request
from gateway.core.cache_freshness import Use, judge_use, may_use_on_error
from gateway.core.cache_invalidation import SAFE_METHODS, invalidated_targets
from gateway.core.cache_keys import Names, choose_scope, keys_of_target, may_fill, origin_of, takes
from gateway.core.cache_reply import StoredReply
from gateway.core.cache_serving import client_reply
from gateway.core.cache_status import forward_status, hit_status
from gateway.core.cache_storing import NotStorable, Storable, judge_store
from gateway.core.cache_tags import compile_tags, take_upstream_tags, unknown_placeholder
from gateway.core.cache_validation import client_has, conditional_lines, freshen, freshen_by_head, may_keep
from gateway.core.errors import NOT_KEPT, GatewayError, Source
from gateway.core.headers import Headers
from gateway.core.kept_replies import CacheKey, Purge, Sought, Ticket, Variant
from gateway.plugin_api import (
    BodyTransform,
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
from plugins.cache_settings import CacheSettings, Policy
from plugins.cache_warming import Seen, Warming
from plugins.cache_words import compare_cache, explain_key

_VERDICTS: Final = ("hit-l1", "hit-l2", "miss", "stale", "revalidated", "bypass", "coalesced")
# The uses are in order: up to this one the reply may be used at once.
_LAST_USABLE: Final = int(Use.STALE_WHILE_REVALIDATE)
_STALE_WHILE_REVALIDATE: Final = Use.STALE_WHILE_REVALIDATE
# Without these a request gets the kept reply as it is, as long as that is fresh.
_WISHES: Final = frozenset({b"cache-control", b"pragma", b"if-none-match", b"if-modified-since", b"range"})
# What a client may ask for in parts or under conditions, and the one reply that is kept may not.
_OF_ONE_CLIENT: Final = frozenset({b"if-none-match", b"if-modified-since", b"range", b"if-range"})
# RFC 5861 section 4
_FAILURES: Final = frozenset({500, 502, 503, 504})


class _Run:
    """What the cache remembers of one request that went past it. request: its headers as the client sent them."""

    __slots__ = ("is_settled", "reason", "request", "sent_s", "stale", "storable", "tags", "ticket")

    def __init__(self, ticket: Ticket | None, stale: StoredReply | None, request: Headers, reason: bytes) -> None:
        self.ticket = ticket
        self.stale = stale
        self.request = request
        self.reason = reason
        self.sent_s = 0.0
        self.storable: Storable | None = None
        self.tags: tuple[str, ...] = ()
        self.is_settled = False
        """The reply was made from a kept one, its head is done."""


class Cache(Plugin):
    """Answers from what is kept, and keeps what passes."""

    name = "cache"
    stage = Stage.CACHE
    Policy = Policy
    compare: ClassVar[Any] = compare_cache

    def __init__(self, policy: CacheSettings, route: RouteInfo, services: PluginServices) -> None:
        has_auth = "auth" in route.policies
        if has_auth and policy.scope is None:
            raise PolicyError(
                "say who may share a kept reply: scope: tenant, user or public", code="scope_needed", path=("scope",)
            )
        if not has_auth and policy.scope in {"tenant", "user"}:
            raise PolicyError(f"with `auth: none` there is no {policy.scope} to tell apart", path=("scope",))
        for number, tag in enumerate(policy.tags):
            if unknown := unknown_placeholder(tag, route.pattern, has_auth=has_auth):
                raise PolicyError(unknown, path=("tags", number))
        self._policy = policy
        self._rules = policy.rules()
        self._group = f"{route.id}@{route.upstream or ''}"
        codings = getattr(route.policies.get("compress"), "codings", ())
        self._names = Names(self._group, policy.vary, codings)
        self._vary: tuple[bytes, ...] = (b"accept-encoding",) if codings else ()
        self._scope_of = choose_scope(policy.scope or "public")
        self._tags_of = compile_tags(policy.tags)
        self._max_size = policy.max_size
        self._in_local = "l1" in policy.layers
        self._in_store = "l2" in policy.layers
        self._kept = services.kept
        self._find_local = services.kept.find_local
        self._services = services
        self._now = services.now
        self._warming = services.shared("warming", lambda: Warming(services, services.lasting("seen", Seen)))
        if policy.warm is not None:
            self._warming.add(policy.warm, is_public=policy.scope not in {"tenant", "user"})
        self._refreshing: set[tuple[CacheKey, bytes]] = set()
        counter = services.metrics.counter
        self._count = {
            verdict: counter(
                "gateway_cache_requests", "Requests by what the cache did.", route=route.id, result=verdict
            )
            for verdict in _VERDICTS
        }
        self._bytes_l1, self._bytes_l2 = (
            counter("gateway_cache_bytes", "Body bytes from kept replies.", route=route.id, layer=layer)
            for layer in ("l1", "l2")
        )

    # -- the request ------------------------------------------------------------------------------------------------

    def on_request(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Answer from this worker's memory at once, or look further."""
        if exchange.method != "GET" and exchange.method != "HEAD":
            return None
        if self._warming.is_needed:
            self._warming.see(exchange)
        key = self._key(exchange)
        if key is None or exchange.body:
            exchange.verdicts["cache"] = "bypass"
            exchange.state["cache"] = _Run(None, None, exchange.headers, b"bypass")
            return None
        stale: StoredReply | None = None
        reason = b"uri-miss"
        if self._in_local:
            variants = self._find_local(key)
            if variants is not None:
                variant = self._choose(exchange, variants)
                if variant is None:
                    reason = b"vary-miss"
                else:
                    now_s = self._now()
                    if (
                        now_s < variant.fresh_until_s
                        and exchange.method == "GET"
                        and exchange.headers.has_none_of(_WISHES)
                    ):
                        return self._plain_hit(exchange, variant, now_s)
                    use = judge_use(variant.stored, exchange.headers, now_s)
                    if use <= _LAST_USABLE:
                        return self._hit(exchange, key, variant, use, now_s)
                    stale, reason = variant.stored, self._why(exchange, variant.stored, use, now_s)
        return self._look_further(exchange, key, stale, reason)

    def _key(self, exchange: Exchange) -> CacheKey | None:
        scope = self._scope_of(exchange.identity)
        if scope is None:
            return None
        scheme, authority = exchange.scheme, exchange.authority
        if exchange.is_trusted_peer:
            scheme, authority = origin_of(scheme, authority, exchange.headers, is_trusted=True)
        return scope, scheme, authority, exchange.path, exchange.query

    def explain(self, exchange: Exchange) -> dict[str, object] | None:
        """Under which key the reply is kept, and on what terms."""
        return explain_key(self._policy, exchange, self._key(exchange), self._tags_of)

    def _choose(self, exchange: Exchange, variants: list[Variant]) -> Variant | None:
        vary: tuple[bytes, ...] | None = None
        name = b""
        for variant in variants:
            if variant.stored.vary != vary:
                vary = variant.stored.vary
                name = self._names.of(vary, exchange.headers, exchange.identity)
            if variant.name == name:
                if variant.coding is None or takes(exchange.headers, variant.coding):
                    return variant
                return None
        return None

    def _plain_hit(self, exchange: Exchange, variant: Variant, now_s: float) -> Reply:
        """Fresh, and asked for without any wishes: nearly all hits. Their head is made once a second."""
        stored = variant.stored
        exchange.verdicts["cache"] = "hit-l1"
        self._bytes_l1.inc(len(stored.body))
        return Reply(stored.status, Headers((), variant.block_at(now_s)), stored.body)

    def _hit(self, exchange: Exchange, key: CacheKey, variant: Variant, use: Use, now_s: float) -> Reply:
        if use is _STALE_WHILE_REVALIDATE:
            self._refresh(exchange, key, variant)
            exchange.verdicts["cache"] = "stale"
        else:
            exchange.verdicts["cache"] = "hit-l1"
        self._bytes_l1.inc(len(variant.stored.body))
        return self._reply(exchange.method, exchange.headers, variant.stored, now_s, None)

    def _reply(self, method: str, request: Headers, stored: StoredReply, now_s: float, status: bytes | None) -> Reply:
        """The kept reply for one client. status: of Cache-Status, where it is no plain hit."""
        age_s = stored.age_s(now_s)
        made = client_reply(stored, method, request, age_s)
        made.headers.append((b"cache-status", status or hit_status(stored.lifetime_s - age_s)))
        return Reply(made.status, Headers(made.headers), made.body, length=made.length)

    def _why(self, exchange: Exchange, stored: StoredReply, use: Use, now_s: float) -> bytes:
        if use is Use.GATEWAY_TIMEOUT:
            raise GatewayError(NOT_KEPT)
        return b"stale" if stored.age_s(now_s) >= stored.lifetime_s else b"request"

    def _sought(self, exchange: Exchange, key: CacheKey) -> Sought:
        headers, identity, names, now = exchange.headers, exchange.identity, self._names, self._now
        return Sought(
            key=key,
            group=self._group,
            vary=self._vary,
            name_of=lambda vary: names.of(vary, headers, identity),
            may_use=lambda stored: _may_use(stored, headers, now()),
            tags=self._tags_of(identity, exchange.params),
            in_local=self._in_local,
            in_store=self._in_store,
        )

    async def _look_further(
        self, exchange: Exchange, key: CacheKey, stale: StoredReply | None, reason: bytes
    ) -> Reply | None:
        headers = exchange.headers
        wishes = read_request(headers)
        sought = self._sought(exchange, key)
        if wishes.only_if_cached or wishes.no_store or not may_fill(exchange.method, headers):
            kept = await self._kept.look(sought)
            if kept is not None:
                return self._answer(exchange, key, kept, "l2")
            if wishes.only_if_cached:
                raise GatewayError(NOT_KEPT)
            exchange.verdicts["cache"] = "miss"
            exchange.state["cache"] = _Run(None, stale, headers, reason)
            return None
        found = await self._kept.find(sought)
        if found is not None and not isinstance(found, Ticket):
            return self._answer(exchange, key, found.stored, found.source)
        if found is not None and found.stale is not None:
            stale = found.stale
            reason = self._why(exchange, stale, Use.MUST_VALIDATE, self._now())
        exchange.verdicts["cache"] = "miss"
        exchange.state["cache"] = _Run(found, stale, headers, reason)
        return None

    def _answer(self, exchange: Exchange, key: CacheKey, stored: StoredReply, source: str) -> Reply:
        now_s = self._now()
        self._vary = stored.vary
        use = judge_use(stored, exchange.headers, now_s)
        if use is Use.STALE_WHILE_REVALIDATE:
            self._refresh(
                exchange, key, Variant(self._names.of(stored.vary, exchange.headers, exchange.identity), stored)
            )
        if source == "coalesced":
            exchange.verdicts["cache"] = "coalesced"
            status = forward_status(b"uri-miss", collapsed=True)
        else:
            exchange.verdicts["cache"] = "stale" if use is Use.STALE_WHILE_REVALIDATE else "hit-l2"
            self._bytes_l2.inc(len(stored.body))
            status = None
        return self._reply(exchange.method, exchange.headers, stored, now_s, status)

    # -- the upstream -----------------------------------------------------------------------------------------------

    def wrap_upstream(self, call: UpstreamCall) -> UpstreamCall:
        """Ask under the conditions of what is kept, and use that where the upstream fails."""

        async def ask(exchange: Exchange) -> Reply:
            run: _Run | None = exchange.state.get("cache")
            if run is None:
                return await self._write(exchange, call)
            has_conditions = self._prepare(exchange, run)
            run.sent_s = self._now()
            try:
                reply = await call(exchange)
                if reply.status == 304 and has_conditions:
                    made = self._not_modified(exchange, run, reply)
                    if made is not None:
                        return made
                    # About something else than what is kept: the whole of it, then.
                    exchange.headers = _without(run.request, _OF_ONE_CLIENT)
                    run.sent_s = self._now()
                    reply = await call(exchange)
            except GatewayError as error:
                if error.kind.source is Source.UPSTREAM and run.stale is not None:
                    instead = self._instead(exchange, run, error.kind.status)
                    if instead is not None:
                        return instead
                raise
            finally:
                exchange.headers = run.request
            if reply.status in _FAILURES and run.stale is not None:
                instead = self._instead(exchange, run, reply.status)
                if instead is not None:
                    if not isinstance(reply.body, bytes):
                        reply.body.close()
                    return instead
            if exchange.method == "HEAD" and reply.status == 200 and run.stale is not None:
                await self._compare(exchange, run.stale, reply, run.sent_s)
            self._judge(exchange, run, reply)
            return reply

        return ask

    async def _compare(self, exchange: Exchange, stored: StoredReply, reply: Reply, sent_s: float) -> None:
        """A reply to HEAD renews what is kept for GET, or drops it (RFC 9111 section 4.3.5)."""
        key = self._key(exchange)
        if key is None:
            return
        fresh = freshen_by_head(
            stored, reply.headers, reply.length, self._rules, request_time_s=sent_s, response_time_s=self._now()
        )
        if fresh is None or not may_keep(fresh, self._rules):
            await self._drop((key,))
            return
        ticket = await self._kept.begin(self._sought(exchange, key)._replace(vary=stored.vary))
        # Where there is none, somebody is just fetching the whole.
        if ticket is not None:
            self._kept.keep(ticket, fresh)

    def _prepare(self, exchange: Exchange, run: _Run) -> bool:
        """Take away what asks for less than can be kept; ask about what is kept. Whether it does."""
        if run.ticket is None:
            return False
        headers = exchange.headers
        conditions = [] if run.stale is None else conditional_lines(run.stale, headers)
        if conditions or any(name in headers for name in _OF_ONE_CLIENT):
            exchange.headers = _without(headers, _OF_ONE_CLIENT)
            for name, value in conditions:
                exchange.headers.add(name, value)
        return bool(conditions)

    def _not_modified(self, exchange: Exchange, run: _Run, reply: Reply) -> Reply | None:
        assert run.stale is not None and run.ticket is not None
        now_s = self._now()
        fresh = freshen(run.stale, reply.headers, self._rules, request_time_s=run.sent_s, response_time_s=now_s)
        if fresh is None:
            return reply if client_has(run.request, reply.headers) else None
        if may_keep(fresh, self._rules):
            self._kept.keep(run.ticket, fresh)
        else:
            self._kept.give_up(run.ticket, is_kept=False)
        run.is_settled = True
        exchange.verdicts["cache"] = "revalidated"
        status = forward_status(run.reason, status=304, stored=True, ttl_s=fresh.lifetime_s - fresh.initial_age_s)
        return self._reply(exchange.method, run.request, fresh, now_s, status)

    def _instead(self, exchange: Exchange, run: _Run, status: int) -> Reply | None:
        """The kept reply in place of a failure."""
        assert run.stale is not None
        now_s = self._now()
        if not may_use_on_error(run.stale, run.request, now_s):
            return None
        run.is_settled = True
        exchange.verdicts["cache"] = "stale"
        told = forward_status(run.reason, status=status)
        return self._reply(exchange.method, run.request, run.stale, now_s, told)

    def _judge(self, exchange: Exchange, run: _Run, reply: Reply) -> None:
        if run.ticket is None:
            return
        judged = judge_store(
            exchange.method,
            run.request,
            reply.status,
            reply.headers,
            self._rules,
            request_time_s=run.sent_s,
            response_time_s=self._now(),
        )
        length = len(reply.body) if isinstance(reply.body, bytes) else reply.body.length
        is_stream = (reply.headers.get(b"content-type") or b"")[:17].lower() == b"text/event-stream"
        if isinstance(judged, NotStorable) or is_stream or (length is not None and length > self._max_size):
            # Of a failure nobody knows what the next attempt brings.
            self._kept.give_up(run.ticket, is_kept=reply.status in _FAILURES)
        else:
            run.storable = judged

    async def _write(self, exchange: Exchange, call: UpstreamCall) -> Reply:
        """What is no GET or HEAD: what it makes invalid is dropped (RFC 9111 section 4.4)."""
        reply = await call(exchange)
        keys = self._invalidated(exchange, reply)
        if keys:
            await self._drop(keys)
        return reply

    async def _drop(self, keys: tuple[CacheKey, ...]) -> None:
        try:
            await self._kept.purge(Purge(keys=keys))
        except StoreDown:
            self._services.log.warning("kept replies could not be dropped yet: the store is down")

    def _invalidated(self, exchange: Exchange, reply: Reply) -> tuple[CacheKey, ...]:
        if exchange.method in SAFE_METHODS:
            return ()
        scheme, authority = origin_of(
            exchange.scheme, exchange.authority, exchange.headers, is_trusted=exchange.is_trusted_peer
        )
        targets = invalidated_targets(exchange.method, reply.status, scheme, authority, exchange.target, reply.headers)
        return tuple(key for target in targets for key in keys_of_target(exchange.identity, scheme, authority, target))

    # -- the reply --------------------------------------------------------------------------------------------------

    def on_response(self, exchange: Exchange) -> None:
        """Say what the cache did, and begin to keep."""
        reply = exchange.reply
        if reply is None:
            return
        tags = take_upstream_tags(reply.headers)
        run: _Run | None = exchange.state.get("cache")
        if run is None or run.is_settled:
            return
        storable = run.storable
        ticket = run.ticket
        if storable is not None and ticket is not None and not ticket.is_over:
            if tags is None:
                self._kept.give_up(ticket, is_kept=False)
                run.storable = storable = None
            else:
                run.tags = tuple(dict.fromkeys((*ticket.sought.tags, *tags)))
        ttl_s = None if storable is None else storable.freshness.lifetime_s - storable.freshness.initial_age_s
        reply.headers.add(
            b"cache-status", forward_status(run.reason, status=None, stored=storable is not None, ttl_s=ttl_s)
        )

    def body_transform(self, exchange: Exchange) -> BodyTransform | None:
        """What takes the body down while it passes."""
        run: _Run | None = exchange.state.get("cache")
        reply = exchange.reply
        if run is None or run.storable is None or run.ticket is None or run.ticket.is_over or reply is None:
            return None
        ticket, storable, tags, status = run.ticket, run.storable, run.tags, reply.status
        # As it is now: what other plugins add after this is for one client.
        headers = reply.headers.copy()

        def keep(body: bytes) -> None:
            if not ticket.is_over:
                self._keep(ticket, storable, status, headers, body, tags)

        return BodyCopy(self._max_size, keep, lambda: self._kept.give_up(ticket, is_kept=False))

    def on_finish(self, exchange: Exchange) -> None:
        """Count; and whatever became of it, nobody waits on."""
        verdict = exchange.verdicts.get("cache")
        if verdict is not None:
            self._count[verdict].inc()
        if not exchange.state:
            return
        run: _Run | None = exchange.state.get("cache")
        if run is not None and run.ticket is not None and not run.ticket.is_over:
            self._kept.give_up(run.ticket)

    def _keep(
        self, ticket: Ticket, storable: Storable, status: int, headers: Headers, body: bytes, tags: tuple[str, ...]
    ) -> None:
        """The whole body has passed."""
        headers.remove(b"cache-status")
        stored = storable.stored(status, headers, body, tags)
        if isinstance(stored, NotStorable):
            self._kept.give_up(ticket, is_kept=False)
            return
        self._vary = stored.vary
        self._kept.keep(ticket, stored)

    # -- in the background ------------------------------------------------------------------------------------------

    def _refresh(self, exchange: Exchange, key: CacheKey, variant: Variant) -> None:
        """Fetch anew what was just used stale; one at a time."""
        mark = key, variant.name
        if mark in self._refreshing:
            return
        self._refreshing.add(mark)
        sought = self._sought(exchange, key)._replace(vary=variant.stored.vary)
        self._services.spawn(self._refresh_later(exchange, sought, variant.stored, mark))

    async def _refresh_later(
        self, exchange: Exchange, sought: Sought, stale: StoredReply, mark: tuple[CacheKey, bytes]
    ) -> None:
        ticket: Ticket | None = None
        try:
            ticket = await self._kept.begin(sought)
            if ticket is not None:
                run = _Run(ticket, stale, _without(exchange.headers, _OF_ONE_CLIENT), b"stale")
                await self._services.refetch(exchange, {"cache": run})
        finally:
            self._refreshing.discard(mark)
            if ticket is not None:
                self._kept.give_up(ticket)


def _may_use(stored: StoredReply, headers: Headers, now_s: float) -> bool:
    coding = Variant(b"", stored).coding
    return (coding is None or takes(headers, coding)) and judge_use(stored, headers, now_s) <= _LAST_USABLE


def _without(headers: Headers, names: frozenset[bytes]) -> Headers:
    return Headers([line for line in headers if line[0] not in names])
