"""TLS for all testers: what they trust, the certificate that they show, and why a connection failed, in words.

OpenSSL checks whether a certificate is good, and service-identity whether it has the right name. This module adds
reasons: OpenSSL only says that a certificate could not be verified, so it is verified once more to learn why.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from socket import socket
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    KeyPair,
    PrivateCertificate,
    platformTrust,
    trustRootFromCertificates,
)

ERRORS = (SSL.Error, VerificationError, CertificateError)
"""Errors of a handshake that would happen again at the next attempt."""
OURS = ("bad certificate", "certificate expired", "certificate revoked", "certificate unknown", "unknown ca")
"""Alerts by which a relay rejects a client's certificate (RFC 8446, section 6.2), in OpenSSL's words."""


class TlsError(Exception):
    """A TLS connection that cannot be made. Its text, if it has one, is a line for people."""


@dataclass(frozen=True)
class Tls:
    """What to trust, and what to show the peer."""

    ca: Path | None = None
    """File with the authorities to trust; None: those that the system trusts."""
    cert: Path | None = None
    """File with a client certificate and its key, in case the peer asks for one; None: there is none."""

    @property
    def trust(self) -> Any:  # Any: Twisted's type for it is not public
        """The authorities to verify certificates with, as Twisted has them."""
        if self.ca is None:
            return platformTrust()
        found = x509.load_pem_x509_certificates(self.ca.read_bytes())
        return trustRootFromCertificates([Certificate(crypto.X509.from_cryptography(one)) for one in found])

    @property
    def identity(self) -> tuple[PrivateCertificate, list[crypto.X509]] | None:
        """Our certificate with its key, and the certificates of its chain; None if we have none."""
        if self.cert is None:
            return None
        pem = self.cert.read_bytes()
        first, *others = map(crypto.X509.from_cryptography, x509.load_pem_x509_certificates(pem))
        key = KeyPair(crypto.load_privatekey(crypto.FILETYPE_PEM, pem))
        return PrivateCertificate.fromCertificateAndKeyPair(Certificate(first), key), others

    def context(self) -> SSL.Context:
        """A context for TLS 1.2 and later that verifies the peer's certificate, but not its name."""
        if self.identity is None:
            options = CertificateOptions(trustRoot=self.trust)
        else:
            own, others = self.identity
            key, certificate = own.privateKey.original, own.original
            options = CertificateOptions(key, certificate, trustRoot=self.trust, extraCertChain=others)
        context: SSL.Context = options.getContext()
        return context


def connection(context: SSL.Context, host: str, plain: socket | None = None) -> SSL.Connection:
    """A client's side of a connection to `host`, before its handshake. `plain`: its socket; None: in memory."""
    made = SSL.Connection(context, plain)
    if not _is_address(host):
        made.set_tlsext_host_name(_ascii(host).encode())
    made.set_connect_state()
    return made


def verify(connection: SSL.Connection, host: str) -> None:
    """Raise one of `ERRORS` if the peer's certificate, which is known to be good, is not for `host`.

    To be called when the handshake is complete, before anything is sent. Twisted's `optionsForClientTLS` would check
    the name within the handshake, but it accepts certificates without any name (without a subjectAltName).
    """
    if _is_address(host):
        verify_ip_address(connection, host)
    else:
        verify_hostname(connection, _ascii(host))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _ascii(host: str) -> str:
    return host.encode("idna").decode()


def authorities(text: str) -> Path:
    """A conversion for argparse: a file with certificates."""
    path = Path(text)
    _certificates(path, _read(path))
    return path


def identity(text: str) -> Path:
    """A conversion for argparse: a file with a certificate, its chain if there is one, and its key."""
    path = Path(text)
    pem = _read(path)
    certificate = _certificates(path, pem)[0]
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise ArgumentTypeError(f"{path}: the key has a password, which nobody would type here") from None
    except ValueError:
        raise ArgumentTypeError(
            f"{path}: there is no private key in it; certificate and key go into one file"
        ) from None
    if key.public_key() != certificate.public_key():
        raise ArgumentTypeError(f"{path}: the key does not belong to the first certificate in it")
    return path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArgumentTypeError(f"{path}: {error.strerror}") from None


def _certificates(path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ArgumentTypeError(f"{path}: there is no certificate in it (PEM)") from None


def explain(error: BaseException, host: str, connection: SSL.Connection) -> str:
    """Why there is no connection to `host`, in words. `error`: one of `ERRORS`. `connection`: the one that failed."""
    if isinstance(error, VerificationError):
        return f"certificate verify failed: it is not for {host}, but for {_names(connection)}"
    if isinstance(error, CertificateError):
        return f"certificate verify failed: {error}"
    reason = words(error)
    if reason == "certificate verify failed":
        return f"{reason}: {_verify_again(connection)}"
    _, alert, said = reason.partition(" alert ")
    if not alert:
        return f"the TLS handshake failed: {reason}; does it speak TLS there?"
    if said == "certificate required":
        return "it wants a certificate of ours, which --cert FILE names"
    if said in OURS:
        return f"it refuses our certificate (--cert): {said}"
    return f"it refuses the TLS handshake: {said}"


def is_about_us(error: BaseException) -> bool:
    """Whether `error` is a relay's rejection of our certificate, or of our having none."""
    said = words(error).partition(" alert ")[2]
    return said == "certificate required" or said in OURS


def words(error: BaseException | None) -> str:
    """OpenSSL's words for `error`: the first of several, which are the most precise. Empty if there are none."""
    if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list) and error.args[0]:
        return str(error.args[0][0][-1])
    return ""


def _verify_again(connection: SSL.Connection) -> str:
    chain = connection.get_peer_cert_chain() or []
    store = connection.get_context().get_cert_store()
    try:
        if chain and store:
            crypto.X509StoreContext(store, chain[0], chain[1:]).verify_certificate()
    except crypto.X509StoreContextError as error:
        unknown = "issuer" in str(error) or "self-signed" in str(error)
        return f"{error}{'; --ca FILE names authorities to trust' if unknown else ''}"
    return "OpenSSL does not say why"


def _names(connection: SSL.Connection) -> str:
    chain = connection.get_peer_cert_chain()
    if not chain:
        return "others"
    found = chain[0].to_cryptography().extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return ", ".join(str(name.value) for name in found.value)
