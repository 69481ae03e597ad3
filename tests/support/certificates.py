"""Authorities and certificates made for a test, and the TLS of its clients and origins."""

import datetime
import ipaddress
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.config.settings import CertifiedKey, TlsSettings

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certified:
    """A certificate and its key as PEM texts."""

    certificate: str
    key: str

    @property
    def pair(self) -> CertifiedKey:
        """As the gateway holds it once it is read."""
        return CertifiedKey("cert.pem", "key.pem", self.certificate, self.key)

    def load_into(self, context: ssl.SSLContext) -> ssl.SSLContext:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self.key + self.certificate)
            file.flush()
            context.load_cert_chain(file.name)
        return context


class Authority:
    """Signs certificates. pem: its own."""

    def __init__(self, name: str = "Test Authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self._number = 0
        self._own = self._sign(self._name, self._key.public_key(), is_authority=True)

    @property
    def pem(self) -> str:
        return self._own.public_bytes(Encoding.PEM).decode()

    def issue(self, *names: str, ends_in: datetime.timedelta = DAY, begins_in: datetime.timedelta = -DAY) -> Certified:
        """A certificate for these DNS names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(
            _named((names or ("nobody",))[0]), key.public_key(), names=names, ends_in=ends_in, begins_in=begins_in
        )
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return Certified(certificate.public_bytes(Encoding.PEM).decode(), text)

    def certify(self, public_key: CertificatePublicKeyTypes, name: str) -> str:
        """A certificate for somebody's key."""
        return self._sign(_named(name), public_key, names=[name]).public_bytes(Encoding.PEM).decode()

    def client_context(self, own: Certified | None = None) -> ssl.SSLContext:
        """A client that believes this authority, with a certificate of its own or without."""
        context = ssl.create_default_context(cadata=self.pem)
        return context if own is None else own.load_into(context)

    def server_context(self, own: Certified, *, asks: bool = False) -> ssl.SSLContext:
        """A server with this certificate. asks: clients have to show one of this authority."""
        context = own.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        if asks:
            context.load_verify_locations(cadata=self.pem)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    @cached_property
    def local(self) -> Certified:
        """For 127.0.0.1 and gateway.test."""
        return self.issue("gateway.test", "127.0.0.1")

    def tls(self, *more: Certified, client_auth: str = "none") -> TlsSettings:
        """What a gateway serves: `local`, then more."""
        pairs = tuple(each.pair for each in (self.local, *more))
        return TlsSettings(pairs, client_auth, "ca.pem", self.pem)

    def _sign(
        self,
        subject: x509.Name,
        public_key: CertificatePublicKeyTypes,
        *,
        names: Sequence[str] = (),
        is_authority: bool = False,
        ends_in: datetime.timedelta = DAY,
        begins_in: datetime.timedelta = -DAY,
    ) -> x509.Certificate:
        self._number += 1
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(self._number)
            .not_valid_before(now + begins_in)
            .not_valid_after(now + ends_in)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        return builder.sign(self._key, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    if name[0].isdigit():
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
