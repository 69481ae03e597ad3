"""Keys, tokens and plugins for the tests of auth."""

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.errors import GatewayError
from plugins.auth import Auth
from tests.plugins.lent_services import LentServices, build, exchange_of

SECRET = "a-test-secret-of-sixty-four-bytes-for-all-of-the-three-hashes!!!"
NOW = 1_000_000
URL = "https://id.example/jwks.json"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SMALL_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)
EC_KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}
ED_KEY = ed25519.Ed25519PrivateKey.generate()
PRIVATE: dict[str, Any] = {
    **dict.fromkeys(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], RSA_KEY),
    **EC_KEYS,
    "EdDSA": ED_KEY,
}


def pem_of(private: Any) -> str:
    return str(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def jwk_of(private: Any, algorithm: str, **more: Any) -> dict[str, Any]:
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key(), as_dict=True)
    return {**{name: value for name, value in made.items() if name != "key_ops"}, **more}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def token_of(key: Any = SECRET, algorithm: str = "HS256", headers: Any = None, **claims: Any) -> bytes:
    stated = {"tenant_id": "t1", "sub": "u1", "plan": "pro", "scope": "crm.read crm.write", "exp": NOW + 600, **claims}
    stated = {name: value for name, value in stated.items() if value is not ...}
    return jwt.api_jws.encode(json.dumps(stated).encode(), key, algorithm, headers).encode()


def bearer(token: bytes) -> tuple[bytes, bytes]:
    return (b"authorization", b"Bearer " + token)


def plugin_of(services: LentServices | None = None, **settings: Any) -> Any:
    services = services or LentServices()
    services.section = {"main": {"jwt": {"algorithms": ["HS256"], **settings}}}
    return build(Auth, "main", services)


def hs_plugin(**settings: Any) -> Any:
    return plugin_of(secret=SECRET, **settings)


def refused(plugin: Any, *lines: tuple[bytes, bytes]) -> GatewayError:
    exchange = exchange_of(*lines)
    with pytest.raises(GatewayError) as caught:
        plugin.on_request(exchange)
    assert exchange.identity is None
    assert exchange.verdicts["auth"] == caught.value.kind.code
    return caught.value


def challenge_of(error: GatewayError) -> bytes:
    return dict(error.headers)[b"www-authenticate"]
