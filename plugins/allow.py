"""`allow`: may this caller use this route?

`allow: [crm.read]` asks for scopes; the long form also for licensed modules (the claim `modules`) and addresses behind
the trusted proxies. All that is listed is needed, but of the addresses one is enough. What fails ends as 403 with a
code that says which.
"""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    WithJsonSchema,
    model_validator,
)

from gateway.core.errors import ADDRESS_REFUSED, MODULE_NOT_LICENSED, SCOPE_MISSING, GatewayError
from gateway.core.scalars import Settings
from gateway.core.schema_hints import NETWORK, SCOPE, filled, written
from gateway.core.tokens import is_scope
from gateway.plugin_api import Exchange, Plugin, PluginServices, PolicyError, RouteInfo, Stage
from plugins.allow_changes import compare_allow

ADDRESSES_REMEMBERED_MAX = 4096


def _scope(value: str) -> str:
    if not is_scope(value):
        raise ValueError("a scope has no spaces, quotes or control characters")
    return value


Scope = Annotated[str, AfterValidator(_scope), written(SCOPE, "crm.read")]
_Scopes = Annotated[tuple[Scope, ...], Field(min_length=1)]


def _as_text(value: Any) -> Any:
    # A number would be read as an address as well: 5 as 0.0.0.5.
    if not isinstance(value, str):
        raise ValueError("an address or a network is text, such as 10.0.0.0/8")
    return value


Network = Annotated[
    IPvAnyNetwork,
    BeforeValidator(_as_text),
    WithJsonSchema({"type": "string", "pattern": NETWORK, "examples": ["10.0.0.0/8"]}),
]


class AllowSettings(Settings):
    """What a caller needs. The short form is a list of scopes."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [filled("scopes"), filled("modules"), filled("addresses")]})

    scopes: tuple[Scope, ...] = Field(default=(), description="Scopes that the caller must all have")
    modules: tuple[str, ...] = Field(
        default=(), examples=[["crm"]], description="Modules that the tenant must all have licensed"
    )
    addresses: tuple[Network, ...] = Field(
        default=(), description="Addresses and CIDR ranges, one of which the client must come from"
    )

    @model_validator(mode="after")
    def _check_any(self) -> "AllowSettings":
        if not (self.scopes or self.modules or self.addresses):
            raise ValueError("name scopes, modules or addresses, or write `allow: none`")
        return self


def _read_short(value: Any) -> Any:
    return {"scopes": value} if isinstance(value, list) else value


class Allow(Plugin):
    """Ends the exchange where the caller may not."""

    name = "allow"
    stage = Stage.ADMISSION
    Policy = Annotated[AllowSettings, BeforeValidator(_read_short, json_schema_input_type=_Scopes | AllowSettings)]
    compare = compare_allow

    def __init__(self, policy: AllowSettings, route: RouteInfo, services: PluginServices) -> None:
        for key in ("scopes", "modules"):
            if getattr(policy, key) and "auth" not in route.policies:
                raise PolicyError(f"{key} cannot be known with `auth: none`: name an auth profile", path=(key,))
        self._scopes = frozenset(policy.scopes)
        self._modules = policy.modules
        networks = policy.addresses
        # Parsing an address costs more than the rest of the hook, and clients come back.
        self._is_inside = lru_cache(ADDRESSES_REMEMBERED_MAX)(lambda address: _is_inside(address, networks))
        self._has_addresses = bool(networks)
        self._challenge = (
            b"www-authenticate",
            f'Bearer realm="gateway", error="insufficient_scope", scope="{" ".join(policy.scopes)}"'.encode(),
        )

    def on_request(self, exchange: Exchange) -> None:
        """Refuse by address, by scope, by module, in this order."""
        if self._has_addresses and not self._is_inside(exchange.client_ip):
            self._refuse(exchange, GatewayError(ADDRESS_REFUSED, f"{exchange.client_ip} may not use this route."))
        identity = exchange.identity
        if self._scopes and (identity is None or not self._scopes <= identity.scopes):
            missing = self._scopes - (frozenset() if identity is None else identity.scopes)
            is_bearer = identity is not None and identity.credential.startswith("jwt:")
            self._refuse(
                exchange,
                GatewayError(
                    SCOPE_MISSING,
                    f"The caller lacks: {', '.join(sorted(missing))}.",
                    headers=(self._challenge,) if is_bearer else (),  # RFC 6750 section 3.1, for bearer tokens only
                ),
            )
        if self._modules:
            licensed = None if identity is None else identity.claims.get("modules")
            if isinstance(licensed, str):
                licensed = licensed.split()
            elif not isinstance(licensed, list):
                licensed = []
            for module in self._modules:
                if module not in licensed:
                    self._refuse(exchange, GatewayError(MODULE_NOT_LICENSED, f"The tenant has not licensed: {module}."))

    def _refuse(self, exchange: Exchange, error: GatewayError) -> None:
        exchange.verdicts["allow"] = error.kind.code
        raise error


def _is_inside(address: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)
