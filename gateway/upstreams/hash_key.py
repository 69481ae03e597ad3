"""What `balance: hash` goes by: the part of a request that `hash_on` names."""

from collections.abc import Callable

from gateway.core.headers import Headers
from gateway.plugin_api import Exchange

KeyReader = Callable[[Exchange], str]


def key_reader(hash_on: str) -> KeyReader:
    """hash_on: tenant, user, ip, header:NAME or cookie:NAME. The reader returns "" where a request has none of it."""
    kind, _, name = hash_on.partition(":")
    if kind == "header":
        field = name.lower().encode()
        return lambda exchange: (exchange.headers.get(field) or b"").decode("latin-1")
    if kind == "cookie":
        return lambda exchange: _cookie(exchange.headers, name.encode())
    return {"tenant": _tenant, "user": _user, "ip": _ip}[kind]


def _tenant(exchange: Exchange) -> str:
    identity = exchange.identity
    return (identity.tenant or "") if identity is not None else ""


def _user(exchange: Exchange) -> str:
    """With the tenant, for only both together are one person."""
    identity = exchange.identity
    return f"{identity.tenant or ''}/{identity.user}" if identity is not None and identity.user else ""


def _ip(exchange: Exchange) -> str:
    return exchange.client_ip


def _cookie(headers: Headers, name: bytes) -> str:
    """The first of that name (RFC 6265 section 4.2.1)."""
    for line in headers.get_all(b"cookie"):
        for pair in line.split(b";"):
            key, _, value = pair.strip().partition(b"=")
            if key == name:
                return value.decode("latin-1")
    return ""
