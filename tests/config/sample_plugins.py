"""Plugins and tables to test the loader with, independent of what the real plugins say."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr

from gateway.config.compile import compile_snapshot
from gateway.config.load import read_table
from gateway.config.offline import offline_services
from gateway.config.problems import TableInvalid
from gateway.config.snapshot import Snapshot
from gateway.config.source import from_memory
from gateway.core.scalars import Duration, Id, Settings, Size
from gateway.plugin_api import Exchange, Plugin, PluginServices, PolicyError, Reply, RouteInfo, Stage, UpstreamCall


class _Recording(Plugin):
    """Writes its name on every exchange that passes a hook."""

    def __init__(self, policy: Any, route: RouteInfo, services: PluginServices) -> None:
        self.policy = policy
        self.is_closed = False

    def on_request(self, exchange: Exchange) -> Reply | None:
        exchange.state.setdefault("trace", []).append(f"{self.name} request")
        return None

    def on_response(self, exchange: Exchange) -> None:
        exchange.state.setdefault("trace", []).append(f"{self.name} response")

    def on_finish(self, exchange: Exchange) -> None:
        exchange.state.setdefault("trace", []).append(f"{self.name} finish")

    def close(self) -> None:
        self.is_closed = True


class Profile(Settings):
    secret: SecretStr = Field(description="The key.")
    hint: str = Field("", repr=False, description="Also secret.")
    leeway: Duration = Field(0.0, description="Clocks.")


class Guard(_Recording):
    """As auth: a section, a required policy, and a check when it is built."""

    name = "auth"
    stage = Stage.IDENTITY
    Policy = Id
    section_name = "auth"
    Section = dict[Id, Profile]
    required_hint = "name a profile or write `auth: none`"

    def __init__(self, policy: str, route: RouteInfo, services: PluginServices) -> None:
        super().__init__(policy, route, services)
        if policy not in (services.section or {}):
            raise PolicyError(f'there is no profile "{policy}"', code="unknown_profile")
        if len(services.section[policy].secret.get_secret_value()) < 4:
            secret = services.section[policy].secret.get_secret_value()
            raise PolicyError(f'"{secret}" is too short', code="weak_secret", section=True, path=(policy, "secret"))


class Stamp(_Recording):
    """At the edge."""

    name = "stamp"
    stage = Stage.EDGE
    Policy = str


class MarkSettings(Settings):
    words: tuple[str, ...] = Field(description="Words.")
    level: Literal["low", "high"] = Field("low", description="How much.")
    size: Size = Field(1024, description="From which size.")
    count: int = Field(1, ge=1, le=9, description="How often.")
    exact: bool = Field(False, description="Whether exactly.")
    either: list[str] | dict[str, int] | None = Field(None, description="A union.")


class Mark(_Recording):
    """Wraps the upstream; has a short form."""

    name = "mark"
    stage = Stage.TRANSFORM
    Policy = Annotated[
        MarkSettings, BeforeValidator(lambda value: {"words": value} if isinstance(value, list) else value)
    ]

    def __init__(self, policy: MarkSettings, route: RouteInfo, services: PluginServices) -> None:
        super().__init__(policy, route, services)
        for index, word in enumerate(policy.words):
            if word == "never":
                raise PolicyError('"never" is not a word', path=("words", index))

    def wrap_upstream(self, call: UpstreamCall) -> UpstreamCall:
        async def wrapped(exchange: Exchange) -> Reply:
            exchange.state.setdefault("trace", []).append("mark call")
            return await call(exchange)

        return wrapped


class Answer(_Recording):
    """Instead of an upstream."""

    name = "respond"
    stage = Stage.LOCAL
    Policy = str
    is_answering = True

    def on_request(self, exchange: Exchange) -> Reply | None:
        super().on_request(exchange)
        return Reply(200, body=self.policy.encode())


class Later(_Recording):
    """Read and checked only."""

    name = "keep"
    stage = Stage.CACHE
    Policy = Duration
    is_in_force = False


PLUGINS = (Answer, Guard, Later, Mark, Stamp)

GOOD = """\
version: 1
auth:
  main: {secret: "${env:KEY}"}
defaults:
  auth: main
upstreams:
  crm:
    endpoints: ["http://127.0.0.1:8101"]
routes:
- id: crm
  match: /api/crm/*
  to: crm
"""
ENVIRON = {"KEY": "s3cr3t-key-of-the-test"}


async def no_upstream(exchange: Exchange) -> Reply:
    exchange.state.setdefault("trace", []).append("upstream")
    return Reply(200)


def compile_text(
    text: str, *, files: Mapping[str, str] | None = None, environ: Mapping[str, str] = ENVIRON
) -> Snapshot:
    """As `check_table`, over texts. Raises TableInvalid."""
    read_file, find_files = from_memory({"routes.yaml": text, **(files or {})})
    loaded = read_table("routes.yaml", PLUGINS, environ=environ, read_file=read_file, find_files=find_files)
    return compile_snapshot(loaded, offline_services(loaded), no_upstream)


def problems_of(
    text: str, *, files: Mapping[str, str] | None = None, environ: Mapping[str, str] = ENVIRON
) -> list[str]:
    """What an operator would read; empty where the table is good."""
    try:
        compile_text(text, files=files, environ=environ)
    except TableInvalid as error:
        return [str(problem) for problem in error.problems]
    return []
