"""`headers`: set, add and remove header lines on the request and on the reply.

`headers: {request: {set: {X-Api: v1}}, reply: {remove: [Server]}}`. Removed first, then set, then added. Fields of the
connection and the framing cannot be touched, nor what tells the upstream who asks. Values are literal text.
"""

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from gateway.core.headers import Headers
from gateway.core.owned_headers import HeaderValue, ReplyHeaderName, RequestHeaderName
from gateway.core.scalars import Settings
from gateway.core.schema_hints import filled
from gateway.plugin_api import Exchange, Plugin, PluginServices, RouteInfo, Stage


class RequestEdits(Settings):
    """Changes to the request, seen by all plugins that follow and by the upstream."""

    set: dict[RequestHeaderName, HeaderValue] = Field(default={}, description="Replace every line of that name")
    add: dict[RequestHeaderName, HeaderValue] = Field(default={}, description="Append a line")
    remove: tuple[RequestHeaderName, ...] = Field(default=(), description="Drop every line of that name")


class ReplyEdits(Settings):
    """Changes to the reply, also to one that the gateway makes."""

    set: dict[ReplyHeaderName, HeaderValue] = Field(default={}, description="Replace every line of that name")
    add: dict[ReplyHeaderName, HeaderValue] = Field(default={}, description="Append a line")
    remove: tuple[ReplyHeaderName, ...] = Field(default=(), description="Drop every line of that name")


_SOMETHING: JsonDict = {"anyOf": [filled("set"), filled("add"), filled("remove")]}


class HeadersSettings(Settings):
    """What to change on the way in, and on the way out."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": [side], "properties": {side: _SOMETHING}} for side in ("request", "reply")]
        }
    )

    request: RequestEdits = Field(default=RequestEdits(), description="Changes to the request")
    reply: ReplyEdits = Field(default=ReplyEdits(), description="Changes to the reply")

    @model_validator(mode="after")
    def _check_any(self) -> "HeadersSettings":
        if not any((*vars(self.request).values(), *vars(self.reply).values())):
            raise ValueError("name something to set, add or remove under request or reply")
        return self


class _Edit:
    """The changes of one direction as bytes."""

    def __init__(self, edits: RequestEdits | ReplyEdits) -> None:
        self._remove = [name.encode() for name in edits.remove]
        self._set = [(name.encode(), value.encode()) for name, value in edits.set.items()]
        self._add = [(name.encode(), value.encode()) for name, value in edits.add.items()]

    def apply(self, headers: Headers) -> None:
        for name in self._remove:
            headers.remove(name)
        for name, value in self._set:
            headers.set(name, value)
        for name, value in self._add:
            headers.add(name, value)


class HeadersPlugin(Plugin):
    """Applies the changes."""

    name = "headers"
    stage = Stage.EDGE
    Policy = HeadersSettings

    def __init__(self, policy: HeadersSettings, route: RouteInfo, services: PluginServices) -> None:
        self._request = _Edit(policy.request)
        self._reply = _Edit(policy.reply)

    def on_request(self, exchange: Exchange) -> None:
        """Change the request."""
        self._request.apply(exchange.headers)

    def on_response(self, exchange: Exchange) -> None:
        """Change the reply."""
        if exchange.reply is not None:
            self._reply.apply(exchange.reply.headers)
