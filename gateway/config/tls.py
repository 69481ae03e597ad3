"""TLS as both sides need it: contexts out of PEM texts, and these out of the files that operators name."""

import os
import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gateway.config.references import reason
from gateway.config.settings import CertifiedKey, TlsSettings
from gateway.config.source import ReadFile, read_text
from gateway.core.certificates import (
    ByServerName,
    CertificateRefused,
    check_certificates,
    check_key,
    private_key_pem,
    read_leaf,
)

# For TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 section 4.2). TLS 1.3 has no other.
_CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20"
_ALPN = ["http/1.1"]
_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class TlsInvalid(Exception):  # noqa: N818 - a state of the settings
    """Certificates that cannot be served; the message is one line for the operator."""


def read_tls(
    certificate_paths: Sequence[str],
    key_paths: Sequence[str],
    client_ca_path: str,
    client_auth: str,
    *,
    now_s: float,
    read_file: ReadFile = read_text,
) -> TlsSettings | None:
    """What the flags of `serve` name, read and found good; None where they name no certificate.

    client_auth: "" is "required" with a client CA and "none" without. now_s: Unix time. Raises TlsInvalid.
    """
    if len(certificate_paths) != len(key_paths):
        raise TlsInvalid(
            f"--tls-cert and --tls-key go in pairs, and here are {len(certificate_paths)} and {len(key_paths)}"
        )
    client_auth = client_auth or ("required" if client_ca_path else "none")
    if client_auth not in _VERIFY:
        raise TlsInvalid(f"--tls-client-auth {client_auth} is none of {', '.join(_VERIFY)}")
    if not certificate_paths:
        if client_ca_path or client_auth != "none":
            raise TlsInvalid("certificates of clients need TLS: give --tls-cert and --tls-key as well")
        return None
    if client_auth != "none" and not client_ca_path:
        raise TlsInvalid(f"--tls-client-auth {client_auth} needs --tls-client-ca, the authority to check against")
    certified_keys = tuple(
        _read_pair(certificate_path, key_path, now_s, read_file)
        for certificate_path, key_path in zip(certificate_paths, key_paths, strict=True)
    )
    client_ca = _read("--tls-client-ca", client_ca_path, read_file, check_certificates) if client_ca_path else ""
    settings = TlsSettings(certified_keys, client_auth, client_ca_path, client_ca)
    try:
        server_context(settings)
    except CertificateRefused as error:
        raise TlsInvalid(str(error)) from None
    return settings


def read_again(settings: TlsSettings, *, now_s: float, read_file: ReadFile = read_text) -> TlsSettings:
    """The same files as they are now. Raises TlsInvalid."""
    pairs = settings.certified_keys
    again = read_tls(
        [pair.certificate_path for pair in pairs],
        [pair.key_path for pair in pairs],
        settings.client_ca_path,
        settings.client_auth,
        now_s=now_s,
        read_file=read_file,
    )
    assert again is not None
    return again


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """TLS 1.2 or later for clients, the certificate by the name that they ask for. Raises CertificateRefused."""
    contexts = []
    for pair in settings.certified_keys:
        context = _context(ssl.PROTOCOL_TLS_SERVER)
        # What a client may ask for at any time, and at no cost of its own (RFC 9325 section 3.5).
        context.options |= ssl.OP_NO_RENEGOTIATION
        try:
            _load_pair(context, pair.certificate, pair.key)
        except CertificateRefused as error:
            raise CertificateRefused(f"{pair.certificate_path}: {error}") from None
        if settings.client_ca and settings.client_auth != "none":
            try:
                context.load_verify_locations(cadata=settings.client_ca)
            except ssl.SSLError as error:
                raise CertificateRefused(f"{settings.client_ca_path}: {_openssl_reason(error)}") from None
            context.verify_mode = _VERIFY[settings.client_auth]
        contexts.append((read_leaf(pair.certificate).names, context))
    first = contexts[0][1]
    if len(contexts) > 1:
        by_name = ByServerName(contexts)

        def choose(connection: ssl.SSLObject, server_name: str | None, _: ssl.SSLContext) -> None:
            connection.context = by_name.find(server_name)

        first.sni_callback = choose
    return first


def client_context(ca: str, certificate: str, key: str, *, verify: bool) -> ssl.SSLContext:
    """TLS 1.2 or later to an upstream. ca, certificate, key: PEM texts; "" is the system's authorities, and no
    certificate of our own. Raises CertificateRefused.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif not ca:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(cadata=ca)
        except ssl.SSLError as error:
            raise CertificateRefused(_openssl_reason(error)) from None
    if certificate:
        _load_pair(context, certificate, key)
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(_ALPN)
    return context


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    with _as_file(private_key_pem(key) + certificate) as path:
        try:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(path, password="")
        except ssl.SSLError as error:
            raise CertificateRefused(_openssl_reason(error)) from None


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """The path of a file with this text, for `ssl` reads keys from files only. On Linux it never is on a disk."""
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("gateway-tls"), "w") as file:
            file.write(text)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            yield file.name


def _read_pair(certificate_path: str, key_path: str, now_s: float, read_file: ReadFile) -> CertifiedKey:
    def check_certificate(text: str) -> None:
        read_leaf(text).check_time(now_s)

    certificate = _read("--tls-cert", certificate_path, read_file, check_certificate)
    leaf = read_leaf(certificate)
    key = _read("--tls-key", key_path, read_file, lambda text: check_key(leaf, text))
    return CertifiedKey(certificate_path, key_path, certificate, key)


def _read(flag: str, path: str, read_file: ReadFile, check: Callable[[str], object]) -> str:
    try:
        text = read_file(path)
        check(text)
    except CertificateRefused as error:
        raise TlsInvalid(f"{flag} {path}: {error}") from None
    except (OSError, ValueError) as error:
        raise TlsInvalid(f"{flag} {path}: {reason(error)}") from None
    return text


def _openssl_reason(error: ssl.SSLError) -> str:
    """`EE_KEY_TOO_SMALL` and the like, as words."""
    return f"OpenSSL refuses it: {(error.reason or 'no reason given').lower().replace('_', ' ')}"
