"""A plugin that fails where its policy says, for the tests of the pipeline: `faulty: on_response`."""

from typing import Literal

from gateway.plugin_api import BodyTransform, Exchange, Plugin, PluginServices, RouteInfo, Stage

finished: list[Exchange] = []
"""Every exchange whose `on_finish` was called, failing or not."""


class Faulty(Plugin):
    name = "faulty"
    stage = Stage.EDGE
    Policy = Literal["nowhere", "on_request", "on_response", "on_finish", "body_transform", "feed", "finish", "status"]

    def __init__(self, policy: str, route: RouteInfo, services: PluginServices) -> None:
        self._where = policy

    def on_request(self, exchange: Exchange) -> None:
        self._fail("on_request")

    def on_response(self, exchange: Exchange) -> None:
        self._fail("on_response")
        if self._where == "status" and exchange.reply is not None:
            exchange.reply.status = 1000

    def body_transform(self, exchange: Exchange) -> BodyTransform | None:
        self._fail("body_transform")
        return FaultyTransform(self._where) if self._where in ("feed", "finish") else None

    def on_finish(self, exchange: Exchange) -> None:
        finished.append(exchange)
        self._fail("on_finish")

    def _fail(self, where: str) -> None:
        if self._where == where:
            raise RuntimeError(f"{where} fails, as asked")


class FaultyTransform:
    """Fails at the second piece, or at the end."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._pieces = 0

    def feed(self, piece: bytes) -> bytes:
        self._pieces += 1
        if self._where == "feed" and (self._pieces > 1 or b"fail" in piece):
            raise RuntimeError("feed fails, as asked")
        return piece

    def flush(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        if self._where == "finish":
            raise RuntimeError("finish fails, as asked")
        return b""
