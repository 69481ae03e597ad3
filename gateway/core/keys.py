"""Keys that verify tokens: each does only the algorithms of its kind (RFC 8725 sections 3.1 and 3.2).

The algorithm is never the token's choice alone: it has to be on the profile's list and fit the key, so that a public
key can not be used as an HMAC secret. Signatures are checked by PyJWT's algorithms over `cryptography`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import Algorithm, ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms
from jwt.exceptions import InvalidKeyError

from gateway.core.errors import TOKEN_ALGORITHM_REFUSED, TOKEN_KEY_UNKNOWN, TOKEN_SIGNATURE_WRONG, GatewayError
from gateway.core.tokens import CompactToken

AlgorithmName = Literal[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]  # fmt: skip
_KNOWN = get_default_algorithms()
_ALGORITHMS: dict[str, Algorithm] = {name: _KNOWN[name] for name in get_args(AlgorithmName)}

# RFC 7518 section 3.2: an HMAC key at least as long as the hash.
_SECRET_SIZE_MIN = {"HS256": 32, "HS384": 48, "HS512": 64}
_RSA_BITS_MIN = 2048  # RFC 7518 section 3.3
_RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVE_ALGORITHM = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_PUBLIC_MEMBERS = ("kty", "crv", "n", "e", "x", "y")


class KeyRefused(ValueError):  # noqa: N818 - says what happened to the key
    """A key that must not be used; the message says why and what to do, and shows nothing of the key."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key and the algorithms that it may verify. kid None: it has no name."""

    algorithms: frozenset[str]
    material: Any = field(repr=False)
    kid: str | None = None

    def is_signed(self, token: CompactToken) -> bool:
        """Whether the token's signature is by this key; the token's algorithm has to be one of the key's."""
        return _ALGORITHMS[token.algorithm].verify(token.signing_input, self.material, token.signature)


def secret_key(secret: str, algorithms: Iterable[str], kid: str | None = None) -> Key:
    """A shared secret for HS*. Raises KeyRefused: another kind of algorithm, too short, or really a public key."""
    wanted = frozenset(algorithms)
    wrong = sorted(wanted - _SECRET_SIZE_MIN.keys())
    if wrong:
        raise KeyRefused(
            f"{wrong[0]} needs a public key: a secret is for HS256, HS384 and HS512 only; write public_key or jwks, or "
            "algorithms: [HS256]"
        )
    if secret != secret.strip():
        raise KeyRefused("the secret starts or ends with white space: remove it (a file's last line break counts)")
    try:
        material = HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except InvalidKeyError:
        raise KeyRefused(
            "this is empty, or a key or certificate and no secret: use public_key with an algorithm of its kind"
        ) from None
    for name in sorted(wanted, reverse=True):
        if len(material) < _SECRET_SIZE_MIN[name]:
            raise KeyRefused(
                f"the secret has {len(material)} bytes, {name} needs {_SECRET_SIZE_MIN[name]} at least (RFC 7518, 3.2)"
            )
    return Key(wanted, material, kid)


def public_key(pem: str, algorithms: Iterable[str], kid: str | None = None) -> Key:
    """A public key as PEM text. Raises KeyRefused: unreadable, private, too weak, or not for these algorithms."""
    if "PRIVATE KEY-----" in pem:
        raise KeyRefused("this is a private key: give the public one only, and keep this where tokens are signed")
    try:
        material = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRefused("this is not a public key in PEM form (-----BEGIN PUBLIC KEY-----)") from None
    wanted = frozenset(algorithms)
    fitting = _fitting_algorithms(material)
    wrong = sorted(wanted - fitting)
    if wrong:
        raise KeyRefused(f"{wrong[0]} does not fit this key, which is for {', '.join(sorted(fitting))}")
    return Key(wanted, material, kid)


def jwk_key(jwk: object, algorithms: Iterable[str]) -> Key:
    """A public key out of a JWK (RFC 7517), for those of the algorithms that it fits. Raises KeyRefused.

    `use`, `key_ops` and `alg` are respected; a private part is not even read. A symmetric key is refused: who may read
    the set could sign with it.
    """
    if not isinstance(jwk, Mapping):
        raise KeyRefused("not a JSON object")
    if jwk.get("kty") == "oct":
        raise KeyRefused("a symmetric key has no place in a key set")
    kid, operations = jwk.get("kid"), jwk.get("key_ops")
    if not isinstance(kid, str | None):
        raise KeyRefused("its kid is not a string")
    if jwk.get("use", "sig") != "sig":
        raise KeyRefused("it is not for signatures (use)")
    if operations is not None and (not isinstance(operations, list) or "verify" not in operations):
        raise KeyRefused("it is not for verifying (key_ops)")
    try:
        material = _read_jwk({name: jwk[name] for name in _PUBLIC_MEMBERS if name in jwk})
    except (InvalidKeyError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        raise KeyRefused("it is not a readable RSA, EC or OKP key") from None
    usable = _fitting_algorithms(material).intersection(algorithms)
    if "alg" in jwk:
        usable = usable.intersection({jwk["alg"]} if isinstance(jwk["alg"], str) else ())
    if not usable:
        raise KeyRefused("it fits none of the profile's algorithms")
    return Key(usable, material, kid)


def read_jwk_set(document: bytes | str | Mapping[str, Any], algorithms: Iterable[str]) -> tuple[list[Key], list[str]]:
    """The usable keys of a JWK set (RFC 7517 section 5) and, for the log, why others are left out.

    Raises KeyRefused where it is not a set or has no usable key.
    """
    try:
        parsed = document if isinstance(document, Mapping) else json.loads(document)
    except (ValueError, RecursionError):
        raise KeyRefused("this is not JSON: give a JWK set, {'keys': [...]}, or the https:// URL of one") from None
    listed = parsed.get("keys") if isinstance(parsed, Mapping) else None
    if not isinstance(listed, list):
        raise KeyRefused("this is not a JWK set: it has no list of keys")
    keys: list[Key] = []
    refused: list[str] = []
    wanted = frozenset(algorithms)
    for number, jwk in enumerate(listed):
        try:
            keys.append(jwk_key(jwk, wanted))
        except KeyRefused as error:
            refused.append(f"keys[{number}]: {error}")
    if not keys:
        raise KeyRefused("; ".join(["no key of the set can be used", *refused]))
    return keys, refused


class KeySet:
    """The keys of one profile. A single key without a name serves every token of its algorithms, whatever its kid."""

    __slots__ = ("_by_algorithm", "_by_name", "_only")

    def __init__(self, keys: Iterable[Key]) -> None:
        listed = list(keys)
        self._only = listed[0] if len(listed) == 1 and listed[0].kid is None else None
        self._by_name: dict[str, list[Key]] = {}
        self._by_algorithm: dict[str, list[Key]] = {}
        for key in listed:
            if key.kid is not None:
                self._by_name.setdefault(key.kid, []).append(key)
            for algorithm in key.algorithms:
                self._by_algorithm.setdefault(algorithm, []).append(key)

    def knows(self, token: CompactToken) -> bool:
        """Whether there is a key for the token's kid, or the token names none."""
        return token.kid is None or self._only is not None or token.kid in self._by_name

    def check_signature(self, token: CompactToken) -> None:
        """Raises GatewayError: no key fits, the key is not for this algorithm, or the signature is wrong."""
        if not self._choose(token).is_signed(token):
            raise GatewayError(TOKEN_SIGNATURE_WRONG)

    def _choose(self, token: CompactToken) -> Key:
        if not self.knows(token):
            raise GatewayError(TOKEN_KEY_UNKNOWN, "The token names a key that is not known here.")
        if token.kid is None or self._only is not None:
            fitting = self._by_algorithm.get(token.algorithm, [])
            if len(fitting) > 1:
                raise GatewayError(TOKEN_KEY_UNKNOWN, "The token has to name its key (kid): several could fit.")
        else:
            fitting = [key for key in self._by_name[token.kid] if token.algorithm in key.algorithms]
        if not fitting:
            raise GatewayError(TOKEN_ALGORITHM_REFUSED, "The token's algorithm is not the one of its key.")
        return fitting[0]


def _read_jwk(public: dict[str, Any]) -> Any:
    readers = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "OKP": OKPAlgorithm.from_jwk}
    return readers[public["kty"]](public)


def _fitting_algorithms(material: object) -> frozenset[str]:
    if isinstance(material, rsa.RSAPublicKey):
        if material.key_size < _RSA_BITS_MIN:
            raise KeyRefused(f"the RSA key has {material.key_size} bits, {_RSA_BITS_MIN} are needed (RFC 7518, 3.3)")
        return _RSA_ALGORITHMS
    if isinstance(material, ec.EllipticCurvePublicKey) and material.curve.name in _CURVE_ALGORITHM:
        return frozenset({_CURVE_ALGORITHM[material.curve.name]})
    if isinstance(material, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return frozenset({"EdDSA"})
    raise KeyRefused("it is no RSA, P-256, P-384, P-521 or Edwards curve key")
