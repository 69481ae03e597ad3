"""`redirect`: send the client elsewhere.

`redirect: /new/place`, or `{to: /new/, status: 301}`. Where the route ends in `/*` and `to` in `/`, what the `*` stood
for is appended; the query is kept. 308 is the default since it keeps the method and may be remembered.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.core.headers import Headers
from gateway.core.scalars import Settings
from gateway.core.schema_hints import written
from gateway.plugin_api import Exchange, Plugin, PluginServices, Reply, RouteInfo, Stage

_TARGET = re.compile(r"(?:https?://[A-Za-z0-9.\[\]:-]+(?:/|$)|/(?![/\\]))[!$&-;=?-\[\]_a-z~%]*")


def _check_target(to: str) -> str:
    if not _TARGET.fullmatch(to):
        raise ValueError(
            f'"{to}" is not a place to redirect to: write a path such as /new/ or a URL such as https://host.example/'
        )
    return to


Target = Annotated[str, AfterValidator(_check_target), written(f"^(?:{_TARGET.pattern})$", "/new/")]


class RedirectSettings(Settings):
    """The short form is `to`."""

    to: Target = Field(description="A path of this host, or a whole URL")
    status: Literal[301, 302, 303, 307, 308] = Field(default=308, description="308 and 307 keep the method")


def _read_short(value: Any) -> Any:
    return {"to": value} if isinstance(value, str) else value


class Redirect(Plugin):
    """Answers with a Location (RFC 9110 section 10.2.2)."""

    name = "redirect"
    stage = Stage.LOCAL
    Policy = Annotated[RedirectSettings, BeforeValidator(_read_short, json_schema_input_type=Target | RedirectSettings)]
    is_answering = True

    def __init__(self, policy: RedirectSettings, route: RouteInfo, services: PluginServices) -> None:
        self._to = policy.to
        self._status = policy.status
        self._joint = "&" if "?" in policy.to else "?"
        is_open_end = route.pattern.endswith("/*") and policy.to.endswith("/") and "?" not in policy.to
        self._rest_starts = route.pattern.count("/") if is_open_end else None

    def on_request(self, exchange: Exchange) -> Reply:
        """Answer."""
        location = self._to
        if self._rest_starts is not None:
            # As sent, so that what is encoded stays so. A path in normal form has the same slashes.
            parts = exchange.target.partition("?")[0].split("/", self._rest_starts)
            if len(parts) > self._rest_starts:
                # Two slashes, or a slash and a backslash, would name another host to a browser.
                location += parts[-1].lstrip("/\\")
        if exchange.query:
            location += self._joint + exchange.query
        return Reply(self._status, Headers([(b"location", location.encode("latin-1", "replace"))]))
