"""`maintenance`: the route is closed for a while, but for those who work on it.

`maintenance: 10m` says in `Retry-After` when to come back; the long form is `{retry_after: 10m, message: "At noon",
allow: {addresses: [10.0.0.0/8], scopes: [ops]}}`: who comes from one of the addresses, or has all the scopes, passes.
It stands right behind `auth`: who is let through is known by then, and nobody's limit pays for a closed door.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from gateway.core.errors import MAINTENANCE, GatewayError
from gateway.core.scalars import Duration, Settings
from gateway.core.schema_hints import filled
from gateway.plugin_api import Exchange, Plugin, PluginServices, PolicyError, RouteInfo, Stage
from plugins.allow import Network, Scope

_ADDRESSES_REMEMBERED_MAX = 4096


class LetThrough(Settings):
    """Who passes: by address, or by scopes."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [filled("scopes"), filled("addresses")]})

    addresses: tuple[Network, ...] = Field(default=(), description="Addresses and CIDR ranges, behind proxies")
    scopes: tuple[Scope, ...] = Field(default=(), description="Scopes that a caller must all have")

    @model_validator(mode="after")
    def _check_any(self) -> "LetThrough":
        if not (self.addresses or self.scopes):
            raise ValueError("name addresses or scopes, or leave allow out")
        return self


class MaintenanceSettings(Settings):
    """The short form is retry_after."""

    retry_after: Duration = Field(default=300.0, description="When to come back")
    message: str = Field(default="This is closed for maintenance", min_length=1, description="What clients are told")
    allow: LetThrough | None = Field(default=None, description="Who passes all the same")


def _read_short(value: Any) -> Any:
    return {"retry_after": value} if isinstance(value, str) else value


class Maintenance(Plugin):
    """Ends the exchange of everybody else."""

    name = "maintenance"
    stage = Stage.IDENTITY
    Policy = Annotated[
        MaintenanceSettings, BeforeValidator(_read_short, json_schema_input_type=MaintenanceSettings | Duration)
    ]

    def __init__(self, policy: MaintenanceSettings, route: RouteInfo, services: PluginServices) -> None:
        allow = policy.allow or LetThrough.model_construct()
        if allow.scopes and "auth" not in route.policies:
            raise PolicyError(
                "scopes cannot be known with `auth: none`: name an auth profile", path=("allow", "scopes")
            )
        self._scopes = frozenset(allow.scopes)
        networks = allow.addresses
        self._is_inside = lru_cache(_ADDRESSES_REMEMBERED_MAX)(lambda address: _is_inside(address, networks))
        self._message = policy.message
        self._retry_after = (b"retry-after", b"%d" % max(1, ceil(policy.retry_after)))

    def on_request(self, exchange: Exchange) -> None:
        """Let through, or refuse."""
        identity = exchange.identity
        if (self._scopes and identity is not None and self._scopes <= identity.scopes) or self._is_inside(
            exchange.client_ip
        ):
            exchange.verdicts["maintenance"] = "let_through"
            return
        exchange.verdicts["maintenance"] = "refused"
        raise GatewayError(MAINTENANCE, self._message, headers=(self._retry_after,))


def _is_inside(address: str, networks: tuple[Any, ...]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)
