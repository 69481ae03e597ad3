"""Which key may verify what; `tests/plugins/test_auth.py` signs real tokens of every algorithm."""

import base64

import pytest
from jwt.algorithms import HMACAlgorithm

from gateway.core.errors import GatewayError
from gateway.core.keys import Key, KeyRefused, KeySet, jwk_key, read_jwk_set, secret_key
from gateway.core.tokens import CompactToken

SECRETS = {name: name * 32 for name in "abc"}


def token(secret: str, kid: str | None, algorithm: str = "HS256") -> CompactToken:
    signature = HMACAlgorithm(HMACAlgorithm.SHA256).sign(b"input", secret.encode())
    return CompactToken(algorithm, kid, b"input", b"", signature)


def key(name: str, kid: str | None) -> Key:
    return secret_key(SECRETS[name], ["HS256"], kid)


def test_a_single_key_without_a_name_serves_any_kid() -> None:
    keys = KeySet([key("a", None)])
    for kid in (None, "whatever"):
        keys.check_signature(token(SECRETS["a"], kid))
        with pytest.raises(GatewayError, match="token_signature_wrong"):
            keys.check_signature(token(SECRETS["b"], kid))


def test_a_named_key_serves_its_kid_only() -> None:
    keys = KeySet([key("a", "a"), key("b", "b")])
    keys.check_signature(token(SECRETS["a"], "a"))
    with pytest.raises(GatewayError, match="token_signature_wrong"):
        keys.check_signature(token(SECRETS["a"], "b"))
    with pytest.raises(GatewayError, match="token_key_unknown"):
        keys.check_signature(token(SECRETS["a"], "c"))
    with pytest.raises(GatewayError, match="several could fit"):
        keys.check_signature(token(SECRETS["a"], None))


def test_an_algorithm_that_is_not_the_keys_is_refused_before_the_signature() -> None:
    with pytest.raises(GatewayError, match="token_algorithm_refused"):
        KeySet([key("a", "a")]).check_signature(token(SECRETS["a"], "a", "none"))


def test_a_key_shows_nothing_of_itself() -> None:
    assert repr(key("a", "k1")) == "Key(algorithms=frozenset({'HS256'}), kid='k1')"


@pytest.mark.parametrize(
    "jwk",
    [
        None,
        [],
        {},
        {"kty": "oct", "k": base64.b64encode(b"x" * 32).decode()},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "n": "*", "e": None},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": 7},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "use": "enc"},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "key_ops": "verify"},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "alg": "RS256"},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "alg": {}},
    ],
)
def test_a_jwk_that_is_not_for_verifying_is_refused(jwk: object) -> None:
    with pytest.raises(KeyRefused):
        jwk_key(jwk, ["RS256", "ES256", "EdDSA"])


def test_a_set_keeps_what_can_be_used_and_says_what_cannot() -> None:
    good = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": "e1", "key_ops": ["verify"], "d": "never read"}
    keys, refused = read_jwk_set({"keys": [{"kty": "oct"}, good]}, ["EdDSA"])
    assert [(one.kid, one.algorithms) for one in keys] == [("e1", {"EdDSA"})]
    assert refused == ["keys[0]: a symmetric key has no place in a key set"]


@pytest.mark.parametrize("document", [b"", b"\xff", b"[]", b"{}", b'{"keys": {}}', "[" * 5000, {"keys": []}])
def test_what_is_no_set_is_refused(document: object) -> None:
    with pytest.raises(KeyRefused):
        read_jwk_set(document, ["EdDSA"])  # type: ignore[arg-type]
