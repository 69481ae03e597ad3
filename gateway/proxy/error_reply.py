"""GatewayError -> problem+json (RFC 9457) with Proxy-Status (RFC 9209)."""

import json

from gateway.core.errors import ErrorKind, GatewayError, Source
from gateway.core.headers import Headers
from gateway.plugin_api import Exchange, Reply

_TYPE_PREFIX = "urn:gateway:error:"
_PROXY_STATUS: dict[ErrorKind, bytes] = {}


def error_reply(error: GatewayError, exchange: Exchange) -> Reply:
    """The reply for an error: `type, title, status, detail, code, source, route, request_id`, and its headers."""
    kind = error.kind
    exchange.error_code = kind.code
    problem = {
        "type": _TYPE_PREFIX + kind.code,
        "title": kind.title,
        "status": kind.status,
        "detail": error.detail,
        "code": kind.code,
        "source": kind.source.value,
        "route": exchange.route.id if exchange.route is not None else None,
        "request_id": exchange.request_id,
    }
    headers = Headers(
        [
            (b"content-type", b"application/problem+json"),
            (b"cache-control", b"no-store"),
            (b"proxy-status", _proxy_status(kind)),
            *error.headers,
        ]
    )
    return Reply(kind.status, headers, json.dumps(problem).encode(), close=error.close)


def _proxy_status(kind: ErrorKind) -> bytes:
    value = _PROXY_STATUS.get(kind)
    if value is None:
        # The status an upstream sent is not known here, so `received-status` is left out.
        hop = "" if kind.source is not Source.UPSTREAM else "; next-hop=upstream"
        value = f'gateway; error={kind.proxy_error}{hop}; details="{kind.code}"'.encode()
        _PROXY_STATUS[kind] = value
    return value
