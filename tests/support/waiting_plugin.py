"""A plugin whose hook waits for a future, for the tests of the lanes: `waiting: pass` says what it does then."""

import asyncio
from typing import Literal

from gateway.core.errors import RATE_LIMITED, GatewayError
from gateway.core.headers import Headers
from gateway.plugin_api import Exchange, Later, Plugin, PluginServices, Reply, RouteInfo, Stage

waits: "list[asyncio.Future[None]]" = []
"""What the hooks wait for, in order."""

finished: list[Exchange] = []


class Waiting(Plugin):
    name = "waiting"
    stage = Stage.EDGE
    Policy = Literal["pass", "answer", "refuse", "fail"]

    def __init__(self, policy: str, route: RouteInfo, services: PluginServices) -> None:
        self._then = policy

    def on_request(self, exchange: Exchange) -> Later:
        waits.append(asyncio.get_running_loop().create_future())
        return Later(waits[-1], self._go_on)

    def on_finish(self, exchange: Exchange) -> None:
        finished.append(exchange)

    def _go_on(self, future: "asyncio.Future[None]") -> Reply | None:
        future.result()
        if self._then == "answer":
            return Reply(200, Headers(), b"answered")
        if self._then == "refuse":
            raise GatewayError(RATE_LIMITED)
        assert self._then == "pass", "fails, as asked"
        return None
