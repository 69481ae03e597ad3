"""`cors`: which web pages may read the replies, by the rules of the Fetch standard (section 3.3, CORS protocol).

`cors: [https://app.example]`, or the long form. The route with this policy owns CORS: what the upstream says of it is
replaced. A preflight is answered here, before anybody has to be known; other requests pass whatever their origin, since
it is the browser that keeps a page from reading the reply.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.core.errors import ORIGIN_REFUSED, GatewayError
from gateway.core.headers import Headers, add_to_vary, is_token
from gateway.core.scalars import Duration, Settings
from gateway.core.schema_hints import HEADER_NAME, written
from gateway.plugin_api import Exchange, Plugin, PluginServices, PolicyError, Reply, RouteInfo, Stage
from plugins.cors_changes import compare_cors

_ORIGIN = re.compile(r"(https?)://(\*\.)?((?:[a-z0-9-]+\.)*[a-z0-9-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_OWNED = (
    b"access-control-allow-origin",
    b"access-control-allow-credentials",
    b"access-control-expose-headers",
)


def _check_origin(text: str) -> str:
    if text == "*":
        return text
    origin = _ORIGIN.fullmatch(text)
    if origin is None:
        raise ValueError(f'"{text}" is not an origin: write it like https://app.example, https://*.example:8443 or *')
    if origin[4] == _DEFAULT_PORTS[origin[1]]:
        raise ValueError(f'"{text}": leave the port out, browsers do so for {origin[1]}')
    return text


def _check_name(text: str) -> str:
    if not text.isascii() or not is_token(text.encode()):
        raise ValueError(f'"{text}" is not a name of a method or header')
    return text


Name = Annotated[str, AfterValidator(_check_name), written(HEADER_NAME, "X-Request-Id")]
_Origins = Annotated[
    tuple[
        Annotated[
            str,
            AfterValidator(_check_origin),
            written(rf"^\*$|^(?!http:.*:80$|https:.*:443$){_ORIGIN.pattern}$", "https://app.example"),
        ],
        ...,
    ],
    Field(min_length=1),
]


class CorsSettings(Settings):
    """The short form is the list of origins."""

    origins: _Origins = Field(
        description="Pages that may read: https://app.example, https://*.example for every subdomain, or *"
    )
    methods: tuple[Name, ...] | None = Field(
        default=None, description="Methods that they may use; the route's methods, or all usual ones, when left out"
    )
    headers: tuple[Name, ...] = Field(
        default=("Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", "X-Request-Id"),
        description="Request headers that they may set; * for any",
    )
    expose: tuple[Name, ...] = Field(
        default=("ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"),
        description="Reply headers that they may read",
    )
    credentials: bool = Field(default=False, description="Whether cookies and client certificates may be used")
    max_age: Duration = Field(default=600.0, description="How long a browser may remember a preflight")


def _read_short(value: Any) -> Any:
    return {"origins": value} if isinstance(value, list) else value


class Cors(Plugin):
    """Answers preflights and marks replies, errors included."""

    name = "cors"
    stage = Stage.EDGE
    Policy = Annotated[CorsSettings, BeforeValidator(_read_short, json_schema_input_type=_Origins | CorsSettings)]
    compare = compare_cors

    def __init__(self, policy: CorsSettings, route: RouteInfo, services: PluginServices) -> None:
        self._is_any_origin = "*" in policy.origins
        if policy.credentials:
            for key in ("origins", "methods", "expose"):
                if "*" in (getattr(policy, key) or ()):
                    raise PolicyError(
                        f"{key} cannot be * with `credentials: true`, browsers refuse it: list them", path=(key,)
                    )
        self._origins = frozenset(origin.encode() for origin in policy.origins if "*" not in origin)
        self._wildcards = re.compile("|".join(_expression(text) for text in policy.origins if "*." in text).encode())
        self._has_wildcards = bool(self._wildcards.pattern)
        methods = policy.methods or sorted(route.methods or ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"))
        self._is_any_header = "*" in policy.headers
        self._preflight = [
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-max-age", b"%d" % policy.max_age),
        ]
        if policy.headers and not self._is_any_header:
            self._preflight.append((b"access-control-allow-headers", ", ".join(policy.headers).encode()))
        self._actual = []
        if policy.credentials:
            self._actual.append((b"access-control-allow-credentials", b"true"))
        if policy.expose:
            self._actual.append((b"access-control-expose-headers", ", ".join(policy.expose).encode()))

    def on_request(self, exchange: Exchange) -> Reply | None:
        """Answer a preflight; `on_response` adds the rest, as to every reply."""
        if exchange.method != "OPTIONS":
            return None
        origin = exchange.headers.get(b"origin")
        if origin is None or exchange.headers.get(b"access-control-request-method") is None:
            return None
        if not self._may_read(origin):
            raise GatewayError(ORIGIN_REFUSED, "Pages of this origin may not use this route.")
        headers = Headers(self._preflight)
        asked = exchange.headers.get_list(b"access-control-request-headers")
        if self._is_any_header and asked is not None:
            # Named one by one: a `*` would leave out Authorization, and means nothing with credentials.
            headers.add(b"access-control-allow-headers", asked)
        return Reply(204, headers)

    def on_response(self, exchange: Exchange) -> None:
        """Say who may read this."""
        reply = exchange.reply
        if reply is None:
            return
        headers = reply.headers
        for name in _OWNED:
            headers.remove(name)
        if self._is_any_origin:
            headers.add(b"access-control-allow-origin", b"*")
        else:
            # Also where there is no Origin: a cache must not give that reply to a page.
            add_to_vary(headers, b"Origin")
            origin = exchange.headers.get(b"origin")
            if origin is None or not self._may_read(origin):
                return
            headers.add(b"access-control-allow-origin", origin)
        for line in self._actual:
            headers.add(*line)

    def _may_read(self, origin: bytes) -> bool:
        if self._is_any_origin or origin in self._origins:
            return True
        return self._has_wildcards and self._wildcards.fullmatch(origin) is not None


def _expression(origin: str) -> str:
    return re.escape(origin).replace(r"\*\.", r"(?:[a-z0-9-]+\.)+")
