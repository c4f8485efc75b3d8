"""The header of the PROXY protocol, without a proxy."""

from __future__ import annotations

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from relay.net.haproxy import Header

# The address that the proxy says its client has, and the one at which it says that it was reached.
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 8001\r\n"


class HeaderTests(SynchronousTestCase):
    def test_a_fault_of_ours_behind_a_good_header_is_not_taken_for_a_bad_one(self) -> None:
        class Failing(Protocol):
            def dataReceived(self, data: bytes) -> None:
                raise ValueError("a fault of ours")

        header = Header(WrappingFactory(Factory.forProtocol(Failing)), Failing())
        header.makeConnection(StringTransport())
        with self.assertRaisesRegex(ValueError, "a fault of ours"):
            header.dataReceived(V1 + b"what follows")
