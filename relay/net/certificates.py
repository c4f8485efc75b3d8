"""TLS credentials: the certificate that the relay shows, and the authorities that sign the peers' certificates.

Each role has a TLS context that can be replaced at any time: new connections get the new certificate, and existing ones
are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from os.path import abspath
from pathlib import Path
from typing import Any, TypeVar, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from service_identity import VerificationError
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, ISSLTransport, ITransport
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, CertificateOptions, TLSVersion, trustRootFromCertificates
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.config.config import Config, Faults
from relay.core.chores import Lane, at_once
from relay.net.tls import SecureFactory
from relay.wire.printable import escaped

Value = TypeVar("Value")


@dataclass(frozen=True)
class Credentials:
    """What the files of a configuration hold, ready for TLS. All empty without a certificate."""

    publishers: SSL.Context | None = None
    """For the TLS connections of publishers."""
    subscribers: SSL.Context | None = None
    """For the TLS connections of subscribers."""
    name: str = ""
    """For whom the relay's certificate is, and until when."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What the files contain."""


def read_bytes(file: str) -> bytes:
    """What is in a file. Raises OSError."""
    return Path(file).read_bytes()


def load_credentials(config: Config, read: Callable[[str], bytes] = read_bytes) -> Credentials:
    """Read the files that `config` names, with `read`. Raises Faults with everything that is wrong with them."""
    if not config.certificate:
        return Credentials()
    key_file = config.private_key or config.certificate
    faults: list[str] = []
    files: dict[str, bytes] = {}

    def read_once(file: str) -> bytes:
        files[file] = found = files.get(file) or read(file)
        return found

    parsed = partial(load, faults=faults, read=read_once)
    chain = parsed("certificate", config.certificate, x509.load_pem_x509_certificates)
    key = None
    if chain or config.private_key:  # a file that cannot be read is one fault, also where both should be in it
        key = parsed("private-key", key_file, lambda data: load_pem_private_key(data, None))
    publisher_ca = parsed("publisher-ca", config.publisher_ca, x509.load_pem_x509_certificates)
    subscriber_ca = parsed("subscriber-ca", config.subscriber_ca, x509.load_pem_x509_certificates)
    if chain and key and chain[0].public_key() != key.public_key():
        faults.append(
            f"private-key: {abspath(key_file)} does not belong to the certificate in {abspath(config.certificate)}"
        )
    if faults:
        raise Faults(faults)
    assert chain and key
    try:
        return Credentials(
            publishers=_context(chain, key, publisher_ca),
            subscribers=_context(chain, key, subscriber_ca),
            name=f"{_names(chain[0])}, valid until {chain[0].not_valid_after_utc:%Y-%m-%d}",
            files=files,
        )
    except SSL.Error as error:
        raise Faults([f"certificate: {abspath(config.certificate)}: {_reason(error)}"]) from None


def load(
    name: str,
    file: str,
    parse: Callable[[bytes], Value],
    faults: list[str],
    read: Callable[[str], bytes] = read_bytes,
) -> Value | None:
    """The parsed file of the setting `name`. None without a file, or if it is wrong: `faults` then gets a line.

    `parse`: makes the value of the file's bytes, which `read` reads; raises ValueError or TypeError if it cannot.
    """
    if not file:
        return None
    try:
        return parse(read(file))
    except OSError as error:
        faults.append(f"{name}: {abspath(file)}: {error.strerror}")
    except TypeError:
        faults.append(f"{name}: {abspath(file)}: it asks for a password; openssl pkey writes a copy that does not")
    except ValueError as error:
        faults.append(f"{name}: {abspath(file)}: {_missing(name, str(error))}")
    return None


def _missing(name: str, words: str) -> str:
    """What is wrong with the file of the setting `name`. `words`: those of the library that could not parse it."""
    if "PEM" not in words:
        return words
    if name == "private-key":
        return "there is no private key (PEM) in it; one that has a file of its own is given by --private-key"
    return "there is no certificate (PEM) in it"


def _names(certificate: x509.Certificate) -> str:
    """For whom a certificate is: its alternative names (host names, say), or its subject if it has none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return certificate.subject.rfc4514_string()
    return " ".join(str(name.value) for name in names)


def _context(
    chain: list[x509.Certificate], key: PrivateKeyTypes, trusted: list[x509.Certificate] | None
) -> SSL.Context:
    """A context for TLS 1.2 and up, with Twisted's choice of ciphers.

    `chain`: the relay's own certificate first, then the ones above it. `key`: the private key of the first. `trusted`:
    authorities, one of which must have signed the peer's certificate; None to ask peers for none.
    """
    certificate, *rest = map(crypto.X509.from_cryptography, chain)
    root = None
    if trusted is not None:
        root = trustRootFromCertificates([Certificate(crypto.X509.from_cryptography(one)) for one in trusted])
    options = CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(
            cast(Any, key)
        ),  # Any: its type includes kinds that no certificate has
        certificate=certificate,
        extraCertChain=rest,
        raiseMinimumTo=TLSVersion.TLSv1_2,
        trustRoot=root,
    )
    context: SSL.Context = options.getContext()
    context.set_alpn_select_callback(_select_no_protocol)
    return context


def _select_no_protocol(connection: SSL.Connection, offered: list[bytes]) -> Any:  # Any: pyOpenSSL's own mark
    """Answer as a server that does not know ALPN (RFC 7301, section 3.1): the peer may offer what it likes.

    Twisted's own callback asks the connection for an object that ours do not have, and the handshake fails.
    """
    return SSL.NO_OVERLAPPING_PROTOCOLS


@implementer(IOpenSSLServerConnectionCreator)
class RenewableContext:
    """Makes the TLS connections of one role, with whatever context is current."""

    def __init__(self, handshakes: Lane = at_once) -> None:
        """`handshakes`: where handshakes take their turns."""
        self._handshakes = handshakes
        self.context: SSL.Context | None = None
        """May be replaced at any time; existing connections keep the old one. None while this role has no TLS."""

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        assert self.context is not None
        return SSL.Connection(self.context, None)

    def wrap(self, factory: Factory) -> TLSMemoryBIOFactory:
        """A factory for TLS connections that carry the connections of `factory`."""
        return SecureFactory(self, factory, self._handshakes)


def subject(transport: ITransport) -> str:
    """Subject of the certificate that the peer showed, as RFC 4514 writes it; empty if it showed none.

    What does not print is escaped. A subject that cannot be read is shown as its fingerprint.
    """
    shown = cast("crypto.X509 | None", cast(ISSLTransport, transport).getPeerCertificate())
    if shown is None:
        return ""
    try:
        return escaped(shown.to_cryptography().subject.rfc4514_string())
    except (ValueError, TypeError):  # text that is not of the type that it is said to be, or a type that is no text
        return f"SHA256={sha256(crypto.dump_certificate(crypto.FILETYPE_ASN1, shown)).hexdigest()}"


def refused_by_tls(failure: Failure) -> bool:
    """Whether TLS ended a connection, with an error of its own."""
    error = failure.value
    if isinstance(error, VerificationError):
        return True
    return isinstance(error, SSL.Error) and _reason(error) != "the peer closed the connection"


NO_TLS = ("wrong version number", "http request")
"""OpenSSL's words for what is not TLS at all."""


def explain(failure: Failure) -> str:
    """Why a TLS handshake failed, in OpenSSL's words if it has any."""
    if isinstance(failure.value, VerificationError):
        return "the certificate is not for the host that was asked for"
    reason = _reason(failure.value) if isinstance(failure.value, SSL.Error) else "the peer closed the connection"
    return f"{reason}: the peer does not speak TLS" if reason in NO_TLS else reason


def _reason(error: SSL.Error) -> str:
    """The last reason in OpenSSL's queue of errors. Errors of the system and ends of the stream have no queue."""
    errors = error.args[0] if error.args else None
    return str(errors[-1][-1]) if errors and isinstance(errors, list) else "the peer closed the connection"
