"""A certificate for the systems that are measured, of an authority that lives for the run alone."""

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

LIFE = timedelta(days=2)  # half of it gone: clocks may be wrong, and a run may take long


@dataclass(frozen=True)
class Certificate:
    """Files, all PEM."""

    authority: Path
    certificate: Path
    key: Path


def make(folder: Path, address: str) -> Certificate:
    """An authority, of which nobody keeps the key, and a certificate that it signs for an IP address."""
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
