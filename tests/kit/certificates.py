"""Certificates for tests, each in a file, made by trustme: an authority, and what it signs."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
"""The algorithm of a signature, as DER (RFC 5758, section 3.2)."""
UTF8_STRING, BIT_STRING, SEQUENCE = 0x0C, 0x03, 0x30
"""Tags of DER."""


class Authority:
    """An authority of our own; its certificate is in the file `ca`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = name
        self._made = 0
        self._authority = trustme.CA()
        self.ca = folder / f"{name}.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))

    def issue(self, *names: str, since: datetime | None = None, until: datetime | None = None) -> Path:
        """A certificate for these names, with its chain and its key in one file."""
        self._made += 1
        names = names or ("localhost", "127.0.0.1")
        issued = self._authority.issue_cert(*names, not_before=since, not_after=until)
        file = self._folder / f"{self._name}-{self._made}.pem"
        file.write_bytes(issued.private_key_pem.bytes() + b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return file

    def issue_odd(self, tag: int, value: bytes) -> Path:
        """A certificate whose subject is a common name of any type, with any bytes in it, which no library makes."""
        self._made += 1
        authority_key = serialization.load_pem_private_key(self._authority.private_key_pem.bytes(), None)
        authority = x509.load_pem_x509_certificate(self._authority.cert_pem.bytes())
        key = ec.generate_private_key(ec.SECP256R1())
        now, placeholder = datetime.now(UTC), "x" * len(value)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, placeholder)])
        usual = (
            x509.CertificateBuilder(authority.subject, subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(cast(ec.EllipticCurvePrivateKey, authority_key), SHA256())
        )
        plain = _der(UTF8_STRING, placeholder.encode())
        body = usual.tbs_certificate_bytes
        assert body.count(plain) == 1
        body = body.replace(plain, _der(tag, value))
        signature = cast(ec.EllipticCurvePrivateKey, authority_key).sign(body, ec.ECDSA(SHA256()))
        made = _der(SEQUENCE, body + ECDSA_WITH_SHA256 + _der(BIT_STRING, b"\0" + signature))
        file = self._folder / f"{self._name}-{self._made}.pem"
        file.write_bytes(
            ssl.DER_cert_to_PEM_cert(made).encode()
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return file

    def client(self, certificate: Path | None = None) -> ssl.SSLContext:
        """What a client uses that trusts this authority, and shows that certificate."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if certificate is not None:
            context.load_cert_chain(str(certificate))
        return context


def _der(tag: int, value: bytes) -> bytes:
    """A value as DER."""
    size = len(value)
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, size] if size < 128 else [tag, 128 + len(digits), *digits]) + value
