"""Connections of publishers and subscribers, over Twisted's transport for tests."""

from __future__ import annotations

import socket

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress, ISSLTransport
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from relay.core.budget import Budget
from relay.core.hub import Hub
from relay.core.log import Log
from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.peers.intake import Intake
from relay.peers.publisher import Publisher, PublisherFactory
from relay.peers.subscriber import Subscriber, SubscriberFactory
from relay.wire.counted import Int32
from tests.kit.fakes import FakeIntake, Turns, accepted, frames

PEER = IPv4Address("TCP", "192.0.2.1", 40001)
HELD = 64 * 1024
"""Bytes above which Twisted's own transports say pause."""


class FakeSocket:
    """A socket whose kernel has given up its connection for `error`; 0 while it has not."""

    family = socket.AF_UNIX
    error = 0
    asked = 0
    """How often it was asked for that."""

    def getsockopt(self, level: int, option: int) -> int:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR)
        self.asked += 1
        return self.error


class FakeTransport(StringTransport):
    """Says pause inside `write` once it holds more than Twisted's own do, as those do, and again after it."""

    def __init__(self, peer: IAddress | None = PEER, tls: bool = False) -> None:
        """`tls`: whether it is one of TLS, whose handshake is complete when the test says so."""
        super().__init__(peerAddress=peer, lenient=True)
        self.delays = True
        self.half_closed = False
        self.full = False
        """Whether it says pause whatever it is given."""
        self.held = 0
        """Bytes that the peer has not taken."""
        self.most = 0
        self.aborted = 0
        """How often it was cut."""
        self.socket = FakeSocket()
        if tls:
            alsoProvides(self, ISSLTransport)

    def fileno(self) -> int:
        return -1

    def write(self, data: bytes) -> None:
        super().write(data)
        self.held += len(data)
        self.most = max(self.most, self.held)
        if (self.full or self.held > HELD) and self.producer is not None:
            self.producer.pauseProducing()

    def drain(self) -> None:
        """The peer takes everything."""
        self.held = 0
        assert self.producer is not None
        self.producer.resumeProducing()

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.delays = not enabled

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        super().abortConnection()
        self.aborted += 1

    def getPeerCertificate(self) -> None:
        """Nobody shows one."""


class PublisherCase(SynchronousTestCase):
    """A hub that publishers connect to; a message has 40 bytes at most."""

    def setUp(self) -> None:
        self.now = 0.0
        self.turns = Turns()
        self.intake = Intake(lambda: self.now)
        self.hub = self.make_hub()
        self.log = self.hub.log
        self.factory = PublisherFactory(accepted("publisher"), self.hub, self.intake, lambda: Int32(40))

    def make_hub(self) -> Hub:
        return Hub(Log(Int32.ends), Budget(2**20), self.intake, call_soon=self.turns.call_soon, clock=lambda: self.now)

    def connect(self, tls: bool = False) -> tuple[Publisher, FakeTransport]:
        publisher, transport = self.factory.buildProtocol(PEER), FakeTransport(tls=tls)
        publisher.makeConnection(transport)
        return publisher, transport


class SubscriberCase(SynchronousTestCase):
    """A hub that subscribers connect to."""

    make_transport: type[FakeTransport] = FakeTransport

    def setUp(self) -> None:
        self.now = 0.0
        self.start()

    def start(
        self, limit: int = 2**20, slow: SlowPolicy = SLOW_POLICIES["disconnect"], stall_timeout: float = 2.0
    ) -> None:
        """Begin anew, with such a buffer, policy and stall timeout."""
        self.turns = Turns()
        self.hub = Hub(
            Log(Int32.ends),
            Budget(limit),
            FakeIntake(),
            call_soon=self.turns.call_soon,
            clock=lambda: self.now,
            stall_timeout=stall_timeout,
            slow=slow,
        )
        self.factory = SubscriberFactory(accepted("subscriber"), self.hub, "tcp:8001")

    def connect(self, address: IAddress | None = PEER, tls: bool = False) -> tuple[Subscriber, FakeTransport]:
        subscriber, transport = self.factory.buildProtocol(address), self.make_transport(address, tls)
        subscriber.makeConnection(transport)
        return subscriber, transport

    def publish(self, *messages: bytes) -> None:
        """One read, and its turn."""
        self.hub.publish(frames(*messages))
        self.turns.run()
