import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import GatewayError
from gateway.core.tokens import ClaimRules, check_claims, identity_of, parse_claims, parse_token

text = st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
claim_sets = st.dictionaries(
    st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "tenant_id", "sub", "plan", "scope"]) | text, json_values
)


def encode(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


@given(st.binary(max_size=60) | st.lists(st.binary(max_size=20).map(encode), max_size=4).map(b".".join))
def test_any_bytes_are_a_token_or_a_refusal(raw: bytes) -> None:
    try:
        token = parse_token(raw)
    except GatewayError:
        return
    # What is accepted has one spelling only.
    assert raw == token.signing_input + b"." + encode(token.signature)


@given(text, st.none() | text, st.binary(max_size=20), st.binary(max_size=70))
def test_what_was_written_is_read(algorithm: str, kid: str | None, payload: bytes, signature: bytes) -> None:
    header = {"alg": algorithm} if kid is None else {"alg": algorithm, "kid": kid}
    raw = b".".join((encode(json.dumps(header).encode()), encode(payload), encode(signature)))
    token = parse_token(raw)
    assert (token.algorithm, token.kid, token.signature) == (algorithm, kid, signature)
    assert token.payload == encode(payload)


@given(claim_sets, st.floats(0, 2e9), st.none() | text, st.none() | text)
def test_any_claims_are_accepted_for_a_reason_or_refused(
    claims: dict[str, Any], now_s: float, issuer: str | None, audience: str | None
) -> None:
    try:
        until_s = check_claims(claims, ClaimRules(issuer, audience, 5.0), now_s)
        identity = identity_of(claims, "jwt:x", tenant="tenant_id", user="sub", plan="plan", scopes="scope")
    except GatewayError:
        return
    assert now_s < until_s == claims["exp"] + 5.0
    assert issuer is None or claims["iss"] == issuer
    assert (audience is None) == (claims.get("aud") is None)
    for _, value in identity.upstream_headers:
        assert value.decode().isprintable()


@given(claim_sets)
def test_claims_survive_the_way_through_a_payload(claims: dict[str, Any]) -> None:
    try:
        written = json.dumps(claims, allow_nan=False)
    except ValueError:  # NaN and Infinity are not JSON
        return
    assert parse_claims(encode(written.encode())) == claims
