"""A certificate for the systems that are measured, by an authority that exists only for one run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LIFE = timedelta(days=2)  # it begins a day ago and ends in a day: clocks may be wrong, and a run may take long


@dataclass(frozen=True)
class Certificate:
    """Paths of PEM files."""

    authority: Path
    certificate: Path
    key: Path


def make(folder: Path, address: str) -> Certificate:
    """Write an authority, a certificate that it signed for the IP address `address`, and the certificate's key.

    The authority's own key is not kept.
    """
    files = Certificate(folder / "authority.pem", folder / "certificate.pem", folder / "key.pem")
    theirs, ours = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _sign("the benchmark's authority", theirs, theirs, x509.BasicConstraints(ca=True, path_length=0))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    certificate = _sign("the benchmark", ours, theirs, names)
    files.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    files.key.write_bytes(ours.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def _sign(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    authority: ec.EllipticCurvePrivateKey,
    extension: x509.BasicConstraints | x509.SubjectAlternativeName,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the benchmark's authority")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFE / 2)
        .not_valid_after(now + LIFE / 2)
        .add_extension(extension, critical=True)
        .sign(authority, SHA256())
    )
