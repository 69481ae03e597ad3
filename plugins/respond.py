"""`respond`: a fixed answer.

`respond: {status: 200, json: {ok: true}}` or `{text: "Back at noon", headers: {Retry-After: "600"}}`.
"""

import json
from typing import Annotated, Any

from pydantic import Field, model_validator

from gateway.core.headers import HeaderLine, Headers
from gateway.core.owned_headers import HeaderValue, ReplyHeaderName
from gateway.core.scalars import Settings
from gateway.plugin_api import Exchange, Plugin, PluginServices, PolicyError, Reply, RouteInfo, Stage

_WITHOUT_BODY = (204, 205, 304)


class RespondSettings(Settings):
    """One of json and text, or neither."""

    status: Annotated[int, Field(ge=200, le=599)] = 200
    json_body: Any = Field(default=None, alias="json", description="The body as JSON")
    text: str | None = Field(default=None, description="The body as plain text")
    headers: dict[ReplyHeaderName, HeaderValue] = Field(default={}, description="Header lines to add")

    @model_validator(mode="after")
    def _check_one_body(self) -> "RespondSettings":
        has_json = "json_body" in self.model_fields_set
        if has_json and self.text is not None:
            raise ValueError("write json or text, not both")
        if self.status in _WITHOUT_BODY and (has_json or self.text is not None):
            raise ValueError(f"a reply with status {self.status} has no body")
        return self


class Respond(Plugin):
    """Answers with what was prepared at load."""

    name = "respond"
    stage = Stage.LOCAL
    Policy = RespondSettings
    is_answering = True

    def __init__(self, policy: RespondSettings, route: RouteInfo, services: PluginServices) -> None:
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

    def on_request(self, exchange: Exchange) -> Reply:
        """Answer."""
        return Reply(self._status, Headers(self._lines), self._body)
