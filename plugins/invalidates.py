"""`invalidates`: the tags whose kept replies a successful write drops.

The policy is read and checked, so that a table can be written for it, but it is not in force yet: nothing is dropped,
as nothing is cached.
"""

from typing import Annotated

from pydantic import Field

from gateway.core.cache_tags import unknown_placeholder
from gateway.plugin_api import Plugin, PluginServices, PolicyError, RouteInfo, Stage


class Invalidates(Plugin):
    """Checks the policy, and does nothing on the path."""

    name = "invalidates"
    stage = Stage.CACHE
    Policy = Annotated[tuple[str, ...], Field(min_length=1)]
    is_in_force = False

    def __init__(self, policy: tuple[str, ...], route: RouteInfo, services: PluginServices) -> None:
        for number, tag in enumerate(policy):
            unknown = unknown_placeholder(tag, route.pattern, has_auth="auth" in route.policies)
            if unknown:
                raise PolicyError(unknown, path=(number,))
