"""Which addresses a webhook may reach: those of the public internet, and networks that the operator has named.

A tenant says where to send, and the service is inside: without this, "http://10.0.0.7/" or a name that resolves to it
would make it ask internal systems (SSRF). What counts is the address that is connected to: the socket of each
connection is made here, so neither a literal nor a name that resolves otherwise the second time gets past.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from yarl import URL

# IPv6 that stands for an IPv4 address, which is then the one that is reached (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")
_INTERNAL_NAMES = ("localhost", "local", "internal", "localdomain", "home.arpa")

Address = IPv4Address | IPv6Address


def networks(text: str) -> str:
    """The setting `allowed`, as it is. Raises ValueError for what names no networks."""
    AddressGuard(text)
    return text


class ForbiddenAddressError(OSError):
    """A connection to an address that webhooks may not reach."""


def reached(address: Address) -> Address:
    """The address that is meant: of an IPv6 address that carries one of IPv4, that."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
    return address


class AddressGuard:
    """Judges addresses. `allowed`: networks that may be reached although they are internal, "10.1.0.0/16,::1/128"."""

    def __init__(self, allowed: str = "") -> None:
        parts = [part.strip() for part in allowed.split(",") if part.strip()]
        self.allowed = [ip_network(part) for part in parts]

    def __repr__(self) -> str:
        return f"<AddressGuard allowed={','.join(map(str, self.allowed)) or 'none'}>"

    def may_reach(self, address: Address) -> bool:
        """Whether a webhook may connect to an address."""
        meant = reached(address)
        if any(meant.version == network.version and meant in network for network in self.allowed):
            return True
        return meant.is_global and not (meant.is_multicast or meant.is_reserved or meant.is_unspecified)

    def fault_of(self, url: str) -> str | None:
        """What is wrong with a URL as it stands, before any name is resolved; None where nothing is."""
        parsed = URL(url)
        if parsed.user is not None or parsed.password is not None:
            return "must hold no user and password"
        host = (parsed.host or "").rstrip(".").lower()
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            is_internal = "." not in host or host.endswith(tuple(f".{name}" for name in _INTERNAL_NAMES))
            return "must not be an internal name" if is_internal and not self.allowed else None
        return None if self.may_reach(address) else "must not be an internal address"

    def make_socket(self, info: Any) -> socket.socket:
        """The socket of one connection (aiohttp's `socket_factory`). Raises ForbiddenAddressError."""
        family, kind, protocol, _, where = info
        if not self.may_reach(ip_address(str(where[0]).partition("%")[0])):
            raise ForbiddenAddressError(f"{where[0]} is an internal address")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made
