"""The header of the PROXY protocol, without a proxy."""

from __future__ import annotations

from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from relay.net.certificates import RenewableContext
from relay.net.haproxy import Header
from relay.wire.close_reason import CloseReason

# The address that the proxy says its client has, and the one at which it says that it was reached.
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 8001\r\n"
BROKEN = (b"no header at all, but long enough", b"PROXY TCP4 192.0.2.7 198.51.100.1 x y\r\n", b"\r\n\r\n\0\r\nQUIT\n")


class Peer(Protocol):
    """A connection as the relay has them."""

    def __init__(self) -> None:
        self.received = b""
        self.reasons: list[CloseReason] = []

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def abort(self, reason: CloseReason, why: str = "") -> None:
        self.reasons.append(reason)


class HeaderTests(SynchronousTestCase):
    def connect(self, protocol: Protocol) -> Header:
        self.transport = StringTransport()
        header = Header(WrappingFactory(Factory()), protocol)
        header.makeConnection(self.transport)
        return header

    def test_it_is_taken_off(self) -> None:
        peer = Peer()
        self.connect(peer).dataReceived(V1 + b"what follows")
        self.assertEqual((peer.received, peer.reasons), (b"what follows", []))

    def test_a_connection_without_one_ends_with_the_reason(self) -> None:
        for data in BROKEN:
            peer = Peer()
            self.connect(peer).dataReceived(data)
            self.assertEqual((peer.received, peer.reasons), (b"", [CloseReason.BAD_PROXY_HEADER]), data)

    def test_so_does_one_with_tls_inside(self) -> None:
        for data in BROKEN:
            context = RenewableContext()
            context.context = SSL.Context(SSL.TLS_METHOD)
            factory = context.wrap(Factory())
            peer = Peer()
            self.connect(factory.protocol(factory, peer)).dataReceived(data)
            self.assertEqual(peer.reasons, [CloseReason.BAD_PROXY_HEADER], data)

    def test_one_that_keeps_no_reason_is_cut(self) -> None:
        for data in BROKEN:
            self.connect(Protocol()).dataReceived(data)
            self.assertTrue(self.transport.disconnected, data)

    def test_a_fault_of_ours_behind_a_good_header_is_not_taken_for_a_bad_one(self) -> None:
        class Failing(Protocol):
            def dataReceived(self, data: bytes) -> None:
                raise ValueError("a fault of ours")

        header = self.connect(Failing())
        with self.assertRaisesRegex(ValueError, "a fault of ours"):
            header.dataReceived(V1 + b"what follows")
