"""Runs a compiled route: request hooks, upstream, response hooks, and at the very end the finish hooks.

`handle` gives the reply, `finish` ends the exchange; a lane calls both, in that order, exactly once each. Nothing is
looked up here that was known when the table was loaded.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from gateway.config.snapshot import CompiledRoute, Snapshot, Unwinding
from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.routing import Found, PathNotCanonical, normal_form
from gateway.plugin_api import BodyTransform, Exchange, Later, Reply
from gateway.proxy.error_reply import error_reply
from gateway.proxy.forward import Forwarder
from gateway.proxy.request_body import RequestBody
from gateway.proxy.transformed_body import TransformedBody, transform_whole

T = TypeVar("T")

_log = logging.getLogger("gateway")

Pending = Reply | Later | Awaitable[Reply | None] | None
ExchangeRecorder = Callable[[Exchange], None]


class Current:
    """Holds the table in force, compiled, with the forwarder that knows its upstreams. A reload is one store."""

    __slots__ = ("serving",)

    def __init__(self, snapshot: Snapshot, forwarder: Forwarder) -> None:
        self.serving = snapshot, forwarder

    @property
    def snapshot(self) -> Snapshot:
        """The table in force."""
        return self.serving[0]


class Pipeline:
    """One for a worker. record: called once with every finished exchange (metrics, access log).

    A lane that has a task calls `handle`. One that has none goes through the same steps itself, as long as nothing has
    to be waited for: `enter`, `resume` once a `Later` is there, `leave`, and `handle` with what else is to be awaited.
    """

    __slots__ = ("_current", "_loop", "_record")

    def __init__(self, current: Current, loop: asyncio.AbstractEventLoop, record: ExchangeRecorder) -> None:
        self._current = current
        self._loop = loop
        self._record = record

    @property
    def snapshot(self) -> Snapshot:
        """The table in force."""
        return self._current.snapshot

    async def handle(self, exchange: Exchange, pending: Pending = None, *, is_entered: bool = False) -> Reply:
        """The reply; its body may still be moving. Raises nothing but CancelledError (the client went away).

        is_entered: `enter` has been called, and pending is what it returned.
        """
        entered = pending if is_entered else self.enter(exchange)
        try:
            while entered is not None and not isinstance(entered, Reply):
                answer = await entered
                entered = answer if answer is not None else self._run_hooks(exchange)
            reply = entered if entered is not None else await exchange.compiled.call(exchange)
        except GatewayError as error:
            reply = error_reply(error, exchange)
        except Exception:
            reply = self._failed(exchange, "a request hook failed")
        transforms = self.leave(exchange, reply)
        if not transforms:
            return exchange.reply or reply
        return await self.transform(exchange, transforms)

    def enter(self, exchange: Exchange) -> Pending:
        """Match the route and run its request hooks as far as they go without waiting.

        Returns the reply where there is one already, None where the request is to go to its upstream, or what has to be
        awaited first (for `handle`).
        """
        snapshot, forwarder = self._current.serving
        try:
            route = match_route(exchange, snapshot)
        except GatewayError as error:
            route = snapshot.fallback
            exchange.refusal = error
        exchange.compiled = route
        route.uses.count += 1
        exchange.route = route.info
        if route.call == forwarder.send:
            exchange.forwarder = forwarder
        if route.total_timeout_s is not None:
            exchange.deadline_s = exchange.started_s + route.total_timeout_s
        body = exchange.body
        if isinstance(body, RequestBody):
            body.size_max = route.body_max
        return self._run_hooks(exchange)

    def resume(self, exchange: Exchange, later: Later) -> Pending:
        """Go on with the request hooks now that what one of them waits for is done. Returns what `enter` does."""
        try:
            reply = later.then(later.future)
        except GatewayError as error:
            return error_reply(error, exchange)
        except Exception:
            return self._failed(exchange, "a request hook failed")
        return reply if reply is not None else self._run_hooks(exchange)

    def _run_hooks(self, exchange: Exchange) -> Pending:
        """Run the hooks that have not run yet. `exchange.hooks_run` counts those that were entered."""
        route: CompiledRoute = exchange.compiled
        hooks = route.request_hooks
        try:
            while (index := exchange.hooks_run) < len(hooks):
                exchange.hooks_run = index + 1
                result = hooks[index](exchange)
                if result is not None:
                    return result
            exchange.hooks_run = index + 1
            if exchange.refusal is not None:
                raise exchange.refusal
            body = exchange.body
            if body:
                check_length(len(body) if isinstance(body, bytes) else body.length, route.body_max)
        except GatewayError as error:
            return error_reply(error, exchange)
        except Exception:
            return self._failed(exchange, "a request hook failed")
        return None

    def leave(self, exchange: Exchange, reply: Reply) -> list[BodyTransform]:
        """Run the response hooks; `exchange.reply` is then what goes to the client, once its body has gone through the
        transforms returned here.
        """
        exchange.reply = reply
        unwinding = _unwinding(exchange)
        try:
            for respond in unwinding.on_response:
                respond(exchange)
            if not unwinding.body_transforms:
                return _NO_TRANSFORMS
            made = [make_transform(exchange) for make_transform in unwinding.body_transforms]
        except Exception:
            self._failed(exchange, "a response hook failed")
            return _NO_TRANSFORMS
        return [transform for transform in made if transform is not None]

    def finish(self, exchange: Exchange) -> None:
        """The reply has left, or the exchange was given up: run the finish hooks, count, log."""
        if exchange.hooks_run:
            for hook in _unwinding(exchange).on_finish:
                try:
                    hook(exchange)
                except Exception:
                    _log.exception("a finish hook failed", extra={"request_id": exchange.request_id})
            exchange.compiled.uses.leave()
        self._record(exchange)

    def _failed(self, exchange: Exchange, what: str) -> Reply:
        """A fault of ours or of a plugin: logged here, a 500 to the client."""
        route = exchange.route
        extra = {"request_id": exchange.request_id, "route": route.id if route is not None else None}
        _log.exception(what, extra=extra)
        if exchange.reply is not None and not isinstance(exchange.reply.body, bytes):
            exchange.reply.body.close()
        reply = exchange.reply = error_reply(GatewayError(errors.INTERNAL_ERROR), exchange)
        return reply

    def transform_now(self, exchange: Exchange, transforms: list[BodyTransform]) -> Reply:
        """As `transform`, for a small body that is all here."""
        reply = exchange.reply
        assert reply is not None and isinstance(reply.body, bytes)
        body = reply.body
        try:
            for transform in transforms:
                body = transform.feed(body) + transform.finish()
        except Exception:
            return self._failed(exchange, "a body transform failed")
        reply.body = body
        return reply

    async def transform(self, exchange: Exchange, transforms: list[BodyTransform]) -> Reply:
        """The reply with its body on its way through the transforms that `leave` returned."""
        reply = exchange.reply
        assert reply is not None
        try:
            for transform in transforms:
                if isinstance(reply.body, bytes):
                    reply.body = await transform_whole(reply.body, transform, self._run_in_thread)
                else:
                    reply.body = TransformedBody(reply.body, transform, self._run_in_thread)
        except asyncio.CancelledError:
            if not isinstance(reply.body, bytes):
                reply.body.close()
            raise
        except Exception:
            return self._failed(exchange, "a body transform failed")
        return reply

    async def _run_in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await self._loop.run_in_executor(None, function, *args)


def match_route(exchange: Exchange, snapshot: Snapshot) -> CompiledRoute:
    """The route that serves a request; sets its path, query and params. Raises GatewayError where there is none."""
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
    found = snapshot.router.match(method, exchange.authority, exchange.path, exchange.headers, exchange.query)
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


def _unwinding(exchange: Exchange) -> Unwinding:
    """What runs on the way back: of the plugins entered so far."""
    unwinding: tuple[Unwinding, ...] = exchange.compiled.unwinding
    return unwinding[max(exchange.hooks_run, 1) - 1]


_NO_TRANSFORMS: Final[list[BodyTransform]] = []


def check_length(length: int | None, body_max: int) -> None:
    """Raise where a request body is known to be over the route's `body_max`."""
    if length is not None and length > body_max:
        raise GatewayError(errors.BODY_TOO_LARGE, f"The body may have {body_max} bytes here", close=True)
