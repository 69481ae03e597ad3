"""`mirror` at work: once an exchange is over, a copy of its request goes to another upstream, whose reply nobody gets.

So what becomes of the copy changes neither what the client got nor when. Copied is what went to the route's upstream,
as the route's policies left it; what was refused, answered from what is kept, or asked for by the gateway itself is
not. A copy has a time limit and is never tried again. There are only so many at once, and only bodies that were here
whole are copied: one that streams is nowhere kept. What is not copied for such a reason is counted.
"""

import asyncio
import random
from typing import Final

from gateway.config.shares import Mirror
from gateway.core.errors import UPSTREAM_BUSY, UPSTREAM_CIRCUIT_OPEN, UPSTREAM_OVERLOADED, GatewayError
from gateway.plugin_api import Counter, Exchange, Plugin, PluginServices, RouteInfo, Stage, UpstreamCall

AT_ONCE_MAX: Final = 64
"""Copies for one upstream under way, in each worker."""
BODY_MAX: Final = 64 * 1024
"""Larger request bodies are not copied; together with AT_ONCE_MAX this bounds the memory."""
TIMEOUT_MAX_S: Final = 30.0

_NOT_SENT: Final = frozenset({UPSTREAM_CIRCUIT_OPEN.code, UPSTREAM_OVERLOADED.code, UPSTREAM_BUSY.code})


class UnderWay:
    """How many copies for an upstream there are; it outlives a table, as they may."""

    def __init__(self) -> None:
        self.count = 0


class MirrorTap(Plugin):
    """Copies a share of the requests. rng: who draws lots. call: sends an exchange to the upstream of its route."""

    name = "mirror"
    stage = Stage.LOCAL

    def __init__(
        self,
        policy: Mirror,
        route: RouteInfo,
        services: PluginServices,
        call: UpstreamCall,
        total_timeout_s: float | None,
    ) -> None:
        self._share = policy.percent
        self._info = RouteInfo(route.id, route.pattern, route.methods, policy.to)
        self._services = services
        self._call = call
        self._timeout_s = min(total_timeout_s or TIMEOUT_MAX_S, TIMEOUT_MAX_S)
        self._under_way = services.lasting(policy.to, UnderWay)
        self._counters: dict[tuple[str, str], Counter] = {}
        self.rng = random.Random()
        for result in ("sent", "failed", "dropped"):
            self._counter(result, "")

    def on_finish(self, exchange: Exchange) -> None:
        """Send a copy on its way, if it falls to this one."""
        if not exchange.attempts or exchange.is_background or self.rng.random() >= self._share:
            return
        reason = self._hindrance(exchange)
        if reason:
            exchange.verdicts["mirror"] = "dropped"
            self._counter("dropped", reason).inc()
            return
        exchange.verdicts["mirror"] = "copied"
        self._under_way.count += 1
        self._services.spawn(self._send(self._copy_of(exchange)))

    def _hindrance(self, exchange: Exchange) -> str:
        if b"upgrade" in exchange.headers:
            return "upgrade"
        if not isinstance(exchange.body, bytes):
            return "streaming"
        if len(exchange.body) > BODY_MAX:
            return "body_size"
        return "too_many" if self._under_way.count >= AT_ONCE_MAX else ""

    def _copy_of(self, exchange: Exchange) -> Exchange:
        made = Exchange(
            method=exchange.method,
            target=exchange.target,
            headers=exchange.headers,
            body=exchange.body,
            scheme=exchange.scheme,
            authority=exchange.authority,
            peer_ip=exchange.peer_ip,
            client_ip=exchange.client_ip,
            is_trusted_peer=exchange.is_trusted_peer,
            request_id=f"{exchange.request_id}.mirror",
            traceparent=exchange.traceparent,
        )
        made.path, made.query, made.params = exchange.path, exchange.query, exchange.params
        made.identity, made.compiled = exchange.identity, exchange.compiled
        made.route = self._info
        # Of all that waits for a place at the upstream, this goes last.
        made.is_background = True
        return made

    async def _send(self, copy: Exchange) -> None:
        copy.started_s = self._services.monotonic()
        copy.deadline_s = copy.started_s + self._timeout_s
        result, reason = "failed", ""
        try:
            reply = await self._call(copy)
            body = reply.body
            if not isinstance(body, bytes):
                try:
                    while await body.read():
                        pass
                finally:
                    body.close()
            if reply.status < 500:
                result = "sent"
            else:
                reason = "status"
        except GatewayError as error:
            reason = error.kind.code
            if reason in _NOT_SENT:
                result = "dropped"
        except asyncio.CancelledError:
            result, reason = "dropped", "shutdown"
            raise
        finally:
            self._under_way.count -= 1
            self._counter(result, reason).inc()

    def _counter(self, result: str, reason: str) -> Counter:
        found = self._counters.get((result, reason))
        if found is None:
            found = self._counters[result, reason] = self._services.metrics.counter(
                "gateway_mirror_requests",
                "Copies of requests for another upstream, by what became of them.",
                route=self._info.id,
                upstream=self._info.upstream or "",
                result=result,
                reason=reason,
            )
        return found
