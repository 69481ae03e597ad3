"""`respond`: a fixed answer, or how the caller stands with its limits.

`respond: {status: 200, json: {ok: true}}` or `{text: "Back at noon", headers: {Retry-After: "600"}}`; `respond: limits`
shows the caller's plan and what is left of it, by the route's own policy `limit`, which takes nothing for it.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from gateway.core.headers import HeaderLine, Headers
from gateway.core.owned_headers import HeaderValue, ReplyHeaderName
from gateway.core.scalars import Settings
from gateway.core.schema_hints import given
from gateway.plugin_api import LIMITS_REPORT, Exchange, Plugin, PluginServices, PolicyError, Reply, RouteInfo, Stage

_WITHOUT_BODY = (204, 205, 304)


_HAS_BODY: JsonDict = {"anyOf": [{"required": ["json"]}, given("text")]}
_SAYS_LIMITS: JsonDict = {"required": ["limits"], "properties": {"limits": {"const": True}}}
_SAYS_NO_BODY: JsonDict = {"required": ["status"], "properties": {"status": {"enum": list(_WITHOUT_BODY)}}}


class RespondSettings(Settings):
    """One of json, text and limits, or none. The short form is `limits`."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {"not": {"allOf": [{"required": ["json"]}, given("text")]}},
                {"if": _SAYS_LIMITS, "then": {"not": _HAS_BODY, "properties": {"status": {"const": 200}}}},
                {"if": _SAYS_NO_BODY, "then": {"not": _HAS_BODY}},
            ]
        }
    )

    status: int = Field(default=200, ge=200, le=599, description="The status of the reply")
    json_body: Any = Field(default=None, alias="json", examples=[{"ok": True}], description="The body as JSON")
    text: str | None = Field(default=None, examples=["Back at noon"], description="The body as plain text")
    headers: dict[ReplyHeaderName, HeaderValue] = Field(
        default={}, examples=[{"Retry-After": "600"}], description="Header lines to add"
    )
    limits: bool = Field(default=False, description="How the caller stands with the route's limit, as JSON")

    @model_validator(mode="after")
    def _check_one_body(self) -> "RespondSettings":
        has_json = "json_body" in self.model_fields_set
        if has_json and self.text is not None:
            raise ValueError("write json or text, not both")
        if self.limits and (has_json or self.text is not None or self.status != 200):
            raise ValueError("limits is the whole answer: write it without status, json and text")
        if self.status in _WITHOUT_BODY and (has_json or self.text is not None):
            raise ValueError(f"a reply with status {self.status} has no body")
        return self


def _read_short(value: Any) -> Any:
    return {"limits": True} if value == "limits" else value


class Respond(Plugin):
    """Answers with what was prepared at load, or by `limit` before it."""

    name = "respond"
    stage = Stage.LOCAL
    Policy = Annotated[
        RespondSettings, BeforeValidator(_read_short, json_schema_input_type=Literal["limits"] | RespondSettings)
    ]
    is_answering = True

    def __init__(self, policy: RespondSettings, route: RouteInfo, services: PluginServices) -> None:
        if policy.limits and route.policies.get("limit") is None:
            raise PolicyError("there is no limit here to show: give the route a limit, such as {plan: true}")
        self._status = policy.status
        self._is_limits = policy.limits
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
        elif policy.limits:
            content_type = b"application/json"
        self._lines: list[HeaderLine] = [(name.encode(), value.encode()) for name, value in policy.headers.items()]
        if content_type is not None and "content-type" not in policy.headers:
            self._lines.append((b"content-type", content_type))

    def on_request(self, exchange: Exchange) -> Reply:
        """Answer."""
        headers = Headers(self._lines)
        if not self._is_limits:
            return Reply(self._status, headers, self._body)
        # Of this caller, at this moment.
        headers.set(b"cache-control", b"no-store")
        return Reply(self._status, headers, json.dumps(exchange.state[LIMITS_REPORT]).encode())
