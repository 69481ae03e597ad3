"""Typical mistakes in `upstreams.NAME.tls`, each with all that it says, at the place where the mistake is."""

import json

import pytest

from gateway.config.compile import check_table
from gateway.config.source import from_memory
from tests.config.sample_plugins import GOOD, PLUGINS, compile_text, problems_of
from tests.support.certificates import Authority

AUTHORITY = Authority()
OWN, OTHER = AUTHORITY.issue("gateway"), AUTHORITY.issue("other")
FILES = {"ca.pem": AUTHORITY.pem, "own.pem": OWN.certificate, "own.key": OWN.key, "other.key": OTHER.key, "text": "x"}
SECURE = GOOD.replace("http://127.0.0.1:8101", "https://crm.internal")


def with_tls(lines: str, text: str = SECURE) -> str:
    """The good table with these lines from line 9 on, as `tls` of its upstream."""
    return text.replace("routes:", f"    tls: {lines}\nroutes:")


CA_HINT = "refer to a file with it, like ${file:ca.pem}"
KEY_HINT = "refer to a file with it, like ${file:key.pem}"
NO_CERTIFICATE = "there is no certificate in PEM form here (-----BEGIN CERTIFICATE-----)"
NO_KEY = "there is no private key in PEM form here (-----BEGIN PRIVATE KEY-----)"
MISTAKES = {
    "{ca: ca.pem}": [f"9:15: bad_certificate: {NO_CERTIFICATE}; {CA_HINT}"],
    "{ca: '${file:text}'}": [f"9:15: bad_certificate: {NO_CERTIFICATE}; {CA_HINT}"],
    "{ca: '${file:nope.pem}'}": ["9:15: missing_file: ${file:nope.pem}: there is no such file"],
    "{ca: '${file:own.key}'}": [f"9:15: bad_certificate: {NO_CERTIFICATE}; {CA_HINT}"],
    "{sever_name: a}": ['9:11: unknown_key: "sever_name" is not a key here; did you mean "server_name"?'],
    "{server_name: '*.internal'}": [
        '9:24: invalid_value: "*.internal" is not the name of a server: write it like crm.internal'
    ],
    "{verify: maybe}": ["9:19: wrong_type: true or false is wanted here, not text"],
    "{verify: false, ca: '${file:ca.pem}'}": [
        "9:10: invalid_value: verify: false takes any certificate, so ca has nothing to do beside it"
    ],
    "{client_cert: '${file:own.pem}'}": ["9:10: bad_certificate: client_cert and client_key go together"],
    "{client_key: '${file:own.key}'}": ["9:10: bad_certificate: client_cert and client_key go together"],
    "{client_cert: '${file:own.pem}', client_key: '${file:other.key}'}": [
        f"9:55: bad_certificate: the private key belongs to another certificate; {KEY_HINT}"
    ],
    "{client_cert: '${file:own.pem}', client_key: own.key}": [f"9:55: bad_certificate: {NO_KEY}; {KEY_HINT}"],
}


@pytest.mark.parametrize("lines", MISTAKES)
def test_a_mistake_is_said_where_it_is(lines: str) -> None:
    assert problems_of(with_tls(lines), files=FILES) == [f"routes.yaml:{line}" for line in MISTAKES[lines]]


def test_tls_for_an_endpoint_without_it_is_a_mistake() -> None:
    assert problems_of(with_tls("{verify: true}", GOOD)) == [
        'routes.yaml:9:10: invalid_tls: tls has nothing to do with "http://127.0.0.1:8101"; write https://'
    ]


def test_what_is_good_is_taken_and_no_key_is_shown() -> None:
    own = "client_cert: '${file:own.pem}', client_key: '${file:own.key}'"
    lines = f"{{ca: '${{file:ca.pem}}', server_name: CRM.internal, {own}}}"
    snapshot = compile_text(with_tls(lines), files=FILES)
    tls = snapshot.table.upstreams["crm"].tls
    assert tls is not None
    assert (tls.server_name, tls.verify, tls.ca, tls.client_key) == (
        "crm.internal",
        True,
        AUTHORITY.pem.rstrip("\n"),
        OWN.key.rstrip("\n"),
    )
    assert snapshot.warnings == ()
    shown = json.dumps(snapshot.config) + repr(snapshot)
    assert "${file:own.key}" in shown
    assert OWN.key.splitlines()[1] not in shown


def test_a_key_that_stands_in_the_table_is_hidden() -> None:
    key = json.dumps(OWN.key)
    snapshot = compile_text(with_tls(f"{{client_cert: '${{file:own.pem}}', client_key: {key}}}"), files=FILES)
    assert snapshot.config["upstreams"]["crm"]["tls"]["client_key"] == "***"


def test_an_upstream_that_may_be_anybody_is_warned_of() -> None:
    read_file, find_files = from_memory({"routes.yaml": with_tls("{verify: false}")})
    snapshot = check_table(
        "routes.yaml", PLUGINS, environ={"KEY": "s3cr3t-key-of-the-test"}, read_file=read_file, find_files=find_files
    )
    (warning,) = snapshot.warnings
    assert str(warning).startswith("routes.yaml:9:19: unverified: the upstream's certificate is not checked")
