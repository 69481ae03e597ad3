"""routes.yaml as types: every key that the gateway itself owns, its form, and what it is when left out.

The keys of plugins are not here: policies on routes and under `defaults` and the plugins' sections have the types that
the plugin classes carry (`Plugin.Policy`, `Plugin.Section`).
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from gateway.config.forms import (
    ExplainKey,
    HashOn,
    HeaderName,
    HostText,
    Method,
    Network,
    OriginUrl,
    PatternText,
    PlainPath,
    PositiveDuration,
    PositiveDurationOrNone,
    PositiveSize,
    Predicate,
    RetryCause,
    StoreText,
    TemplateText,
    invalid,
    listed,
)
from gateway.config.precautions import Breaker, Hedge, Overload, Priority
from gateway.config.shares import Mirror, Split
from gateway.config.table_test import TableTest
from gateway.config.upstream_tls import UpstreamTls
from gateway.config.watch_settings import Watch
from gateway.core import schema_hints
from gateway.core.scalars import Claim, FlowOrNone, Id, Percent, Settings, Size
from gateway.core.schema_hints import at_least_one
from gateway.core.throughput import Throughput
from gateway.plugin_api import IdentityClaims


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

    store: StoreText = Field(
        "memory://",
        repr=False,
        description="Where shared state is kept: memory://, redis://, rediss://, redis+sentinel://, redis+cluster://.",
    )
    trusted_proxies: tuple[Network, ...] = Field((), description="Networks whose X-Forwarded-For is believed.")
    limits: Limits = Field(default_factory=Limits, description="What one client may cost.")
    cache: CacheMemory = Field(default_factory=CacheMemory, description="How much memory kept replies take.")
    explain_key: ExplainKey | None = Field(
        None,
        description="The secret that signs X-Gateway-Explain; left out: no live request is explained.",
    )
    on_invalid: Literal["reject", "partial"] = Field(
        "reject",
        description="What becomes of a table with broken routes: it is refused, or served with 503 in their place.",
    )
    watch: Watch | None = Field(None, description="Going back by itself where the changed routes fail.")


class IdentitySection(Settings):
    """`identity`: which claims of a verified token say who the caller is."""

    tenant: Claim = Field("tenant_id", description="The claim with the tenant.")
    user: Claim = Field("sub", description="The claim with the user.")
    plan: Claim = Field("plan", description="The claim with the plan.")
    scopes: Claim = Field("scope", description="The claim with the scopes: a list, or one text with spaces.")
    default_plan: str = Field(
        "free", min_length=1, examples=["free"], description="The plan of a token that names none, or an unknown one."
    )

    def claims(self) -> IdentityClaims:
        """As plugins get it."""
        return IdentityClaims(self.tenant, self.user, self.plan, self.scopes, self.default_plan)


class Endpoint(Settings):
    """One address of an upstream."""

    url: OriginUrl = Field(description="http://host:port or https://host:port, without a path.")
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
            hint = "; for a path in front of every request, write rewrite: {prefix: /path} on its routes"
            raise invalid(
                "an endpoint is http://host:port or https://host:port, with no path, query or password"
                f"{hint if '://' in value else ''}"
            )
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
    at_most: Percent = Field(
        0.5, description="The share of endpoints that may be left out at once; one may always, the last one never."
    )


class Pool(Settings):
    """`pool`: kept connections to each endpoint, per worker."""

    max: int = Field(256, ge=1, description="Connections at once; more requests wait for one.")
    idle: PositiveDuration = Field(60.0, description="How long an unused connection is kept.")


class Upstream(Settings):
    """One named service."""

    endpoints: tuple[
        Annotated[
            Endpoint,
            BeforeValidator(
                lambda value: {"url": value} if isinstance(value, str) else value,
                json_schema_input_type=OriginUrl | Endpoint,
            ),
        ],
        ...,
    ] = Field(min_length=1, description="Its addresses: a URL each, or {url, weight}.")
    balance: Literal["round_robin", "least_requests", "random_two", "hash"] = Field(
        "round_robin", description="How an endpoint is chosen."
    )
    hash_on: HashOn | None = Field(
        None, description="With balance hash: tenant (if left out), user, ip, header:NAME or cookie:NAME."
    )
    health: Health | None = Field(None, description="Probes; none where left out.")
    eject: Eject | None = Field(None, description="Leaving failing endpoints out; off where left out.")
    slow_start: PositiveDuration | None = Field(None, description="How long an endpoint that comes back gets less.")
    resolve: PositiveDuration | None = Field(None, description="How often the endpoints' names are resolved anew.")
    breaker: Breaker | None = Field(None, description="Circuit breaker; off where left out.")
    overload: Overload | None = Field(None, description="A limit on requests at once; none where left out.")
    pool: Pool = Field(default_factory=Pool, description="Kept connections.")
    tls: UpstreamTls | None = Field(None, description="TLS to https endpoints, where the defaults do not do.")

    @field_validator("endpoints")
    @classmethod
    def _are_different(cls, value: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        for index, endpoint in enumerate(value):
            if endpoint.url in [other.url for other in value[:index]]:
                raise invalid(
                    "the same endpoint stands twice; use weight to give it a larger share", "duplicate_endpoint"
                )
        return value

    @field_validator("tls")
    @classmethod
    def _has_use(cls, value: UpstreamTls | None, info: ValidationInfo) -> UpstreamTls | None:
        plain = [endpoint.url for endpoint in info.data.get("endpoints", ()) if not endpoint.is_tls]
        if value is not None and plain:
            raise invalid(f'tls has nothing to do with "{plain[0]}"; write https://', "invalid_tls")
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
    on: tuple[RetryCause, ...] = Field(
        ("connect", "reset"),
        min_length=1,
        description="connect, reset, timeout, or statuses of 500 to 599. A failed connect is repeated in any case.",
    )
    budget: Percent = Field(0.2, description="Retries as a share of all requests to the upstream.")


class Rewrite(Settings):
    """`rewrite`: the path for the upstream; the query stays."""

    model_config = ConfigDict(
        json_schema_extra={
            **at_least_one("strip", "prefix", "path"),
            "not": {"allOf": [schema_hints.given("path"), at_least_one("strip", "prefix")]},
        }
    )

    strip: PlainPath | None = Field(
        None, description="Taken off the front of the path; every path of the route has it."
    )
    prefix: PlainPath | None = Field(None, description="Put in front, after strip.")
    path: TemplateText | None = Field(None, description="The whole path, with the {parameters} of the match.")

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Rewrite":
        if self.path is not None and (self.strip or self.prefix):
            raise invalid("path replaces the whole path, so strip and prefix have nothing to do beside it")
        if self.path is self.strip is self.prefix is None:
            raise invalid("write strip, prefix or path, or none to leave the path alone")
        return self


class Match(Settings):
    """`match`: which requests a route serves."""

    path: PatternText = Field(description="/a/{id}, /a/{id:int}, or with /* at the end.")
    host: HostText | None = Field(None, description="api.example.com or *.example.com.")
    methods: (
        Annotated[tuple[Method, ...], BeforeValidator(listed, json_schema_input_type=Method | tuple[Method, ...])]
        | None
    ) = Field(None, min_length=1, description="Left out: all of them.")
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


RetryOrNone = Annotated[Retry | None, BeforeValidator(_off, json_schema_input_type=Retry | Literal["none"] | None)]
RewriteOrNone = Annotated[
    Rewrite | None, BeforeValidator(_off, json_schema_input_type=Rewrite | Literal["none"] | None)
]
HedgeOrNone = Annotated[Hedge | None, BeforeValidator(_off, json_schema_input_type=Hedge | Literal["none"] | None)]


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
    match: Annotated[Match, BeforeValidator(_match, json_schema_input_type=PatternText | Match)] = Field(
        description="A path, or {path, host, methods, headers, query}."
    )
    to: str | None = Field(None, examples=["crm"], description="The upstream.")
    split: Split | None = Field(
        None,
        examples=[[{"to": "crm", "weight": 90}, {"to": "crm-v2", "weight": 10}]],
        description="Several upstreams, each for a share of the callers; instead of to.",
    )
    mirror: Mirror | None = Field(None, description="Copies of requests for another upstream, as a trial.")
    rewrite: RewriteOrNone = Field(None, description="The path for the upstream; none: as it came.")
    timeout: Timeout | None = Field(None, description="How long the upstream may take.")
    retry: RetryOrNone = Field(None, description="Trying again; none: never.")
    hedge: HedgeOrNone = Field(None, description="Asking a second endpoint; none: never.")
    priority: Priority | None = Field(None, description="Who is refused last where an upstream has too much to do.")
    body_max: Size | None = Field(None, description="The largest request body.")


Version = Literal[1]
FileNames = Annotated[tuple[str, ...], BeforeValidator(listed, json_schema_input_type=str | tuple[str, ...])]


class Table(Settings):
    """The gateway's own part of routes.yaml; sections of plugins stand at the top as well."""

    version: Version = Field(description="The version of this format: 1.")
    include: FileNames = Field(
        (),
        examples=[["routes.d/*.yaml"]],
        description="Further files, as names or patterns such as routes.d/*.yaml, relative to this file.",
    )
    plugins: tuple[str, ...] = Field(
        (), examples=[["my_package.my_plugin"]], description="Modules, or module.Class, of further plugins."
    )
    gateway: GatewaySection = Field(default_factory=GatewaySection, description="What is the same for all routes.")
    identity: IdentitySection = Field(
        default_factory=IdentitySection, description="Which claims say who the caller is."
    )
    defaults: Defaults = Field(default_factory=Defaults, description="What each route has that does not say otherwise.")
    upstreams: Mapping[Id, Upstream] = Field(
        default_factory=dict,
        examples=[{"crm": {"endpoints": ["http://127.0.0.1:8101"]}}],
        description="The services, by name.",
    )
    routes: tuple[Route, ...] = Field(
        (),
        examples=[[{"id": "crm", "match": "/api/v1/crm/*", "to": "crm"}]],
        description="The routes; their order does not matter.",
    )
    tests: tuple[TableTest, ...] = Field(
        (),
        examples=[[{"get": "/api/v1/crm/contacts", "expect": {"status": 401}}]],
        description="Requests, and what must come of each.",
    )
