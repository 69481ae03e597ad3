"""`fault`: make a share of a route's requests slow, or let them fail, to see what clients make of it.

`fault: {delay: 2s, percent: 10%}`, `{status: 503, percent: 5%}`, or both: then it fails after the delay. It stands in
the place of the upstream (the hook `wrap_upstream`), so a kept reply is not touched, and every policy before it does
what it would do with an upstream that is as slow or as broken; only repeats and the circuit breaker, which are the way
to the upstream, do not see it. The access log says in `verdicts` what was done. Remove it from the table to end it.
"""

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import replace
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from gateway.core.errors import FAULT_INJECTED, GatewayError
from gateway.core.headers import HeaderLine
from gateway.core.scalars import Duration, Percent, Settings
from gateway.core.schema_hints import at_least_one
from gateway.plugin_api import Exchange, Plugin, PluginServices, Reply, RouteInfo, Stage, UpstreamCall


class FaultSettings(Settings):
    """A delay, a status, or both."""

    model_config = ConfigDict(json_schema_extra=at_least_one("delay", "status"))

    delay: Duration | None = Field(default=None, description="How long a request waits before it goes on")
    status: Annotated[int, Field(ge=400, le=599)] | None = Field(
        default=None, description="Answer with this instead of asking the upstream"
    )
    percent: Percent = Field(default=1.0, description="The share of requests, by lot")

    @model_validator(mode="after")
    def _check_any(self) -> "FaultSettings":
        if self.delay is None and self.status is None:
            raise ValueError("name a delay or a status, or write `fault: none`")
        return self


class Fault(Plugin):
    """Stands around the call to the upstream. rng: who draws lots."""

    name = "fault"
    stage = Stage.LOCAL
    Policy = FaultSettings

    def __init__(self, policy: FaultSettings, route: RouteInfo, services: PluginServices) -> None:
        self._delay_s = policy.delay
        self._share = policy.percent
        self._kind = None if policy.status is None else replace(FAULT_INJECTED, status=policy.status)
        retry_after: HeaderLine = (b"retry-after", b"1")
        self._headers = (retry_after,) if policy.status in (429, 503) else ()
        self._count = services.metrics.counter("gateway_faults", "Faults that the table asks for", route=route.id).inc
        self.rng = random.Random()

    def wrap_upstream(self, call: UpstreamCall) -> UpstreamCall:
        """Draw a lot for each request."""

        def drawn(exchange: Exchange) -> Awaitable[Reply]:
            return self._fail(exchange, call) if self.rng.random() < self._share else call(exchange)

        return drawn

    async def _fail(self, exchange: Exchange, call: UpstreamCall) -> Reply:
        exchange.verdicts["fault"] = "delayed" if self._kind is None else "failed"
        self._count()
        if self._delay_s is not None:
            await asyncio.sleep(self._delay_s)
        if self._kind is None:
            return await call(exchange)
        raise GatewayError(self._kind, "This failure was asked for by the route table", headers=self._headers)
