"""Runs a compiled route: request hooks, upstream, response hooks, and at the very end the finish hooks.

`handle` gives the reply, `finish` ends the exchange; a lane calls both, in that order, exactly once each. Nothing is
looked up here that was known when the table was loaded.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from gateway.config.snapshot import CompiledRoute, Snapshot, Unwinding
from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.routing import Found, PathNotCanonical, normal_form
from gateway.plugin_api import Exchange, Reply
from gateway.proxy.error_reply import error_reply
from gateway.proxy.request_body import RequestBody
from gateway.proxy.transformed_body import TransformedBody, transform_whole

T = TypeVar("T")

_log = logging.getLogger("gateway")

ExchangeRecorder = Callable[[Exchange], None]


class Current:
    """Holds the snapshot in force; a reload is one attribute store."""

    __slots__ = ("snapshot",)

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot


class Pipeline:
    """One for a worker. record: called once with every finished exchange (metrics, access log)."""

    __slots__ = ("_current", "_loop", "_record")

    def __init__(self, current: Current, loop: asyncio.AbstractEventLoop, record: ExchangeRecorder) -> None:
        self._current = current
        self._loop = loop
        self._record = record

    async def handle(self, exchange: Exchange) -> Reply:
        """The reply; its body may still be moving. Raises nothing but CancelledError (the client went away)."""
        refusal: GatewayError | None = None
        try:
            route = self._match(exchange)
        except GatewayError as error:
            route = self._current.snapshot.fallback
            refusal = error
        exchange.compiled = route
        exchange.route = route.info
        if route.total_timeout_s is not None:
            exchange.deadline_s = exchange.started_s + route.total_timeout_s
        body = exchange.body
        if isinstance(body, RequestBody):
            body.size_max = route.body_max
        # Kept on the exchange so that `finish` knows what was entered where the client leaves amid the hooks.
        exchange.unwinding = route.unwinding[0]
        try:
            reply: Reply | None = None
            for hook, exchange.unwinding in zip(route.request_hooks, route.unwinding, strict=False):
                result = hook(exchange)
                if result is not None:
                    reply = result if isinstance(result, Reply) else await result
                    if reply is not None:
                        break
            else:
                exchange.unwinding = route.unwinding[-1]
                if refusal is not None:
                    raise refusal
                reply = await self._call(route, exchange)
        except GatewayError as error:
            reply = error_reply(error, exchange)
        except Exception:
            _log.exception("a request hook failed", extra={"request_id": exchange.request_id, "route": route.info.id})
            reply = error_reply(GatewayError(errors.INTERNAL_ERROR), exchange)
        exchange.reply = reply
        unwinding: Unwinding = exchange.unwinding
        try:
            for respond in unwinding.on_response:
                respond(exchange)
            for make_transform in unwinding.body_transforms:
                await self._transform(exchange, make_transform)
        except Exception:
            _log.exception("a response hook failed", extra={"request_id": exchange.request_id, "route": route.info.id})
            if not isinstance(reply.body, bytes):
                reply.body.close()
            reply = error_reply(GatewayError(errors.INTERNAL_ERROR), exchange)
            exchange.reply = reply
        return exchange.reply

    def finish(self, exchange: Exchange) -> None:
        """The reply has left, or the exchange was given up: run the finish hooks, count, log."""
        unwinding: Unwinding | None = exchange.unwinding
        if unwinding is not None:
            for hook in unwinding.on_finish:
                try:
                    hook(exchange)
                except Exception:
                    _log.exception("a finish hook failed", extra={"request_id": exchange.request_id})
        self._record(exchange)

    def _match(self, exchange: Exchange) -> CompiledRoute:
        raw_path, _, exchange.query = exchange.target.partition("?")
        try:
            exchange.path = normal_form(raw_path)
        except PathNotCanonical as reason:
            raise GatewayError(errors.PATH_NOT_CANONICAL, str(reason)) from None
        method = exchange.method
        if method == "OPTIONS":
            # A CORS preflight asks about another method; that method's route answers it (Fetch standard, 4.8).
            asked = exchange.headers.get(b"access-control-request-method")
            if asked is not None and b"origin" in exchange.headers:
                method = asked.decode("latin-1")
        found = self._current.snapshot.router.match(
            method, exchange.authority, exchange.path, exchange.headers, exchange.query
        )
        if isinstance(found, Found):
            exchange.params = found.params
            route: CompiledRoute = found.target
            return route
        if found.allowed:
            allowed = ", ".join(sorted(found.allowed))
            raise GatewayError(
                errors.METHOD_NOT_ALLOWED,
                f"{exchange.method} is not served here; allowed: {allowed}",
                headers=[(b"allow", allowed.encode())],
            )
        raise GatewayError(errors.NO_ROUTE, "No route serves this path")

    async def _call(self, route: CompiledRoute, exchange: Exchange) -> Reply:
        if route.call is None:
            raise GatewayError(errors.INTERNAL_ERROR)
        body = exchange.body
        check_length(len(body) if isinstance(body, bytes) else body.length, route.body_max)
        return await route.call(exchange)

    async def _transform(self, exchange: Exchange, make_transform: Callable[[Exchange], Any]) -> None:
        transform = make_transform(exchange)
        if transform is None:
            return
        reply = exchange.reply
        assert reply is not None
        if isinstance(reply.body, bytes):
            reply.body = await transform_whole(reply.body, transform, self._run_in_thread)
        else:
            reply.body = TransformedBody(reply.body, transform, self._run_in_thread)

    async def _run_in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await self._loop.run_in_executor(None, function, *args)


def check_length(length: int | None, body_max: int) -> None:
    """Raise where a request body is known to be over the route's `body_max`."""
    if length is not None and length > body_max:
        raise GatewayError(errors.BODY_TOO_LARGE, f"The body may have {body_max} bytes here", close=True)
