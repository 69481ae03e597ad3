"""Hazard: `serve` starts with certificates that no client will take, or says why not by a traceback."""

import json
import os
import ssl
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config.settings import ServeSettings, TlsSettings
from gateway.config.tls import TlsInvalid, client_context, read_again, read_tls, server_context
from gateway.core.certificates import CertificateRefused
from tests.support.certificates import DAY, Authority, Certified

AUTHORITY = Authority()
GOOD, OTHER = AUTHORITY.issue("a.test"), AUTHORITY.issue("b.test")
OLD, EARLY = AUTHORITY.issue("a.test", ends_in=-DAY / 2), AUTHORITY.issue("a.test", begins_in=DAY / 2)
FILES = {
    "a.pem": GOOD.certificate,
    "a.key": GOOD.key,
    "b.pem": OTHER.certificate,
    "b.key": OTHER.key,
    "old.pem": OLD.certificate,
    "old.key": OLD.key,
    "early.pem": EARLY.certificate,
    "early.key": EARLY.key,
    "ca.pem": AUTHORITY.pem,
    "empty": "",
}


def read(certificates: str = "a.pem", keys: str = "a.key", client_ca: str = "", client_auth: str = "") -> TlsSettings:
    def read_file(path: str) -> str:
        if path not in FILES:
            raise FileNotFoundError(2, "No such file or directory", path)
        if path == "empty":
            raise PermissionError(13, "Permission denied", path)
        return FILES[path]

    found = read_tls(certificates.split(), keys.split(), client_ca, client_auth, now_s=time.time(), read_file=read_file)
    assert found is not None
    return found


MISTAKES = {
    ("a.pem", "", "", ""): "--tls-cert and --tls-key go in pairs, and here are 1 and 0",
    ("a.pem b.pem", "a.key", "", ""): "--tls-cert and --tls-key go in pairs, and here are 2 and 1",
    ("no.pem", "a.key", "", ""): "--tls-cert no.pem: there is no such file",
    ("a.pem", "no.key", "", ""): "--tls-key no.key: there is no such file",
    ("empty", "a.key", "", ""): "--tls-cert empty: the file cannot be read (Permission denied)",
    ("a.key", "a.key", "", ""): "--tls-cert a.key: there is no certificate in PEM form here",
    ("a.pem", "a.pem", "", ""): "--tls-key a.pem: there is no private key in PEM form here",
    ("a.pem", "b.key", "", ""): "--tls-key b.key: the private key belongs to another certificate",
    ("a.pem a.pem", "a.key b.key", "", ""): "--tls-key b.key: the private key belongs to another certificate",
    ("old.pem", "old.key", "", ""): "--tls-cert old.pem: the certificate has expired, on ",
    ("early.pem", "early.key", "", ""): "--tls-cert early.pem: the certificate is not valid before ",
    ("a.pem", "a.key", "no.pem", ""): "--tls-client-ca no.pem: there is no such file",
    ("a.pem", "a.key", "a.key", ""): "--tls-client-ca a.key: there is no certificate in PEM form here",
    ("a.pem", "a.key", "", "required"): "--tls-client-auth required needs --tls-client-ca, the authority",
    ("", "", "ca.pem", ""): "certificates of clients need TLS: give --tls-cert and --tls-key as well",
    ("a.pem", "a.key", "ca.pem", "maybe"): "--tls-client-auth maybe is none of none, optional, required",
    ("", "", "", "optional"): "certificates of clients need TLS: give --tls-cert and --tls-key as well",
}


@pytest.mark.parametrize("given", MISTAKES)
def test_a_mistake_is_one_line_that_names_the_flag_and_the_file(given: tuple[str, str, str, str]) -> None:
    with pytest.raises(TlsInvalid) as invalid:
        read(*given)
    assert str(invalid.value).startswith(MISTAKES[given])
    assert "\n" not in str(invalid.value)


def test_what_openssl_does_not_take_is_said_as_well() -> None:
    weak = rsa.generate_private_key(65537, 1024)
    text = weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    certified = Certified(AUTHORITY.certify(weak.public_key(), "weak.test"), text)
    with pytest.raises(CertificateRefused, match=r"cert\.pem: OpenSSL refuses it: ee key too small"):
        server_context(TlsSettings((certified.pair,)))
    with pytest.raises(CertificateRefused, match="OpenSSL refuses it: ee key too small"):
        client_context("", certified.certificate, certified.key, verify=True)


def test_no_flag_is_no_tls() -> None:
    assert read_tls([], [], "", "", now_s=0) is None


@pytest.mark.parametrize(
    ("client_ca", "client_auth", "mode"),
    [
        ("", "", ssl.CERT_NONE),
        ("ca.pem", "", ssl.CERT_REQUIRED),
        ("ca.pem", "optional", ssl.CERT_OPTIONAL),
        ("ca.pem", "none", ssl.CERT_NONE),
    ],
)
def test_an_authority_for_clients_means_that_they_have_to_show_one(
    client_ca: str, client_auth: str, mode: ssl.VerifyMode
) -> None:
    context = server_context(read(client_ca=client_ca, client_auth=client_auth))
    assert context.verify_mode is mode
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    older = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]
    assert all(name.startswith("ECDHE-") and ("GCM" in name or "POLY1305" in name) for name in older)
    assert older


def test_settings_reach_a_worker_as_they_are_and_show_no_key() -> None:
    settings = ServeSettings("routes.yaml", tls=read("a.pem b.pem", "a.key b.key", "ca.pem"))
    assert ServeSettings.from_json(json.loads(json.dumps(asdict(settings)))) == settings
    plain = ServeSettings("routes.yaml")
    assert ServeSettings.from_json(json.loads(json.dumps(asdict(plain)))) == plain
    assert not any(line in repr(settings) for line in GOOD.key.splitlines()[1:-1])


def test_files_are_read_again_from_where_they_were(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / "a.pem")], [str(tmp_path / "a.key")]
    settings = read_tls(*paths, str(tmp_path / "ca.pem"), "optional", now_s=time.time())
    assert settings is not None
    assert read_again(settings, now_s=time.time()) == settings
    (tmp_path / "a.pem").write_text(OTHER.certificate)
    with pytest.raises(TlsInvalid, match="belongs to another certificate"):
        read_again(settings, now_s=time.time())
    (tmp_path / "a.key").write_text(OTHER.key)
    assert read_again(settings, now_s=time.time()).certified_keys[0].key == OTHER.key


def test_no_file_with_the_key_is_left_behind() -> None:
    before = set(os.listdir("/proc/self/fd"))
    server_context(read())
    assert set(os.listdir("/proc/self/fd")) == before
