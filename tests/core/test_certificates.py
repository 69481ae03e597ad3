"""Hazard: the certificate of one name is shown for another, or one that nobody can use is taken for good."""

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.core.certificates import (
    ByServerName,
    CertificateRefused,
    check_certificates,
    check_key,
    private_key_pem,
    read_leaf,
)
from tests.support.certificates import Authority

AUTHORITY = Authority()
ONE, OTHER = AUTHORITY.issue("a.test", "*.B.test", "127.0.0.1"), AUTHORITY.issue("b.test")


def encrypted(key: str) -> str:
    loaded = load_pem_private_key(key.encode(), None)
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()


def test_the_first_of_a_chain_is_read_with_its_names_and_times() -> None:
    leaf = read_leaf(ONE.certificate + AUTHORITY.pem)
    assert leaf.names == ("a.test", "*.b.test")
    assert read_leaf(AUTHORITY.pem).names == ()
    assert leaf.not_after_s - leaf.not_before_s == 2 * 86400
    check_key(leaf, ONE.key)
    check_key(leaf, f"{ONE.certificate}{ONE.key}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no certificate"),
        (ONE.key, "there is no certificate"),
        (ONE.certificate.replace("M", "N"), "damaged"),
        (ONE.certificate[:200], "damaged"),
        (ONE.certificate + ONE.certificate[:200], "of the 2 certificates here 1 cannot be read"),
    ],
)
def test_what_is_no_certificate_is_refused(text: str, says: str) -> None:
    for read in (read_leaf, check_certificates):
        with pytest.raises(CertificateRefused, match=says):
            read(text)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "there is no private key"),
        (ONE.certificate, "there is no private key"),
        (ONE.key.replace("M", "N"), "damaged"),
        (OTHER.key, "belongs to another certificate"),
        (encrypted(ONE.key), "without a passphrase"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_and_not_shown(key: str, says: str) -> None:
    leaf = read_leaf(ONE.certificate)
    with pytest.raises(CertificateRefused, match=says) as refused:
        check_key(leaf, key)
    assert not any(line in str(refused.value) for line in ONE.key.splitlines()[1:-1])


def test_a_key_may_stand_among_other_things() -> None:
    assert private_key_pem(f"-----BEGIN EC PARAMETERS-----\nx\n-----END EC PARAMETERS-----\n{ONE.key}") == ONE.key


def test_a_certificate_has_its_time() -> None:
    leaf = read_leaf(ONE.certificate)
    for now_s in (leaf.not_before_s, leaf.not_after_s - 1):
        leaf.check_time(now_s)
    with pytest.raises(CertificateRefused, match=r"has expired, on 20.* UTC: renew it"):
        leaf.check_time(leaf.not_after_s)
    with pytest.raises(CertificateRefused, match="is not valid before 20"):
        leaf.check_time(leaf.not_before_s - 1)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, 1),
        ("", 1),
        ("nowhere.test", 1),
        ("a.test", 2),
        ("A.TEST", 2),
        ("x.a.test", 3),
        ("y.x.a.test", 1),
        ("www.a.test", 4),
        ("test", 1),
        (".a.test", 3),
        ("*.a.test", 3),
    ],
)
def test_an_exact_name_wins_over_a_wildcard_and_the_first_over_later_ones(asked: str | None, found: int) -> None:
    entries = [(["z.test"], 1), (["a.test"], 2), (["*.a.test", "a.test"], 3), (["www.a.test", "z.test"], 4)]
    assert ByServerName(entries).find(asked) == found


def test_a_key_in_the_older_form_is_the_same_key() -> None:
    key = load_pem_private_key(ONE.key.encode(), None)
    older = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    assert older.startswith("-----BEGIN EC PRIVATE KEY-----")
    check_key(read_leaf(ONE.certificate), older)
