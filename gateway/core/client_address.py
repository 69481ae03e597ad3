"""Whose request it is, behind proxies that are trusted to say so."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_MAPPED = IPv6Network("::ffff:0:0/96")
# "[" + the longest IPv6 address + "]:65535"; what is remembered must stay bounded in bytes, not only in number.
_TEXT_MAX = 53


class TrustedProxies:
    """The networks whose X-Forwarded-For is believed.

    networks: CIDR texts or single addresses. Raises ValueError naming the one that is neither.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [_parse_network(text) for text in networks]
        # Peers are few and come again and again: worked out once (2 us a network), then one look-up.
        self.is_trusted = lru_cache(maxsize=4096)(self._contains)

    def _contains(self, address: str) -> bool:
        """Whether an address, in canonical form, is one of the proxies."""
        if not self._networks or not address:
            return False
        ip = ip_address(address)
        return any(ip in network for network in self._networks)

    def __repr__(self) -> str:
        return f"<TrustedProxies {', '.join(map(str, self._networks)) or 'none'}>"


def client_address(peer_ip: str, forwarded_for: Sequence[bytes], trusted: TrustedProxies) -> str:
    """The nearest address that no trusted proxy vouches for, in canonical form.

    peer_ip: the other end of the connection; "" where it has none (a Unix socket). forwarded_for: the X-Forwarded-For
    lines in order. They are walked from the right, since a proxy appends: only what stands left of a trusted address
    was written by it, and everything further left by whoever liked to. An entry that is no address ends the walk.
    """
    address = _canonical_peer(peer_ip)
    if not forwarded_for or not trusted.is_trusted(address):
        return address
    for entry in reversed(b",".join(forwarded_for).split(b",")):
        text = entry.strip(b" \t").decode("latin-1")
        if not text:
            continue
        found = parse_address(text) if len(text) <= _TEXT_MAX else None
        if found is None:
            return address
        address = found
        if not trusted.is_trusted(address):
            return address
    return address


@lru_cache(maxsize=4096)
def parse_address(text: str) -> str | None:
    """The canonical form of `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1` or `[2001:db8::1]:443`; None for anything else.

    An IPv4-mapped IPv6 address is the IPv4 address (RFC 4291 section 2.5.5.2).
    """
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if ":" not in host or not bracket or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        if not _is_port(":" + port):
            return None
    else:
        host = text
    try:
        ip = ip_address(host)
    except ValueError:
        return None
    if isinstance(ip, IPv6Address):
        if ip.scope_id is not None:
            return None
        ip = ip.ipv4_mapped or ip
    return str(ip)


def _is_port(text: str) -> bool:
    return text[0] == ":" and text[1:].isascii() and text[1:].isdecimal() and len(text) <= 6


def _canonical_peer(peer_ip: str) -> str:
    # A link-local peer carries its zone, which means nothing to anybody else.
    return parse_address(peer_ip.partition("%")[0]) or ""


def _parse_network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise ValueError(f'"{text}" is not a network: write it like 10.0.0.0/8 or 2001:db8::/32 ({error})') from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network
