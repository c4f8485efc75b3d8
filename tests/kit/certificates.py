"""Certificates for tests, each in a file, made by trustme: an authority, and what it signs."""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path

import trustme


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

    def client(self, certificate: Path | None = None) -> ssl.SSLContext:
        """What a client uses that trusts this authority, and shows that certificate."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if certificate is not None:
            context.load_cert_chain(str(certificate))
        return context
