"""What is open that should not be: secrets that stand in the file, and doors that trust whoever comes."""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.config.describe import secrets_of
from gateway.config.lint.view import Lint
from gateway.config.translate import Path
from gateway.config.tree import Node

_DEFAULT = re.compile(r"\$\{env:([A-Za-z0-9_]+):-[^}]+\}")
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def lint_exposure(lint: Lint) -> None:
    """secret_in_clear, secret_default, trusts_everybody, plain_key_set, unbound_token, any_origin."""
    _lint_secrets(lint)
    for index, network in enumerate(lint.table.gateway.trusted_proxies):
        if ipaddress.ip_network(network).prefixlen == 0:
            lint.add(
                ("gateway", "trusted_proxies", index),
                "trusts_everybody",
                f"{network} is everybody: each client chooses the address that limits and allow.addresses see",
                "name the addresses of your own proxies, such as 10.0.0.0/8",
            )
    for name, profile in lint.section("auth").items():
        _lint_profile(lint, name, getattr(profile, "jwt", None))
    told = set()
    for route in lint.routes:
        if route.has_auth and "*" in getattr(route.policies.get("cors"), "origins", ()):
            path = lint.path_of(route, "cors")
            if path not in told:
                lint.add(
                    path,
                    "any_origin",
                    f'every web page may read what "{route.id}" answers to a known caller',
                    at_key=True,
                )
            told.add(path)


def _lint_profile(lint: Lint, name: str, jwt: object) -> None:
    jwks = getattr(jwt, "jwks", None)
    if not isinstance(jwks, str):
        return
    url = urlsplit(jwks)
    if url.scheme == "http" and not _is_this_machine(url.hostname or ""):
        lint.add(
            ("auth", name, "jwt", "jwks"),
            "plain_key_set",
            "the keys are fetched without TLS: whoever is on the way can put in a key and make tokens",
        )
    missing = [key for key in ("issuer", "audience") if getattr(jwt, key, None) is None]
    if len(missing) == 2:
        lint.add(
            ("auth", name, "jwt"),
            "unbound_token",
            f'"{name}" takes every token of that key set, also those made for other services',
            "write issuer and audience",
            at_key=True,
        )


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _lint_secrets(lint: Lint) -> None:
    is_secret = secrets_of(lint.loaded)
    for path, node in _values((), lint.root):
        if not path or not isinstance(node.value, str) or not node.value or not is_secret(path):
            continue
        # Of a URL, only the password is secret.
        if "://" in node.value and not _PASSWORD_IN_URL.search(node.value):
            continue
        if (default := _DEFAULT.search(node.reference)) and "://" not in node.reference:
            lint.add(
                path,
                "secret_default",
                f"where {default[1]} is not set, this secret is one that all readers of the file know",
                f"write ${{env:{default[1]}}}, so that a start without it is refused",
            )
        elif not node.reference:
            lint.add(
                path,
                "secret_in_clear",
                f'"{path[-1]}" is a secret, and stands in the file for all who can read it',
                "put it into the environment or a file, write ${env:NAME} or ${file:path} here, and change the secret",
            )


def _values(path: Path, node: Node) -> Iterator[tuple[Path, Node]]:
    """Every value with its path; what came from a file by reference is left out below its top."""
    yield path, node
    if node.reference and not isinstance(node.value, str):
        return
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from _values((*path, key), child)
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from _values((*path, index), child)
