"""TLS: the certificate that the relay shows, and those that it wants to see.

A *door* is what connections of one role go through. Its context can be replaced while it is in use: connections that
are made from then on get the new certificate, and those that exist are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, CertificateOptions, TLSVersion, trustRootFromCertificates
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.config.settings import Config, Faults
from relay.net.transport import SecureTransport

Value = TypeVar("Value")


class Credentials:
    """What the files of a configuration hold: a context for each role, if there is a certificate. Raises Faults."""

    def __init__(self, config: Config) -> None:
        self.publishers: SSL.Context | None = None
        self.subscribers: SSL.Context | None = None
        self.name = ""
        """Of the certificate: for whom it is, and until when."""
        if not config.certificate:
            return
        faults: list[str] = []

        def load(name: str, file: str, parse: Callable[[bytes], Value]) -> Value | None:
            try:
                return parse(Path(file).read_bytes())
            except OSError as error:
                faults.append(f"{name}: {file}: {error.strerror}")
            except (ValueError, TypeError) as error:  # TypeError: a key that asks for a password
                faults.append(f"{name}: {file}: {error}")
            return None

        key_file = config.private_key or config.certificate
        chain = load("certificate", config.certificate, x509.load_pem_x509_certificates)
        key = load("private-key", key_file, lambda data: load_pem_private_key(data, None))
        publisher_ca, subscriber_ca = (
            load(name, file, x509.load_pem_x509_certificates) if file else None
            for name, file in (("publisher-ca", config.publisher_ca), ("subscriber-ca", config.subscriber_ca))
        )
        if chain and key and chain[0].public_key() != key.public_key():
            faults.append(f"private-key: {key_file} does not belong to the certificate in {config.certificate}")
        if faults:
            raise Faults(faults)
        assert chain and key
        self.name = f"{_names(chain[0])}, valid until {chain[0].not_valid_after_utc:%Y-%m-%d}"
        try:
            self.publishers = _context(chain, key, publisher_ca)
            self.subscribers = _context(chain, key, subscriber_ca)
        except SSL.Error as error:
            raise Faults([f"certificate: {config.certificate}: {_reason(error)}"]) from None


def _names(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return certificate.subject.rfc4514_string()
    return " ".join(str(name.value) for name in names)


def _context(
    chain: list[x509.Certificate], key: PrivateKeyTypes, trusted: list[x509.Certificate] | None
) -> SSL.Context:
    """TLS 1.2 and up, with Twisted's choice of ciphers; peers must have a certificate that one of `trusted` signed."""
    certificate, *rest = map(crypto.X509.from_cryptography, chain)
    root = None
    if trusted is not None:
        root = trustRootFromCertificates([Certificate(crypto.X509.from_cryptography(one)) for one in trusted])
    options = CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(key),  # type: ignore[arg-type]  # one that a certificate can have
        certificate=certificate,
        extraCertChain=rest,
        raiseMinimumTo=TLSVersion.TLSv1_2,
        trustRoot=root,
    )
    context: SSL.Context = options.getContext()
    return context


@implementer(IOpenSSLServerConnectionCreator)
class Door:
    """Makes the TLS connections of one role."""

    def __init__(self) -> None:
        self.context: SSL.Context | None = None
        """May be replaced at any time; who is connected keeps the old one. None: nobody connects here."""

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        assert self.context is not None
        return SSL.Connection(self.context, None)

    def before(self, factory: Factory) -> TLSMemoryBIOFactory:
        """A factory for connections that go through this door to those of `factory`."""
        made = TLSMemoryBIOFactory(self, False, factory)
        made.protocol = SecureTransport  # the default waits for more to write, and ours come in large pieces
        return made


def subject(transport: object) -> str:
    """Whom the certificate is for that a peer showed, as in RFC 4514; empty if it showed none."""
    certificate: crypto.X509 | None = transport.getPeerCertificate()  # type: ignore[attr-defined]  # TLS has it
    return "" if certificate is None else certificate.to_cryptography().subject.rfc4514_string()


def explain(failure: Failure) -> str:
    """Why a handshake failed, in OpenSSL's words where it has any."""
    return _reason(failure.value) if isinstance(failure.value, SSL.Error) else "the peer closed the connection"


def _reason(error: SSL.Error) -> str:
    errors = error.args[0] if error.args else []
    return str(errors[-1][-1]) if errors else "the peer closed the connection"
