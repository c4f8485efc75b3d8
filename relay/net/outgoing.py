"""Connections that the relay makes: Twisted's client endpoints, with TLS as the settings say.

`tls:HOST:PORT` is checked against `--reach-ca`, shows `--reach-certificate`, and the host has to be the one of the
certificate. What an endpoint says of TLS itself (`certificate=`, `privateKey=`, `trustRoots=`) wins: then it is
Twisted's own.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from dataclasses import dataclass, field
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import crypto
from twisted.internet import error as errors
from twisted.internet.endpoints import HostnameEndpoint, clientFromString, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, TLSVersion, optionsForClientTLS, trustRootFromCertificates
from twisted.python.failure import Failure

from relay.config.config import Config, Faults
from relay.net.certificates import explain, load
from relay.net.listening import keep_alive
from relay.net.transport import AcceptedTransport

PLAIN_PARTS = {"host", "port", "timeout", "bindAddress"}
"""What an endpoint `tls:` may say without saying anything of TLS."""
CONNECT_TIMEOUT = 30.0
"""Seconds that a connection may take to be made; Twisted's own default."""
CLOSED_AT_ONCE = "the other side closed the connection at once: it may be full, or allow other addresses only"
"""What a relay does with those it refuses."""
TLS_WAYS_OUT = (
    ("verify failed", ": it has expired, or no authority that is trusted here has signed it (--reach-ca)"),
    ("certificate required", ": the other side asks for a certificate (--reach-certificate)"),
    ("handshake failure", ": the other side may ask for a certificate (--reach-certificate)"),
    ("alert", ": the other side does not take the certificate that it was shown (--reach-certificate)"),
    ("closed the connection", ": it may not speak TLS"),
)
"""What to do about OpenSSL's words, the first that fit. An alert is what the other side says."""


@dataclass(frozen=True)
class ClientCredentials:
    """What the relay needs for TLS where it is the client."""

    trusted: Any = None  # Any: its interface is Twisted's own business
    """Authorities that sign the certificates of servers; None for those that the system trusts."""
    own: dict[str, Any] = field(default_factory=dict)  # Any: as `optionsForClientTLS` passes them on
    """The certificate to show, with its chain and key; empty to show none."""


def load_client_credentials(config: Config) -> ClientCredentials:
    """Read the files that `config` names. Raises Faults with everything that is wrong with them."""
    faults: list[str] = []
    key_file = config.reach_private_key or config.reach_certificate
    trusted = load("reach-ca", config.reach_ca, x509.load_pem_x509_certificates, faults)
    chain = load("reach-certificate", config.reach_certificate, x509.load_pem_x509_certificates, faults)
    key = load("reach-private-key", key_file, lambda data: load_pem_private_key(data, None), faults)
    if chain and key and chain[0].public_key() != key.public_key():
        faults.append(f"reach-private-key: {key_file} does not belong to the certificate in {config.reach_certificate}")
    if faults:
        raise Faults(faults)
    own = {}
    if chain and key:
        certificate, *rest = map(crypto.X509.from_cryptography, chain)
        own = {
            "privateKey": crypto.PKey.from_cryptography_key(cast(Any, key)),  # Any: see relay.net.certificates
            "certificate": certificate,
            "extraCertChain": rest,
        }
    roots = [Certificate(crypto.X509.from_cryptography(one)) for one in trusted or ()]
    return ClientCredentials(trustRootFromCertificates(roots) if trusted is not None else None, own)


def client_endpoint(reactor: Any, text: str, credentials: ClientCredentials) -> IStreamClientEndpoint:
    """The endpoint that `text`, which must be one, stands for. `reactor`: Any, as no interface has all that it has."""
    parts = _tls_parts(text)
    if parts is None:
        return cast(IStreamClientEndpoint, clientFromString(reactor, text))
    options = optionsForClientTLS(
        parts["host"],
        trustRoot=credentials.trusted,
        extraCertificateOptions={"raiseMinimumTo": TLSVersion.TLSv1_2, **credentials.own},
    )
    address = parts.get("bindAddress")
    below = HostnameEndpoint(
        reactor, parts["host"], int(parts["port"]), float(parts.get("timeout", CONNECT_TIMEOUT)), address
    )
    return wrapClientTLS(options, below)


def _tls_parts(text: str) -> dict[str, str] | None:
    """The parts of an endpoint `tls:` that leaves TLS to us; None if `text` is any other."""
    kind, *parts = [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\):", text)]
    if kind != "tls":
        return None
    found: dict[str, str] = {}
    places = iter(("host", "port"))
    for part in parts:
        name, equals, value = part.partition("=")
        found |= {name: value} if equals else {next(places): part}
    return found if set(found) <= PLAIN_PARTS else None


def unreachable(failure: Failure) -> str:
    """Why a connection could not be made, in words."""
    error = failure.value
    match error:
        case errors.ConnectionRefusedError():
            return "nobody listens there"
        case errors.TimeoutError():
            return "nobody answers"
        case errors.DNSLookupError():
            return f"no address is known for it ({str(error.args[0] if error.args else error).rstrip('.')})"
        case errors.ConnectError(osError=errno.ECONNRESET):
            return CLOSED_AT_ONCE
        case errors.ConnectError(osError=int(number)):
            return os.strerror(number)
    return failure.getErrorMessage().rstrip(".")


def tls_trouble(failure: Failure) -> str:
    """Why there could be no TLS connection, in words, and which option may help."""
    said = explain(failure)
    return said + next((way_out for words, way_out in TLS_WAYS_OUT if words in said), "")


def prepare(transport: AcceptedTransport, keepalive: int) -> None:
    """Prepare a connection that was made: with TCP's keep-alive after `keepalive` seconds of silence, 0 for never.

    Its protocol is not told when the other side ends its half: the connection ends then. A server that ends its half
    is most often one that stops, and if that were seen with the next message only, this message would be lost.
    """
    connected = getattr(transport, "socket", None)
    if isinstance(connected, socket.socket):
        keep_alive(connected, keepalive)


def is_ourselves(transport: AcceptedTransport, accepted: AcceptedTransport) -> bool:
    """Whether a connection that we made is, at its other end, the one that we accepted."""
    here, there = transport.getHost(), accepted.getPeer()
    if getattr(here, "port", None) is not None:
        return bool(here == there)
    name = getattr(transport.getPeer(), "name", None)
    return name is not None and name == getattr(accepted.getHost(), "name", None)
