"""`cache`: how long replies may be kept, and for whom.

The policy is read and checked, so that a table can be written for it, but it is not in force yet: nothing is cached.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gateway.core.cache_tags import unknown_placeholder
from gateway.core.scalars import Duration, Settings
from gateway.plugin_api import Plugin, PluginServices, PolicyError, RouteInfo, Stage


class CacheSettings(Settings):
    """What may be kept. The short form is the time to live."""

    ttl: Duration = Field(description="How long a reply is fresh")
    scope: Literal["public", "tenant", "user"] | None = Field(
        default=None, description="Who shares a kept reply; has to be said where the route has auth"
    )
    stale: Duration = Field(default=0.0, description="How long after that it may be used while it is fetched anew")
    stale_if_error: Duration = Field(
        default=0.0, description="How long after that it may be used if the upstream fails"
    )
    tags: tuple[str, ...] = Field(default=(), description="Names to invalidate it by; may have {tenant} and the like")


def _read_short(value: Any) -> Any:
    return {"ttl": value} if isinstance(value, str) else value


class Cache(Plugin):
    """Checks the policy, and does nothing on the path."""

    name = "cache"
    stage = Stage.CACHE
    Policy = Annotated[CacheSettings, BeforeValidator(_read_short)]
    is_in_force = False

    def __init__(self, policy: CacheSettings, route: RouteInfo, services: PluginServices) -> None:
        has_auth = "auth" in route.policies
        if has_auth and policy.scope is None:
            raise PolicyError(
                "say who may share a kept reply: scope: tenant, user or public", code="scope_needed", path=("scope",)
            )
        if not has_auth and policy.scope in {"tenant", "user"}:
            raise PolicyError(f"with `auth: none` there is no {policy.scope} to tell apart", path=("scope",))
        for number, tag in enumerate(policy.tags):
            unknown = unknown_placeholder(tag, route.pattern, has_auth=has_auth)
            if unknown:
                raise PolicyError(unknown, path=("tags", number))
