"""Certificates and their keys as PEM text: whom they name, until when, whether they fit, which one is asked for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

T = TypeVar("T")

_BEGIN = "-----BEGIN CERTIFICATE-----"
_DAMAGED = "a certificate here is damaged: it cannot be read"
_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


class CertificateRefused(ValueError):  # noqa: N818 - says what happened to it
    """A certificate or key that cannot be used; the message says why, and shows nothing of a key."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """names: the DNS names of its subjectAltName in small letters, wildcards as `*.example.com`. Times are Unix times.
    public_key: as DER SubjectPublicKeyInfo.
    """

    names: tuple[str, ...]
    not_before_s: float
    not_after_s: float
    public_key: bytes = field(repr=False)

    def check_time(self, now_s: float) -> None:
        """Raises CertificateRefused where it has ended, or has not begun."""
        if now_s >= self.not_after_s:
            raise CertificateRefused(f"the certificate has expired, on {_date(self.not_after_s)}: renew it")
        if now_s < self.not_before_s:
            raise CertificateRefused(
                f"the certificate is not valid before {_date(self.not_before_s)}: is the clock of this machine right?"
            )


def read_leaf(pem: str) -> Certificate:
    """The first certificate of a chain in PEM, which is the server's or client's own. Raises CertificateRefused."""
    leaf = _load(pem)[0]
    try:
        return _read(leaf)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise CertificateRefused(_DAMAGED) from None


def check_certificates(pem: str) -> None:
    """Raises CertificateRefused where a PEM text holds no certificate, or a damaged one."""
    _load(pem)


def private_key_pem(pem: str) -> str:
    """The private key out of a PEM text that may hold more. Raises CertificateRefused where there is none."""
    found = _PRIVATE_KEY.search(pem)
    if found is None:
        raise CertificateRefused("there is no private key in PEM form here (-----BEGIN PRIVATE KEY-----)")
    return f"{found[0]}\n"


def check_key(certificate: Certificate, key_pem: str) -> None:
    """Raises CertificateRefused where the private key is not the certificate's, or cannot be read."""
    try:
        key = load_pem_private_key(private_key_pem(key_pem).encode(), password=None)
        public_key = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except TypeError:
        raise CertificateRefused("the private key is encrypted: give it without a passphrase") from None
    except CertificateRefused:
        raise
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateRefused("the private key is damaged: it cannot be read") from None
    if public_key != certificate.public_key:
        raise CertificateRefused("the private key belongs to another certificate")


class ByServerName(Generic[T]):
    """Finds what belongs to the name that a client asks for (RFC 6066 section 3).

    An exact name wins over a wildcard, which stands for one label (RFC 9525, 6.3). The first of several wins, and
    the first of all is for clients that ask for no name or an unknown one.
    """

    def __init__(self, entries: Sequence[tuple[Sequence[str], T]]) -> None:
        """entries: at least one, names in small letters."""
        self._default = entries[0][1]
        self._by_name: dict[str, T] = {}
        for names, item in entries:
            for name in names:
                self._by_name.setdefault(name, item)

    def find(self, server_name: str | None) -> T:
        """What belongs to this name."""
        name = (server_name or "").lower()
        found = self._by_name.get(name)
        if found is None:
            found = self._by_name.get(f"*.{name.partition('.')[2]}")
        return self._default if found is None else found


def _load(pem: str) -> list[x509.Certificate]:
    count = pem.count(_BEGIN)
    if not count:
        raise CertificateRefused(f"there is no certificate in PEM form here ({_BEGIN})")
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except (ValueError, x509.InvalidVersion):
        raise CertificateRefused(_DAMAGED) from None
    if len(found) != count:
        # One without an end is not even seen, as in a chain that is still being written.
        raise CertificateRefused(f"of the {count} certificates here {count - len(found)} cannot be read")
    return found


def _read(found: x509.Certificate) -> Certificate:
    try:
        subject = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [name.lower() for name in subject.get_values_for_type(x509.DNSName)]
    except x509.ExtensionNotFound:
        names = []
    return Certificate(
        names=tuple(names),
        not_before_s=found.not_valid_before_utc.timestamp(),
        not_after_s=found.not_valid_after_utc.timestamp(),
        public_key=found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )


def _date(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
