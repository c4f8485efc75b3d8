"""A transport on a real connection, with the reactor's part played by the test."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from twisted.internet import main, tcp
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.core import chores
from relay.net.tcp import SubscriberTransport

ROOM = 16 * 1024
"""Bytes asked for as the kernel's buffers, so that little fills them."""
UNSENT = 256 * 1024
at_once = partial(SubscriberTransport, UNSENT, chores.at_once)


class Collector(Protocol):
    def __init__(self) -> None:
        self.reads: list[bytes] = []
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.reads.append(data)

    def connectionLost(self, reason: Failure = main.CONNECTION_DONE) -> None:  # type: ignore[assignment]
        self.lost = reason


class TransportTests(SynchronousTestCase):
    """`transport` is the relay's end of a TCP connection, `peer` the other."""

    def set_up(
        self,
        make: Callable[..., tcp.Server],
        room: int | None = ROOM,
        between: Callable[[Protocol], Protocol] = lambda protocol: protocol,
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.peer = socket.create_connection(listening.getsockname())
            accepted, address = listening.accept()
        self.addCleanup(self.peer.close)
        self.addCleanup(accepted.close)
        self.peer.settimeout(10)
        if room is not None:
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        self.reactor = MemoryReactorClock()
        self.protocol = Collector()
        above = between(self.protocol)
        self.transport = make(accepted, above, address, None, 1, self.reactor)
        above.makeConnection(self.transport)

    def reset(self) -> None:
        """End the peer's side at once, with unread data or not."""
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.peer.close()

    def received(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self.peer.recv(size - len(data))
        return data
