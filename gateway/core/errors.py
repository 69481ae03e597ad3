"""Every error that the gateway makes, in one table.

An `ErrorKind` says what is the same each time; a `GatewayError` adds what happened this time.
`proxy/error_reply.py` turns it into problem+json (RFC 9457) with Proxy-Status (RFC 9209). Codes are a contract with
clients: they never change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gateway.core.headers import HeaderLine


class Source(Enum):
    """Who refused: the gateway itself, a policy of the route, or the upstream."""

    GATEWAY = "gateway"
    POLICY = "policy"
    UPSTREAM = "upstream"


@dataclass(frozen=True)
class ErrorKind:
    """One kind of error. `proxy_error` is the error type of RFC 9209 section 2.3."""

    code: str
    status: int
    title: str
    source: Source
    proxy_error: str


class GatewayError(Exception):
    """Raised anywhere on the request path; becomes the reply.

    detail: one sentence for the client; never a secret, never a file name or a stack.
    headers: lines to add to the reply, such as Allow or Retry-After.
    close: whether the client connection has to end after the reply.
    """

    def __init__(
        self, kind: ErrorKind, detail: str = "", *, headers: Sequence[HeaderLine] = (), close: bool = False
    ) -> None:
        super().__init__(f"{kind.code}: {detail or kind.title}")
        self.kind = kind
        self.detail = detail or kind.title
        self.headers = tuple(headers)
        self.close = close


ERRORS: dict[str, ErrorKind] = {}


def _kind(code: str, status: int, title: str, source: Source, proxy_error: str) -> ErrorKind:
    kind = ERRORS[code] = ErrorKind(code, status, title, source, proxy_error)
    return kind


_GATEWAY, _POLICY, _UPSTREAM = Source.GATEWAY, Source.POLICY, Source.UPSTREAM

# The request itself
BAD_REQUEST = _kind("bad_request", 400, "The request is not valid HTTP", _GATEWAY, "http_request_error")
PATH_NOT_CANONICAL = _kind("path_not_canonical", 400, "The path is ambiguous", _GATEWAY, "http_request_error")
NO_ROUTE = _kind("no_route", 404, "No route matches", _GATEWAY, "http_request_denied")
METHOD_NOT_ALLOWED = _kind("method_not_allowed", 405, "Method not allowed here", _GATEWAY, "http_request_denied")
REQUEST_TIMEOUT = _kind("request_timeout", 408, "The request took too long to arrive", _GATEWAY, "http_request_error")
BODY_TOO_LARGE = _kind("body_too_large", 413, "The body is too large", _POLICY, "http_request_error")
TARGET_TOO_LONG = _kind("target_too_long", 414, "The request target is too long", _GATEWAY, "http_request_error")
EXPECTATION_FAILED = _kind("expectation_failed", 417, "Unknown expectation", _GATEWAY, "http_request_error")
HEADERS_TOO_LARGE = _kind("headers_too_large", 431, "The headers are too large", _GATEWAY, "http_request_error")
NOT_IMPLEMENTED = _kind("not_implemented", 501, "Not supported", _GATEWAY, "http_request_error")
VERSION_NOT_SUPPORTED = _kind(
    "version_not_supported", 505, "HTTP version not supported", _GATEWAY, "http_request_error"
)

# auth
TOKEN_MISSING = _kind("token_missing", 401, "A token is needed", _POLICY, "http_request_denied")
TOKEN_MALFORMED = _kind("token_malformed", 401, "The token cannot be read", _POLICY, "http_request_denied")
TOKEN_ALGORITHM_REFUSED = _kind(
    "token_algorithm_refused", 401, "The algorithm is refused", _POLICY, "http_request_denied"
)
TOKEN_KEY_UNKNOWN = _kind("token_key_unknown", 401, "No key fits the token", _POLICY, "http_request_denied")
TOKEN_SIGNATURE_WRONG = _kind("token_signature_wrong", 401, "The signature is wrong", _POLICY, "http_request_denied")
TOKEN_EXPIRED = _kind("token_expired", 401, "The token has expired", _POLICY, "http_request_denied")
TOKEN_NOT_YET_VALID = _kind("token_not_yet_valid", 401, "The token is not valid yet", _POLICY, "http_request_denied")
TOKEN_ISSUER_WRONG = _kind("token_issuer_wrong", 401, "The issuer is wrong", _POLICY, "http_request_denied")
TOKEN_AUDIENCE_WRONG = _kind("token_audience_wrong", 401, "The audience is wrong", _POLICY, "http_request_denied")
TOKEN_CLAIM_MISSING = _kind("token_claim_missing", 401, "The token lacks a claim", _POLICY, "http_request_denied")
API_KEY_MISSING = _kind("api_key_missing", 401, "An API key is needed", _POLICY, "http_request_denied")
API_KEY_UNKNOWN = _kind("api_key_unknown", 401, "The API key is not known", _POLICY, "http_request_denied")
KEYS_UNAVAILABLE = _kind("keys_unavailable", 503, "Keys cannot be fetched now", _POLICY, "destination_unavailable")

# allow
SCOPE_MISSING = _kind("scope_missing", 403, "A scope is missing", _POLICY, "http_request_denied")
MODULE_NOT_LICENSED = _kind("module_not_licensed", 403, "The module is not licensed", _POLICY, "http_request_denied")
ADDRESS_REFUSED = _kind("address_refused", 403, "The address is refused", _POLICY, "http_request_denied")
ORIGIN_REFUSED = _kind("origin_refused", 403, "The origin is refused", _POLICY, "http_request_denied")

# limit
RATE_LIMITED = _kind("rate_limited", 429, "Too many requests", _POLICY, "http_request_denied")
CONCURRENCY_LIMITED = _kind("concurrency_limited", 429, "Too many requests at once", _POLICY, "http_request_denied")
LIMIT_STORE_DOWN = _kind("limit_store_down", 503, "Limits cannot be checked now", _POLICY, "destination_unavailable")

# idempotency
IDEMPOTENCY_KEY_MISSING = _kind(
    "idempotency_key_missing", 400, "An Idempotency-Key is needed", _POLICY, "http_request_denied"
)
IDEMPOTENCY_KEY_MALFORMED = _kind(
    "idempotency_key_malformed", 400, "The Idempotency-Key cannot be read", _POLICY, "http_request_error"
)
IDEMPOTENCY_IN_FLIGHT = _kind(
    "idempotency_in_flight", 409, "The same request is still under way", _POLICY, "http_request_denied"
)
IDEMPOTENCY_REPLY_NOT_KEPT = _kind(
    "idempotency_reply_not_kept", 409, "It was carried out before", _POLICY, "http_request_denied"
)
IDEMPOTENCY_KEY_REUSED = _kind(
    "idempotency_key_reused", 422, "The Idempotency-Key is another request's", _POLICY, "http_request_denied"
)
IDEMPOTENCY_STORE_DOWN = _kind(
    "idempotency_store_down", 503, "Idempotency keys cannot be checked now", _POLICY, "destination_unavailable"
)
# cache
NOT_KEPT = _kind("not_kept", 504, "Nothing is kept that may be used", _POLICY, "http_request_denied")

# maintenance, fault. An injected fault has the status that the table says.
MAINTENANCE = _kind("maintenance", 503, "Closed for maintenance", _POLICY, "destination_unavailable")
FAULT_INJECTED = _kind("fault_injected", 503, "A failure that was asked for", _POLICY, "http_request_denied")

# batch
BATCH_INVALID = _kind("batch_invalid", 422, "The batch is not valid", _POLICY, "http_request_error")
BATCH_PART_REFUSED = _kind(
    "batch_part_refused", 400, "This request may not be in a batch", _POLICY, "http_request_denied"
)
BATCH_DEADLINE = _kind("batch_deadline", 504, "The batch ran out of time", _POLICY, "http_response_timeout")

# The way to the upstream
UPSTREAM_UNREACHABLE = _kind("upstream_unreachable", 502, "The upstream is down", _UPSTREAM, "connection_refused")
UPSTREAM_CONNECT_TIMEOUT = _kind(
    "upstream_connect_timeout", 502, "The upstream does not answer", _UPSTREAM, "connection_timeout"
)
UPSTREAM_CERTIFICATE_REFUSED = _kind(
    "upstream_certificate_refused", 502, "The upstream's certificate is refused", _UPSTREAM, "tls_certificate_error"
)
UPSTREAM_TLS_FAILED = _kind("upstream_tls_failed", 502, "TLS with the upstream failed", _UPSTREAM, "tls_protocol_error")
UPSTREAM_RESET = _kind("upstream_reset", 502, "The upstream broke off", _UPSTREAM, "connection_terminated")
UPSTREAM_BAD_REPLY = _kind(
    "upstream_bad_reply", 502, "The upstream's reply is not valid", _UPSTREAM, "http_protocol_error"
)
UPSTREAM_TIMEOUT = _kind("upstream_timeout", 504, "The upstream is too slow", _UPSTREAM, "http_response_timeout")
UPSTREAM_BUSY = _kind(
    "upstream_busy", 503, "The upstream has no free connection", _UPSTREAM, "connection_limit_reached"
)
UPSTREAM_CIRCUIT_OPEN = _kind(
    "upstream_circuit_open", 503, "The upstream is given a rest", _UPSTREAM, "destination_unavailable"
)
UPSTREAM_OVERLOADED = _kind(
    "upstream_overloaded", 503, "The upstream has too much to do", _UPSTREAM, "destination_unavailable"
)

# The gateway itself
INTERNAL_ERROR = _kind("internal_error", 500, "Something went wrong here", _GATEWAY, "proxy_internal_error")
ROUTE_QUARANTINED = _kind(
    "route_quarantined", 503, "The route is broken and not served now", _GATEWAY, "proxy_configuration_error"
)
OVERLOADED = _kind("overloaded", 503, "Too many connections", _GATEWAY, "connection_limit_reached")
