"""JSON Web Tokens, the pure part: reading the compact form strictly, and judging the claims.

Sources: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best practices). Signatures are `core/keys.py`'s. Nothing here trusts
a token: whatever bytes a client sends end as a `GatewayError` of one of the token kinds, never as another exception.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from gateway.core.errors import (
    TOKEN_AUDIENCE_WRONG,
    TOKEN_CLAIM_MISSING,
    TOKEN_EXPIRED,
    TOKEN_ISSUER_WRONG,
    TOKEN_MALFORMED,
    TOKEN_NOT_YET_VALID,
    GatewayError,
)
from gateway.core.identity import Identity

TOKEN_SIZE_MAX = 8 << 10
"""Bytes of a token. A longer one is refused before it is read."""

_BASE64URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
# Past this a double no longer counts seconds, and no date of ours is so far away.
_DATE_MAX = 2**53


@dataclass(frozen=True, slots=True)
class CompactToken:
    """A JWS in compact form, taken apart but not believed.

    signing_input: the bytes that the signature covers. payload: the claims, still encoded; read them by `parse_claims`
    once the signature is known to be right.
    """

    algorithm: str
    kid: str | None
    signing_input: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What a profile asks of the registered claims. leeway_s: seconds of clock difference that are forgiven."""

    issuer: str | None = None
    audience: str | None = None
    leeway_s: float = 0.0


def parse_token(raw: bytes) -> CompactToken:
    """Take a compact JWS apart (RFC 7515 section 7.1).

    Raises GatewayError(TOKEN_MALFORMED). Every critical header is refused, for none is understood (section 4.1.11).
    """
    if len(raw) > TOKEN_SIZE_MAX:
        _refuse(f"The token is longer than {TOKEN_SIZE_MAX >> 10} KiB.")
    parts = raw.split(b".")
    if len(parts) != 3:
        _refuse("The token is not three parts joined by dots.")
    header = _parse_object(_decode(parts[0], "header"), "header")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        _refuse("The token's header names no algorithm.")
    kid = header.get("kid")
    if not isinstance(kid, str | None):
        _refuse("The token's kid is not a string.")
    if "crit" in header:
        _refuse("The token's header has a critical extension that is not understood here.")
    return CompactToken(algorithm, kid, raw[: raw.rindex(b".")], parts[1], _decode(parts[2], "signature"))


def parse_claims(payload: bytes) -> dict[str, Any]:
    """The claims of a token's payload part. Raises GatewayError(TOKEN_MALFORMED)."""
    return _parse_object(_decode(payload, "payload"), "payload")


def check_claims(claims: Mapping[str, Any], rules: ClaimRules, now_s: float) -> float:
    """Judge exp, nbf, iat, iss and aud (RFC 7519 section 4.1) at `now_s` seconds since the epoch.

    Returns until when the token holds, leeway included. exp is required: a token without an end could never be taken
    back. A token with an audience is refused where the rules name none, as section 4.1.3 asks. Raises GatewayError.
    """
    expires_s = _read_date(claims, "exp")
    if expires_s is None:
        _lack("exp")
    if now_s >= expires_s + rules.leeway_s:
        raise GatewayError(TOKEN_EXPIRED, "The token has expired: ask for a new one.")
    not_before_s = _read_date(claims, "nbf")
    if not_before_s is not None and now_s + rules.leeway_s < not_before_s:
        raise GatewayError(TOKEN_NOT_YET_VALID)
    _read_date(claims, "iat")
    _check_issuer(claims, rules.issuer)
    _check_audience(claims, rules.audience)
    return expires_s + rules.leeway_s


def identity_of(
    claims: Mapping[str, Any], credential: str, *, tenant: str, user: str, plan: str, scopes: str
) -> Identity:
    """Who the verified claims speak of. `tenant`, `user`, `plan` and `scopes` are the claims' names, dotted ones
    allowed; only the tenant is required. Raises GatewayError where one is missing or cannot stand in a header.
    """
    found = read_text(claims, tenant)
    if found is None:
        _lack(tenant)
    return Identity(
        tenant=found,
        user=read_text(claims, user),
        plan=read_text(claims, plan),
        scopes=read_scopes(claims, scopes),
        claims=claims,
        credential=credential,
    )


def find_claim(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of that very name, else the one at the dotted path, else None."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def is_plain_text(value: str) -> bool:
    """Whether the text may become a header line for the upstream: not empty, no control or invisible characters."""
    return bool(value) and value.isprintable() and value == value.strip()


def is_scope(value: str) -> bool:
    """Whether the text is one scope-token (RFC 6749 section 3.3)."""
    return _SCOPE.fullmatch(value) is not None


def read_text(claims: Mapping[str, Any], name: str) -> str | None:
    """A claim that will be a header line; None where it is absent or null. Raises GatewayError(TOKEN_MALFORMED)."""
    value = find_claim(claims, name)
    if value is None:
        return None
    if not isinstance(value, str) or not is_plain_text(value):
        _refuse(f"The token's claim {name} is not a plain string.")
    return value


def read_scopes(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Scopes as one string, divided by spaces (RFC 8693 section 4.2), or as a list. Raises GatewayError."""
    value = find_claim(claims, name)
    if value is None:
        return frozenset()
    scopes = value.split(" ") if isinstance(value, str) else value
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        _refuse(f"The token's claim {name} is neither a string nor a list of strings.")
    granted = frozenset(scopes) - {""}
    if not all(is_scope(scope) for scope in granted):
        _refuse(f"The token's claim {name} has a scope with characters that no scope may have.")
    return granted


def _check_issuer(claims: Mapping[str, Any], issuer: str | None) -> None:
    claimed = claims.get("iss")
    if not isinstance(claimed, str | None):
        _refuse("The token's claim iss is not a string.")
    if issuer is None:
        return
    if claimed is None:
        _lack("iss")
    if claimed != issuer:
        raise GatewayError(TOKEN_ISSUER_WRONG)


def _check_audience(claims: Mapping[str, Any], audience: str | None) -> None:
    claimed = claims.get("aud")
    if claimed is None:
        if audience is not None:
            _lack("aud")
        return
    claimed_all = claimed if isinstance(claimed, list) else [claimed]
    if not all(isinstance(one, str) for one in claimed_all):
        _refuse("The token's claim aud is neither a string nor a list of strings.")
    if audience is None:
        raise GatewayError(TOKEN_AUDIENCE_WRONG, "The token is for an audience, and none is set up here.")
    if audience not in claimed_all:
        raise GatewayError(TOKEN_AUDIENCE_WRONG)


def _read_date(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_DATE_MAX <= value <= _DATE_MAX:
        _refuse(f"The token's claim {name} is not a date in seconds.")
    return float(value)


def _decode(part: bytes, what: str) -> bytes:
    # One spelling only (RFC 7515 section 2: no padding, no white space), so that two tokens never mean the same.
    try:
        decoded = b"" if part.translate(None, _BASE64URL) else urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        decoded = b""
    if urlsafe_b64encode(decoded).rstrip(b"=") != part:
        _refuse(f"The token's {what} is not base64url.")
    return decoded


def _parse_object(text: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text.decode(), object_pairs_hook=_unique_members, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        _refuse(f"The token's {what} is not a JSON object with unique names.")
    return value


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError  # NaN and Infinity, which JSON does not have


def _refuse(detail: str) -> NoReturn:
    raise GatewayError(TOKEN_MALFORMED, detail)


def _lack(name: str) -> NoReturn:
    raise GatewayError(TOKEN_CLAIM_MISSING, f"The token lacks the claim {name}.")
