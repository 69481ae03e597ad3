"""routes.yaml as types: every key that the gateway itself owns, its form, and what it is when left out.

The keys of plugins are not here: policies on routes and under `defaults` and the plugins' sections have the types that
the plugin classes carry (`Plugin.Policy`, `Plugin.Section`).
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.precautions import Breaker, Hedge, Overload, PositiveDuration, PositiveDurationOrNone, Priority
from gateway.config.upstream_tls import UpstreamTls
from gateway.core.headers import is_token
from gateway.core.paths import PathNotCanonical, normal_form
from gateway.core.routing import parse_pattern
from gateway.core.scalars import Claim, FlowOrNone, Id, Percent, Settings, Size
from gateway.core.store_url import parse_store_url
from gateway.core.throughput import Throughput
from gateway.plugin_api import IdentityClaims

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_HASH_ON = re.compile(r"tenant|user|ip|(header|cookie):[A-Za-z0-9_-]+")
_RETRY_ON = ("connect", "reset", "timeout")


def _invalid(message: str, code: str = "invalid_value") -> PydanticCustomError:
    # Through the context, because the template itself may hold no braces.
    return PydanticCustomError(code, "{message}", {"message": message})


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _positive_size(value: int) -> int:
    if value == 0:
        raise _invalid("0B would refuse every request")
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise _invalid(f'"{value}" is not a network: write it like 10.0.0.0/8, 127.0.0.1/32 or ::1/128') from None
    return value


def _pattern(value: str) -> str:
    try:
        parse_pattern(value)
    except ValueError as error:
        raise _invalid(str(error), "bad_path") from None
    return value


def _plain_path(value: str) -> str:
    if not value.startswith("/") or value.endswith("/"):
        raise _invalid(f'"{value}" must start with / and not end with it, like /api/v1', "bad_path")
    try:
        is_normal = normal_form(value) == value and not set("{}*") & set(value)
    except PathNotCanonical as error:
        raise _invalid(f'"{value}" has {error.reason}', "bad_path") from None
    if not is_normal:
        raise _invalid(f'"{value}" must be plain text, without parameters and as it stands in a URL', "bad_path")
    return value


def _template(value: str) -> str:
    if value.endswith("*"):
        raise _invalid(f'"{value}": a path template has no *; use strip and prefix to keep the rest', "bad_path")
    if ":int}" in value:
        raise _invalid(f'"{value}": a path template names parameters only, like {{id}}', "bad_path")
    return _pattern(value)


def _method(value: str) -> str:
    if value not in METHODS:
        hint = f'write "{value.upper()}"' if value.upper() in METHODS else f"known: {', '.join(METHODS)}"
        raise _invalid(f'"{value}" is not a method; {hint}', "unknown_method")
    return value


def _host(value: str) -> str:
    host = value.lower()
    if not _HOST.fullmatch(host):
        raise _invalid(f'"{value}" is not a host: write it like api.example.com or *.example.com, without a port')
    return host


def _header_name(value: str) -> str:
    if not value.isascii() or not is_token(value.encode()):
        raise _invalid(f'"{value}" is not a header name')
    return value.lower()


def _hash_on(value: str) -> str:
    if not _HASH_ON.fullmatch(value):
        raise _invalid(f'"{value}" is not one of tenant, user, ip, header:NAME, cookie:NAME')
    return value


def _store(value: str) -> str:
    try:
        parse_store_url(value)
    except ValueError as error:
        raise _invalid(str(error)) from None
    return value


def _retry_cause(value: Any) -> str:
    cause = str(value)
    if cause not in _RETRY_ON and not re.fullmatch(r"5\d\d", cause):
        raise _invalid(f'"{cause}" is not a cause to retry; write connect, reset, timeout or a status of 500 to 599')
    return cause


PositiveSize = Annotated[Size, AfterValidator(_positive_size)]
Network = Annotated[str, AfterValidator(_network)]
PatternText = Annotated[str, AfterValidator(_pattern)]
PlainPath = Annotated[str, AfterValidator(_plain_path)]
TemplateText = Annotated[str, AfterValidator(_template)]
Method = Annotated[str, AfterValidator(_method)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
Predicate = Annotated[
    str | None, BeforeValidator(lambda value: None if value == "*" else value if isinstance(value, str) else str(value))
]


class Limits(Settings):
    """`gateway.limits`: what one client may cost."""

    target_max: PositiveSize = Field(8190, description="The target of a request line; more is 414.")
    header_max: Size = Field(32 << 10, description="All request headers together; more is 431.")
    header_line_max: PositiveSize = Field(16 << 10, description="One request header; more is 431.")
    max_headers: int = Field(128, ge=1, description="Header lines of a request; more is 431.")
    body_max: Size = Field(10 << 20, description="A request body where the route does not say; more is 413.")
    header_timeout: PositiveDuration = Field(10.0, description="For the whole head of a request to arrive.")
    idle_timeout: PositiveDuration = Field(
        75.0, description="How long a client connection may wait for its next request."
    )
    body_rate_min: FlowOrNone = Field(
        Throughput(2 << 10, 10.0),
        description="The least that must arrive of a body, in each so many seconds; else 408.",
    )
    reply_rate_min: FlowOrNone = Field(
        Throughput(8 << 10, 60.0),
        description="The least that a client must take of a reply that waits for it, in each so many seconds; else it "
        "is cut off (on Linux).",
    )
    max_connections: int = Field(16_000, ge=1, description="Client connections per worker; more are refused with 503.")
    max_requests: int = Field(
        10_000, ge=1, description="Requests of one client connection; the last reply says Connection: close."
    )


class CacheMemory(Settings):
    """`gateway.cache`: how much memory kept replies take."""

    l1: Size = Field(64 << 20, description="In each worker, for replies of routes with `cache`.")


class GatewaySection(Settings):
    """`gateway`: what is the same for all routes."""

    store: Annotated[str, AfterValidator(_store)] = Field(
        "memory://",
        repr=False,
        description="Where shared state is kept: memory://, redis://, rediss://, redis+sentinel://, redis+cluster://.",
    )
    trusted_proxies: tuple[Network, ...] = Field((), description="Networks whose X-Forwarded-For is believed.")
    limits: Limits = Field(default_factory=Limits, description="What one client may cost.")
    cache: CacheMemory = Field(default_factory=CacheMemory, description="How much memory kept replies take.")


class IdentitySection(Settings):
    """`identity`: which claims of a verified token say who the caller is."""

    tenant: Claim = Field("tenant_id", description="The claim with the tenant.")
    user: Claim = Field("sub", description="The claim with the user.")
    plan: Claim = Field("plan", description="The claim with the plan.")
    scopes: Claim = Field("scope", description="The claim with the scopes: a list, or one text with spaces.")
    default_plan: str = Field(
        "free", min_length=1, description="The plan of a token that names none, or an unknown one."
    )

    def claims(self) -> IdentityClaims:
        """As plugins get it."""
        return IdentityClaims(self.tenant, self.user, self.plan, self.scopes, self.default_plan)


class Endpoint(Settings):
    """One address of an upstream."""

    url: str = Field(description="http://host:port or https://host:port, without a path.")
    weight: int = Field(1, ge=1, le=1000, description="Its share of the requests, against the other endpoints.")

    @field_validator("url")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            is_origin = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_origin = False
        if not is_origin or parts.username is not None or not re.fullmatch(r"[a-z]+://[^/?#\s]+/?", value):
            raise _invalid("an endpoint is http://host:port or https://host:port, with no path, query or password")
        return value.removesuffix("/")

    @property
    def host(self) -> str:
        """The host, without brackets where it is an IPv6 address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, 80 or 443 where the URL has none."""
        return urlsplit(self.url).port or (443 if self.is_tls else 80)

    @property
    def is_tls(self) -> bool:
        """Whether it is reached over TLS."""
        return self.url.startswith("https:")


class Health(Settings):
    """`health`: asking each endpoint whether it is well."""

    path: PlainPath = Field(description="What to GET; 200 to 399 is well.")
    every: PositiveDuration = Field(5.0, description="Between two probes of one endpoint.")
    timeout: PositiveDuration = Field(1.0, description="For one probe.")
    healthy_after: int = Field(2, ge=1, description="Good probes in a row until it gets requests again.")
    unhealthy_after: int = Field(3, ge=1, description="Failed probes in a row until it gets none.")


class Eject(Settings):
    """`eject`: leaving out an endpoint whose replies fail."""

    errors: int = Field(5, ge=1, description="Failures in a row.")
    for_: PositiveDuration = Field(30.0, alias="for", description="How long it is left out.")
    at_most: Percent = Field(0.5, description="The share of endpoints that may be left out at once.")


class Pool(Settings):
    """`pool`: kept connections to each endpoint, per worker."""

    max: int = Field(256, ge=1, description="Connections at once; more requests wait for one.")
    idle: PositiveDuration = Field(60.0, description="How long an unused connection is kept.")


class Upstream(Settings):
    """One named service."""

    endpoints: tuple[
        Annotated[Endpoint, BeforeValidator(lambda value: {"url": value} if isinstance(value, str) else value)], ...
    ] = Field(min_length=1, description="Its addresses: a URL each, or {url, weight}.")
    balance: Literal["round_robin", "least_requests", "random_two", "hash"] = Field(
        "round_robin", description="How an endpoint is chosen."
    )
    hash_on: Annotated[str, AfterValidator(_hash_on)] | None = Field(
        None, description="With balance hash: tenant, user, ip, header:NAME or cookie:NAME."
    )
    health: Health | None = Field(None, description="Probes; none where left out.")
    eject: Eject | None = Field(None, description="Leaving failing endpoints out; off where left out.")
    breaker: Breaker | None = Field(None, description="Circuit breaker; off where left out.")
    overload: Overload | None = Field(None, description="A limit on requests at once; none where left out.")
    pool: Pool = Field(default_factory=Pool, description="Kept connections.")
    tls: UpstreamTls | None = Field(None, description="TLS to https endpoints, where the defaults do not do.")

    @field_validator("endpoints")
    @classmethod
    def _are_different(cls, value: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        for index, endpoint in enumerate(value):
            if endpoint.url in [other.url for other in value[:index]]:
                raise _invalid(
                    "the same endpoint stands twice; use weight to give it a larger share", "duplicate_endpoint"
                )
        return value

    @field_validator("tls")
    @classmethod
    def _has_use(cls, value: UpstreamTls | None, info: ValidationInfo) -> UpstreamTls | None:
        plain = [endpoint.url for endpoint in info.data.get("endpoints", ()) if not endpoint.is_tls]
        if value is not None and plain:
            raise _invalid(f'tls has nothing to do with "{plain[0]}"; write https://', "invalid_tls")
        return value


class Timeout(Settings):
    """`timeout`: how long the upstream may take. A key that a route leaves out is as in `defaults`."""

    connect: PositiveDuration = Field(1.0, description="Until the connection stands.")
    total: PositiveDurationOrNone = Field(
        30.0, description="From the first byte sent to the last byte received; or none."
    )
    idle: PositiveDurationOrNone = Field(
        None, description="Between two pieces of the reply; 60s where it is left out and total is none."
    )
    send: bool = Field(True, description="Tell the upstream how much of total is left, in X-Request-Timeout-Ms.")

    @property
    def idle_s(self) -> float | None:
        """The idle limit in force: a stream without a total limit still ends when it falls silent for 60 s."""
        if "idle" in self.model_fields_set or self.total is not None:
            return self.idle
        return 60.0


class Retry(Settings):
    """`retry`: trying again where that is safe. A key that a route leaves out is as in `defaults`."""

    attempts: int = Field(2, ge=1, le=10, description="Tries in all, the first one included.")
    on: tuple[Annotated[str, BeforeValidator(_retry_cause)], ...] = Field(
        ("connect", "reset"),
        min_length=1,
        description="connect, reset, timeout, or statuses of 500 to 599. A failed connect is repeated in any case.",
    )
    budget: Percent = Field(0.2, description="Retries as a share of all requests to the upstream.")


class Rewrite(Settings):
    """`rewrite`: the path for the upstream; the query stays."""

    strip: PlainPath | None = Field(
        None, description="Taken off the front of the path; every path of the route has it."
    )
    prefix: PlainPath | None = Field(None, description="Put in front, after strip.")
    path: TemplateText | None = Field(None, description="The whole path, with the {parameters} of the match.")

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Rewrite":
        if self.path is not None and (self.strip or self.prefix):
            raise _invalid("path replaces the whole path, so strip and prefix have nothing to do beside it")
        if self.path is self.strip is self.prefix is None:
            raise _invalid("write strip, prefix or path, or none to leave the path alone")
        return self


class Match(Settings):
    """`match`: which requests a route serves."""

    path: PatternText = Field(description="/a/{id}, /a/{id:int}, or with /* at the end.")
    host: Annotated[str, AfterValidator(_host)] | None = Field(None, description="api.example.com or *.example.com.")
    methods: Annotated[tuple[Method, ...], BeforeValidator(_listed)] | None = Field(
        None, min_length=1, description="Left out: all of them."
    )
    headers: Mapping[HeaderName, Predicate] = Field(
        default_factory=dict, description='Header and value that the request must have; "*" for any value.'
    )
    query: Mapping[str, Predicate] = Field(
        default_factory=dict, description='Query parameter and value that the request must have; "*" for any value.'
    )


def _match(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _off(value: Any) -> Any:
    return None if value == "none" else value


RetryOrNone = Annotated[Retry | None, BeforeValidator(_off)]
HedgeOrNone = Annotated[Hedge | None, BeforeValidator(_off)]
RewriteOrNone = Annotated[Rewrite | None, BeforeValidator(_off)]


class Defaults(Settings):
    """`defaults`: what each route has that does not say otherwise. Policies of plugins stand here as well."""

    timeout: Timeout = Field(default_factory=Timeout, description="How long the upstream may take.")
    retry: RetryOrNone = Field(None, description="Trying again; off where left out.")
    hedge: HedgeOrNone = Field(None, description="Asking a second endpoint; off where left out.")
    priority: Priority = Field("normal", description="Who is refused last where an upstream has too much to do.")
    rewrite: RewriteOrNone = Field(None, description="The path for the upstream.")
    body_max: Size | None = Field(None, description="The largest request body; gateway.limits.body_max where left out.")


class Route(Settings):
    """One route: a match, and what is to be done. Policies of plugins stand here as well."""

    id: Id = Field(description="Its name in logs, metrics and errors.")
    match: Annotated[Match, BeforeValidator(_match)] = Field(
        description="A path, or {path, host, methods, headers, query}."
    )
    to: str | None = Field(None, description="The upstream.")
    rewrite: RewriteOrNone = Field(None, description="The path for the upstream; none: as it came.")
    timeout: Timeout | None = Field(None, description="How long the upstream may take.")
    retry: RetryOrNone = Field(None, description="Trying again; none: never.")
    hedge: HedgeOrNone = Field(None, description="Asking a second endpoint; none: never.")
    priority: Priority | None = Field(None, description="Who is refused last where an upstream has too much to do.")
    body_max: Size | None = Field(None, description="The largest request body.")


class Caller(Settings):
    """`as` of a test: who asks."""

    tenant: str | None = Field(None, description="The tenant.")
    user: str | None = Field(None, description="The user.")
    plan: str | None = Field(None, description="The plan.")
    scopes: tuple[str, ...] = Field((), description="The granted scopes.")
    claims: Mapping[str, Any] = Field(default_factory=dict, description="Further claims of the token.")


class Expectation(Settings):
    """`expect` of a test: what must come of it."""

    status: int | None = Field(None, ge=100, le=599, description="The status of the reply.")
    code: str | None = Field(None, description="The code of the error.")
    route: str | None = Field(None, description="The route that serves it.")
    upstream: str | None = Field(None, description="The upstream it goes to.")
    upstream_path: str | None = Field(None, description="The path that the upstream sees.")

    @model_validator(mode="after")
    def _says_something(self) -> "Expectation":
        if not self.model_fields_set:
            raise _invalid("expect at least one of status, code, route, upstream, upstream_path")
        return self


TestPath = Annotated[str, Field(pattern="^/")]


class TableTest(Settings):
    """One request of `tests` and what must come of it. Exactly one method key, its value the path."""

    get: TestPath | None = Field(None, description="GET this path.")
    head: TestPath | None = Field(None, description="HEAD this path.")
    post: TestPath | None = Field(None, description="POST to this path.")
    put: TestPath | None = Field(None, description="PUT to this path.")
    patch: TestPath | None = Field(None, description="PATCH this path.")
    delete: TestPath | None = Field(None, description="DELETE this path.")
    options: TestPath | None = Field(None, description="OPTIONS of this path.")
    as_: Caller | None = Field(None, alias="as", description="Who asks; nobody where left out.")
    headers: Mapping[HeaderName, str] = Field(default_factory=dict, description="Headers of the request.")
    body: Any = Field(None, description="The body: text as it is, anything else as JSON.")
    expect: Expectation = Field(description="What must come of it.")

    @model_validator(mode="after")
    def _has_one_method(self) -> "TableTest":
        if len([name for name in METHODS if getattr(self, name.lower()) is not None]) != 1:
            raise _invalid("a test has one method with its path, like get: /api/v1/crm/contacts")
        return self

    @property
    def request(self) -> tuple[str, str]:
        """Method and target."""
        return next((name, path) for name in METHODS if (path := getattr(self, name.lower())) is not None)


Version = Literal[1]
FileNames = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Table(Settings):
    """The gateway's own part of routes.yaml; sections of plugins stand at the top as well."""

    version: Version = Field(description="The version of this format: 1.")
    include: FileNames = Field(
        (), description="Further files, as names or patterns such as routes.d/*.yaml, relative to this file."
    )
    plugins: tuple[str, ...] = Field((), description="Modules, or module.Class, of further plugins.")
    gateway: GatewaySection = Field(default_factory=GatewaySection, description="What is the same for all routes.")
    identity: IdentitySection = Field(
        default_factory=IdentitySection, description="Which claims say who the caller is."
    )
    defaults: Defaults = Field(default_factory=Defaults, description="What each route has that does not say otherwise.")
    upstreams: Mapping[Id, Upstream] = Field(default_factory=dict, description="The services, by name.")
    routes: tuple[Route, ...] = Field((), description="The routes; their order does not matter.")
    tests: tuple[TableTest, ...] = Field((), description="Requests, and what must come of each.")
