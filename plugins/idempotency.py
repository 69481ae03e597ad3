"""`idempotency`: whether writes may or must carry an `Idempotency-Key`, so that a repeated one is answered once.

The policy is read and checked, so that a table can be written for it, but it is not in force yet: the header passes on
to the upstream as it came.
"""

from typing import Literal

from gateway.plugin_api import Plugin, PluginServices, PolicyError, RouteInfo, Stage

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Idempotency(Plugin):
    """Checks the policy, and does nothing on the path."""

    name = "idempotency"
    stage = Stage.CACHE
    Policy = Literal["optional", "required"]
    is_in_force = False

    def __init__(self, policy: str, route: RouteInfo, services: PluginServices) -> None:
        if route.methods is not None and route.methods <= _SAFE_METHODS:
            raise PolicyError("this route has safe methods only, which need no idempotency key")
