"""`mock`: a fixed reply in the place of the upstream's, for a service that is not there yet, or not to be asked now.

`mock: {json: {items: []}}`, `{status: 404, text: "…"}`, `{json: …, headers: {X-Total: "0"}}`. Unlike `respond`, which
is the whole of a route, it stands beside `to` and behind every policy (the hook `wrap_upstream`): auth, limit, cache,
idempotency and compress do what they will do with the service. Without the line, the route is live.
"""

import json
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from gateway.core.headers import HeaderLine, Headers
from gateway.core.owned_headers import HeaderValue, ReplyHeaderName
from gateway.core.scalars import Settings
from gateway.core.schema_hints import given
from gateway.plugin_api import Exchange, Plugin, PluginServices, PolicyError, Reply, RouteInfo, Stage, UpstreamCall

_WITHOUT_BODY = (204, 205, 304)


class MockSettings(Settings):
    """One of json and text, or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {"allOf": [{"required": ["json"]}, given("text")]},
            "if": {"required": ["status"], "properties": {"status": {"enum": list(_WITHOUT_BODY)}}},
            "then": {"not": {"anyOf": [{"required": ["json"]}, given("text")]}},
        }
    )

    status: int = Field(default=200, ge=200, le=599, description="The status of the reply")
    json_body: Any = Field(default=None, alias="json", examples=[{"items": []}], description="The body as JSON")
    text: str | None = Field(default=None, examples=["Nothing here yet"], description="The body as plain text")
    headers: dict[ReplyHeaderName, HeaderValue] = Field(default={}, description="Header lines of the reply")

    @model_validator(mode="after")
    def _check_one_body(self) -> "MockSettings":
        has_json = "json_body" in self.model_fields_set
        if has_json and self.text is not None:
            raise ValueError("write json or text, not both")
        if self.status in _WITHOUT_BODY and (has_json or self.text is not None):
            raise ValueError(f"a reply with status {self.status} has no body")
        return self


class Mock(Plugin):
    """Answers in the place of the upstream with what was prepared at load."""

    name = "mock"
    stage = Stage.LOCAL
    Policy = MockSettings

    def __init__(self, policy: MockSettings, route: RouteInfo, services: PluginServices) -> None:
        if route.upstream is None:
            raise PolicyError("there is no upstream here to stand in for: write `to`, or use respond")
        self._status = policy.status
        self._body = b""
        content_type = None
        if "json_body" in policy.model_fields_set:
            try:
                self._body = json.dumps(policy.json_body, ensure_ascii=False, allow_nan=False).encode()
            except (TypeError, ValueError) as error:
                raise PolicyError(f"this cannot be written as JSON: {error}", path=("json",)) from None
            content_type = b"application/json"
        elif policy.text is not None:
            self._body = policy.text.encode()
            content_type = b"text/plain; charset=utf-8"
        self._lines: list[HeaderLine] = [(name.encode(), value.encode()) for name, value in policy.headers.items()]
        if content_type is not None and "content-type" not in policy.headers:
            self._lines.append((b"content-type", content_type))

    def wrap_upstream(self, call: UpstreamCall) -> UpstreamCall:
        """Ask nobody."""

        async def answer(exchange: Exchange) -> Reply:
            exchange.verdicts["mock"] = "answered"
            return Reply(self._status, Headers(self._lines), self._body)

        return answer
