"""`invalidates`: the tags whose kept replies a successful write drops.

They are dropped when the upstream has answered and before the client gets that answer, so that whoever has it finds
nothing older: in this worker and in the store at once, in every other worker's memory as soon as it hears of it. Where
the upstream's answer got lost or is 5xx, what it did is not known, and they are dropped as well.
"""

import asyncio
from typing import Annotated

from pydantic import Field

from gateway.core.cache_invalidation import SAFE_METHODS, invalidated_targets
from gateway.core.cache_keys import keys_of_target, origin_of
from gateway.core.cache_tags import compile_tags, unknown_placeholder
from gateway.core.errors import GatewayError, Source
from gateway.core.headers import Headers
from gateway.core.kept_replies import Purge
from gateway.plugin_api import (
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


class Invalidates(Plugin):
    """Drops after the upstream has answered."""

    name = "invalidates"
    stage = Stage.CACHE
    Policy = Annotated[tuple[str, ...], Field(min_length=1, examples=[["crm:{tenant}"]])]

    def __init__(self, policy: tuple[str, ...], route: RouteInfo, services: PluginServices) -> None:
        for number, tag in enumerate(policy):
            unknown = unknown_placeholder(tag, route.pattern, has_auth="auth" in route.policies)
            if unknown:
                raise PolicyError(unknown, path=(number,))
        if route.methods is not None and route.methods <= SAFE_METHODS:
            raise PolicyError("this route has safe methods only, which change nothing")
        self._tags_of = compile_tags(policy)
        self._kept = services.kept
        self._spawn = services.spawn
        self._log = services.log
        counter = services.metrics.counter
        self._dropped = counter("gateway_cache_invalidations", "Writes that dropped kept replies.", route=route.id)
        self._owed = counter(
            "gateway_cache_invalidations_owed", "Of these, what the store was told later only.", route=route.id
        )

    def wrap_upstream(self, call: UpstreamCall) -> UpstreamCall:
        """Drop between the upstream's answer and the client's."""

        async def write(exchange: Exchange) -> Reply:
            if exchange.method in SAFE_METHODS:
                return await call(exchange)
            try:
                reply = await call(exchange)
            except GatewayError as error:
                if error.kind.source is Source.UPSTREAM:
                    await self._drop(exchange, 200, Headers())
                raise
            except asyncio.CancelledError:
                # The client has gone, the request perhaps not.
                self._spawn(self._drop(exchange, 200, Headers()))
                raise
            if reply.status < 400:
                await self._drop(exchange, reply.status, reply.headers)
            elif reply.status >= 500:
                # It broke off somewhere: what was done before is done.
                await self._drop(exchange, 200, Headers())
            return reply

        return write

    async def _drop(self, exchange: Exchange, status: int, headers: Headers) -> None:
        scheme, authority = origin_of(
            exchange.scheme, exchange.authority, exchange.headers, is_trusted=exchange.is_trusted_peer
        )
        targets = invalidated_targets(exchange.method, status, scheme, authority, exchange.target, headers)
        keys = [key for target in targets for key in keys_of_target(exchange.identity, scheme, authority, target)]
        self._dropped.inc()
        try:
            await self._kept.purge(Purge(self._tags_of(exchange.identity, exchange.params), tuple(keys)))
        except StoreDown:
            self._owed.inc()
            self._log.warning("kept replies could not be dropped from the store yet: it is down")
