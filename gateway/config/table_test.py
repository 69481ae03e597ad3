"""`tests` of a table as types: requests, and what must come of each."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from gateway.config.forms import METHODS, HeaderName, invalid
from gateway.core.scalars import Duration, Settings
from gateway.core.schema_hints import exactly_one


class Caller(Settings):
    """`as` of a test: who asks."""

    tenant: str | None = Field(None, examples=["t1"], description="The tenant.")
    user: str | None = Field(None, examples=["u1"], description="The user.")
    plan: str | None = Field(None, examples=["free"], description="The plan.")
    scopes: tuple[str, ...] = Field((), examples=[["crm.read"]], description="The granted scopes.")
    claims: Mapping[str, Any] = Field(
        default_factory=dict, examples=[{"modules": ["crm"]}], description="Further claims of the token."
    )


class ExpectedCache(Settings):
    """`cache` of an expectation: the parts of the key, and the policy's terms. What is left out may be anything."""

    scope: Literal["public", "tenant", "user"] | None = Field(None, description="Who shares the kept reply.")
    tenant: str | None = Field(None, examples=["t1"], description="Whose it is.")
    user: str | None = Field(None, examples=["u1"], description="The user whose it is.")
    vary: tuple[str, ...] | None = Field(
        None, examples=[["accept-language"]], description="Request headers that tell replies apart."
    )
    ttl: Duration | None = Field(None, description="How long a reply is fresh of which the upstream says nothing.")
    layers: tuple[Literal["l1", "l2"], ...] | None = Field(None, description="Where it is kept.")
    tags: tuple[str, ...] | None = Field(None, examples=[["crm:t1"]], description="By which names it is dropped.")


class ExpectedLimit(Settings):
    """`limit` of an expectation: whom the buckets belong to, and which they are. What is left out may be anything."""

    key: str | None = Field(
        None, examples=["tenant:t1"], description="The key of the buckets, as `gateway explain` prints it."
    )
    by: Literal["tenant", "user", "ip", "key", "route"] | None = Field(None, description="Who is counted.")
    plan: str | None = Field(
        None, examples=["free"], description="The plan whose rates count; none: rates of the route itself."
    )
    windows: tuple[str, ...] | None = Field(
        None, examples=[["60/min", "1000/h"]], description="The rates, as they stand in the table: 60/min."
    )


class Expectation(Settings):
    """`expect` of a test: what must come of it."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    status: int | None = Field(None, ge=100, le=599, description="The status of the reply.")
    code: str | None = Field(None, examples=["token_missing"], description="The code of the error.")
    route: str | None = Field(None, examples=["crm"], description="The route that serves it.")
    upstream: str | None = Field(None, examples=["crm"], description="The upstream it goes to.")
    upstream_path: str | None = Field(
        None,
        examples=["/crm/contacts"],
        description="The path that the upstream sees; with its query where a ? stands here.",
    )
    upstream_headers: Mapping[HeaderName, str] = Field(
        default_factory=dict,
        examples=[{"x-tenant-id": "t1"}],
        description="Header lines that the upstream gets; none: it gets no such line.",
    )
    cache: Literal["none"] | ExpectedCache | None = Field(
        None, description="Under what the reply is kept; none: it has nothing to do with the cache."
    )
    limit: Literal["none"] | ExpectedLimit | None = Field(
        None, description="What it is counted under; none: nothing counts it."
    )

    @model_validator(mode="after")
    def _says_something(self) -> "Expectation":
        if not self.model_fields_set:
            raise invalid(f"expect at least one of {', '.join(Expectation.model_fields)}")
        return self


TestPath = Annotated[str, Field(pattern="^/", examples=["/api/v1/crm/contacts"])]


class TableTest(Settings):
    """One request of `tests` and what must come of it. Exactly one method key, its value the path."""

    model_config = ConfigDict(json_schema_extra=exactly_one(*(name.lower() for name in METHODS)))

    get: TestPath | None = Field(None, description="GET this path.")
    head: TestPath | None = Field(None, description="HEAD this path.")
    post: TestPath | None = Field(None, description="POST to this path.")
    put: TestPath | None = Field(None, description="PUT to this path.")
    patch: TestPath | None = Field(None, description="PATCH this path.")
    delete: TestPath | None = Field(None, description="DELETE this path.")
    options: TestPath | None = Field(None, description="OPTIONS of this path.")
    as_: Caller | None = Field(None, alias="as", description="Who asks; nobody where left out.")
    headers: Mapping[HeaderName, str] = Field(
        default_factory=dict, examples=[{"x-version": "2"}], description="Headers of the request."
    )
    body: Any = Field(None, examples=[{"name": "Ada"}], description="The body: text as it is, anything else as JSON.")
    expect: Expectation = Field(description="What must come of it.")

    @model_validator(mode="after")
    def _has_one_method(self) -> "TableTest":
        if len([name for name in METHODS if getattr(self, name.lower()) is not None]) != 1:
            raise invalid("a test has one method with its path, like get: /api/v1/crm/contacts")
        return self

    @property
    def request(self) -> tuple[str, str]:
        """Method and target."""
        return next((name, path) for name in METHODS if (path := getattr(self, name.lower())) is not None)
