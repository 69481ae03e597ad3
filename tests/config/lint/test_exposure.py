"""Hazard: a secret in the repository, and trust in whoever comes first."""

import pytest

from tests.config.lint.good_table import GOOD, check, edited, found

SECRET = "a-secret-that-nobody-should-read-in-a-message"
CLEAR = (
    "is a secret, and stands in the file for all who can read it; put it into the environment or a file, write "
    "${env:NAME} or ${file:path} here, and change the secret"
)


def test_a_secret_in_the_file_is_found_and_not_repeated() -> None:
    assert found(edited(("${env:KEY}", SECRET))) == [f'4 "{SECRET}": secret_in_clear: "secret" {CLEAR}']
    assert found(edited(("${env:STORE}", f"redis://:{SECRET}@h:6379/0"))) == [
        f'2 "redis://:{SECRET}@h:6379/0": secret_in_clear: "store" {CLEAR}'
    ]
    assert SECRET not in str(check(edited(("${env:KEY}", SECRET))).problems)


def test_a_store_without_a_password_is_no_secret() -> None:
    assert found(edited(("${env:STORE}", "redis://h:6379/0"))) == []
    assert found(edited(("${env:STORE}", "${env:REDIS_URL:-memory://}"))) == []


def test_a_default_of_a_secret_is_known_to_all() -> None:
    assert found(edited(("${env:KEY}", f"${{env:KEY:-{SECRET}}}"))) == [
        (
            '4 "${env:KEY:-a-secret-that-nobody-should-read-in-a-message}": secret_default: where KEY is not set, '
            "this secret is one that all readers of the file know; write "
            "${env:KEY}, so that a start without it is refused"
        )
    ]


def test_a_secret_of_another_file_is_where_it_belongs() -> None:
    text = edited(
        ('{jwt: {algorithms: [HS256], secret: "${env:KEY}", issuer: us, audience: api}}', "${file:main.yaml}")
    )
    files = {"main.yaml": f"jwt: {{algorithms: [HS256], secret: {SECRET}}}\n"}
    assert {problem.code for problem in check(text, files).problems} <= {"not_in_force"}


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_proxies_that_are_everybody(network: str) -> None:
    assert found(edited(("10.0.0.0/8", f'"{network}"'))) == [
        (
            f'2 "{network}": trusts_everybody: {network} is everybody: each client chooses the address that limits '
            f"and "
            "allow.addresses see; name the addresses of your own proxies, such as 10.0.0.0/8"
        )
    ]


def test_keys_from_afar() -> None:
    jwks = 'algorithms: [RS256], jwks: "http://keys.example/set"'
    old = 'algorithms: [HS256], secret: "${env:KEY}", issuer: us, audience: api'
    assert found(edited((old, jwks))) == [
        (
            '4 jwt: unbound_token: "main" takes every token of that key set, also those made for other services; '
            "write "
            "issuer and audience"
        ),
        (
            '4 "http://keys.example/set": plain_key_set: the keys are fetched without TLS: whoever is on the way '
            "can put in a key and make "
            "tokens; write https://"
        ),
    ]
    assert found(edited((old, jwks.replace("http:", "https:") + ", issuer: us"))) == []
    assert found(edited((old, jwks.replace("keys.example", "127.0.0.1:80") + ", issuer: us"))) == []


def test_every_page_is_said_once() -> None:
    text = edited(
        ("  auth: main\n", '  auth: main\n  cors: ["*"]\n'),
        ("routes:\n", "routes:\n- {id: b, match: /b, to: crm}\n"),
        ("tests:\n", "tests:\n- {get: /b, expect: {route: b}}\n"),
    )
    assert found(text) == [
        '8 cors: any_origin: every web page may read what "b" answers to a known caller; list the origins'
    ]
    assert GOOD.count("cors") == 0
