"""`split` at work: which upstream a request goes to, chosen by who asks.

A route with a split is compiled once for each of its upstreams (a leg): what hangs on the upstream, from the key of a
kept reply on, then holds for the one that was chosen, and a route without a split does not know of any of this. The
choice stands between the policies that find out who asks and may refuse, and those that know the upstream.
"""

from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from gateway.config.shares import SplitPart, percent_text, share_of
from gateway.config.snapshot import CompiledRoute
from gateway.core.memo import Memo
from gateway.core.weighted_choice import WeightedChoice
from gateway.plugin_api import Exchange, Plugin, PluginServices, Reply, RouteInfo, Stage

FIRST_LATE_STAGE: Final = Stage.CACHE
"""Plugins from here on are built for each leg."""


def caller_of(exchange: Exchange) -> str:
    """Who asks, as far as it is known: the verified user with the tenant, else the verified key, else the tenant, else
    the client's address. Nothing that a client may choose by itself, but its address.
    """
    identity = exchange.identity
    if identity is not None:
        tenant = identity.tenant or ""
        if identity.user:
            return f"user:{tenant}/{identity.user}"
        if identity.key:
            return f"key:{tenant}/{identity.key}"
        if tenant:
            return f"tenant:{tenant}"
    return f"ip:{exchange.client_ip}"


class SplitChoice(Plugin):
    """Sends each caller to one of several upstreams, and always to the same one."""

    name = "split"
    stage = Stage.ADMISSION

    def __init__(self, parts: tuple[SplitPart, ...], route: RouteInfo, services: PluginServices) -> None:
        self._parts = parts
        self._upstream_of: Memo[str, str] = Memo(WeightedChoice((part.to, part.weight) for part in parts).choose)
        self._counters = {
            part.to: services.metrics.counter(
                "gateway_split_requests",
                "Requests of routes with a split, by the upstream that was chosen.",
                route=route.id,
                upstream=part.to,
            )
            for part in parts
        }
        self.legs: Mapping[str, CompiledRoute] = {}
        """By upstream; set once they are compiled, for this hook is one of theirs."""

    def on_request(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """From here on the exchange is the leg's, whose further hooks run here as far as they go without waiting."""
        upstream = self._upstream_of[caller_of(exchange)]
        leg = self.legs[upstream]
        exchange.compiled = leg
        exchange.route = leg.info
        exchange.verdicts["split"] = upstream
        self._counters[upstream].inc()
        hooks = leg.request_hooks
        while (index := exchange.hooks_run) < len(hooks):
            exchange.hooks_run = index + 1
            result = hooks[index](exchange)
            if result is not None:
                return result
        return None

    def explain(self, exchange: Exchange) -> dict[str, object] | None:
        """Who was taken for the caller, and which share it is in."""
        upstream = exchange.verdicts.get("split")
        if upstream is None:
            return None
        return {
            "key": caller_of(exchange),
            "upstream": upstream,
            "share": percent_text(share_of(self._parts, upstream)),
            "of": [f"{part.to} {part.weight}" for part in self._parts],
        }


def is_late(plugin: type[Plugin]) -> bool:
    """Whether a plugin may have to know the upstream."""
    return plugin.stage >= FIRST_LATE_STAGE


def choosing(choice: SplitChoice, info: RouteInfo, legs: Iterable[CompiledRoute]) -> CompiledRoute:
    """The route as requests meet it: up to the choice it is as all its legs. Sets the legs of the choice."""
    choice.legs = {leg.info.upstream or "": leg for leg in legs}
    first = next(iter(choice.legs.values()))
    hooks = first.request_hooks
    end = hooks.index(choice.on_request) + 1
    return replace(first, info=info, request_hooks=hooks[:end], unwinding=first.unwinding[:end], legs=choice.legs)
