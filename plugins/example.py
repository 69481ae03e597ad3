"""`example`: every hook of a plugin, explained. Copy this file to start a new one.

    example: {greeting: hello}        # the long form
    example: hello                    # the short form

A plugin is one class in one file. It imports `gateway.plugin_api` and `gateway.core` and nothing else of the gateway,
so that it can be read and tested alone (`tests/plugins/test_example.py`). This one greets: it tells the upstream a
greeting, counts what comes back, and shouts the body where the client asks for that. It is in force only where the
table says `plugins: [plugins.example]`.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import is_field_value
from gateway.core.scalars import Settings
from gateway.plugin_api import (
    BodyTransform,
    Exchange,
    Plugin,
    PluginServices,
    PolicyError,
    Reply,
    RouteInfo,
    Stage,
    UpstreamCall,
)


def _check_greeting(greeting: str) -> str:
    # A ValueError of a validator becomes `file:line:column: invalid: message`, so write it for the operator.
    if not greeting or not is_field_value(greeting.encode()):
        raise ValueError("a greeting is one line of text")
    return greeting


class ExampleSettings(Settings):
    """What stands under the key. `Settings` is frozen, and refuses keys that it does not know."""

    greeting: Annotated[str, AfterValidator(_check_greeting)] = Field(description="What to tell the upstream")
    refuse: tuple[str, ...] = Field(default=(), description="Methods that get 405")


def _read_short(value: Any) -> Any:
    return {"greeting": value} if isinstance(value, str) else value


class Example(Plugin):
    """One object for each route that has the policy, built when the table is loaded."""

    # The key on a route and under `defaults`, and when it runs: the order of the stages is the one safe order.
    name = "example"
    stage = Stage.TRANSFORM
    # A short form is a before-validator.
    Policy = Annotated[ExampleSettings, BeforeValidator(_read_short)]

    def __init__(self, policy: ExampleSettings, route: RouteInfo, services: PluginServices) -> None:
        # Everything that can be known is worked out here: a hook runs for each request, this runs once.
        if route.methods is not None and route.methods <= set(policy.refuse):
            # A policy that parses but cannot work. The path says where below the key the fault stands.
            raise PolicyError("this refuses every method of the route", path=("refuse",))
        self._greeting = policy.greeting.encode()
        self._refused = frozenset(policy.refuse)
        # A series is asked for once and kept; counting is then one addition.
        self._greeted = services.metrics.counter("gateway_example_greeted", "Requests greeted", route=route.id)
        # What all routes of a table can use together. It is closed with the table.
        self._guests: set[str] = services.shared("guests", lambda: set[str]())

    def on_request(self, exchange: Exchange) -> Reply | None:
        """Before the upstream is asked. Return None to go on, or a Reply to answer; raise GatewayError to refuse.

        It may be `async`, but one that need not wait should not be: a plain call costs a tenth.
        """
        if exchange.method in self._refused:
            raise GatewayError(errors.METHOD_NOT_ALLOWED, f"{exchange.method} is not greeted here.")
        if exchange.headers.get(b"x-greeting") == b"self":
            return Reply(200, body=self._greeting)
        # Names are lower-case bytes. The upstream gets the headers as the hooks leave them.
        exchange.headers.set(b"x-greeting", self._greeting)
        # What a later hook of this plugin needs, under the plugin's name.
        exchange.state["example"] = exchange.headers.get(b"x-shout") is not None
        return None

    def wrap_upstream(self, call: UpstreamCall) -> UpstreamCall:
        """Once, at load: put something around the call to the upstream, here a second try for a teapot."""

        async def ask_again(exchange: Exchange) -> Reply:
            reply = await call(exchange)
            if reply.status != 418:
                return reply
            if not isinstance(reply.body, bytes):
                # A reply that is not passed on has to be closed: it holds a connection.
                reply.body.close()
            return await call(exchange)

        return ask_again

    def on_response(self, exchange: Exchange) -> None:
        """The head of the reply, before its body moves: status and headers may be changed. Errors come by as well."""
        reply = exchange.reply
        if reply is not None and reply.status < 400:
            reply.headers.add(b"x-greeted", b"yes")
            if exchange.state.get("example"):
                # The body is about to change, so its length is not known any more.
                reply.length = None

    def body_transform(self, exchange: Exchange) -> BodyTransform | None:
        """Something to send the body through, piece by piece; None leaves it alone and costs nothing."""
        return Shout() if exchange.state.get("example") else None

    def on_finish(self, exchange: Exchange) -> None:
        """After the last byte, always, also where the client has gone: count and release. It may not raise."""
        self._greeted.inc()
        self._guests.add(exchange.client_ip)
        # One word for the access log; never a secret.
        exchange.verdicts["example"] = "greeted"

    def close(self) -> None:
        """The table was replaced and its last exchange has ended: let go of what `__init__` took hold of."""
        self._guests.clear()


class Shout:
    """A `BodyTransform`: ASCII letters in upper case."""

    def feed(self, piece: bytes) -> bytes:
        return piece.upper()

    def flush(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        return b""
