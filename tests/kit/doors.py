"""A relay with TLS doors, and connections to them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.process import DEADLINE, Relay


class Doors(Relay):
    """A relay with plain doors and, at `publish_tls_port` and `subscribe_tls_port`, TLS doors."""

    def __init__(self, certificate: Path, *options: str) -> None:
        super().__init__(
            *("--publish-tls", "tcp:0:interface=127.0.0.1", "--subscribe-tls", "tcp:0:interface=127.0.0.1"),
            *("--certificate", str(certificate)),
            *options,
        )
        self.publish_tls_port = int(self.log.wait_for(r"publishers with TLS on 127\.0\.0\.1:(\d+)")[1])
        self.subscribe_tls_port = int(self.log.wait_for(r"subscribers with TLS on 127\.0\.0\.1:(\d+)")[1])


@contextmanager
def dial(port: int, context: ssl.SSLContext, name: str = "localhost") -> Iterator[ssl.SSLSocket]:
    """A connection over TLS to a relay whose certificate has that name."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as plain,
        context.wrap_socket(plain, server_hostname=name) as peer,
    ):
        yield peer
