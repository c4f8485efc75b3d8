"""Who is let in: by address, and by a TLS handshake that is completed in time."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay.core.cursor import Tally
from relay.net.addresses import address_name
from relay.peers.admission import Admission
from relay.peers.connection import Connection
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import Registry
from relay.wire.close_reason import CloseReason
from tests.kit.fakes import said


class Guest(Connection):
    begun = 0

    tally = Tally(0, 0, 0)

    def _begin(self) -> None:
        self.begun += 1

    def _end(self) -> None:
        self._log_end("gone")


class AccessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.registry = Registry("guest", Admission(), RateLimitedLog())
        self.registry.allowed = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))

    def connect(self, address: IAddress) -> Guest:
        guest = Guest(self.registry, address)
        guest.makeConnection(StringTransport(peerAddress=address))
        return guest

    def test_an_address_within_the_networks_may_connect(self) -> None:
        for address in (
            IPv4Address("TCP", "192.0.2.7", 1),
            IPv6Address("TCP", "2001:db8::7", 1),
            IPv6Address("TCP", "::ffff:192.0.2.7", 1),
        ):
            self.assertIsNone(self.connect(address).reason, address)

    def test_another_is_closed_at_once_with_one_line_and_counted(self) -> None:
        for address in (
            IPv4Address("TCP", "198.51.100.7", 1),
            IPv6Address("TCP", "2001:db9::7", 1),
            IPv6Address("TCP", "::ffff:198.51.100.7", 1),
        ):
            with capturedLogs() as events:
                guest = self.connect(address)
            self.assertEqual((guest.reason, guest.begun), (CloseReason.ADDRESS_NOT_ALLOWED, 0))
            [(level, text)] = said(events)
            self.assertIs(level, LogLevel.warn)
            self.assertRegex(str(text), "^guest .* refused: address not allowed$")
            guest.connectionLost()
        self.assertEqual(self.registry.ended, {CloseReason.ADDRESS_NOT_ALLOWED: 3})
        self.assertEqual(self.registry.admission.connections, 0)

    def test_a_unix_socket_has_permissions_instead(self) -> None:
        self.assertIsNone(self.connect(UNIXAddress(b"/run/relay")).reason)

    def test_whom_a_proxy_speaks_for_is_named_behind_it_if_that_is_an_address(self) -> None:
        own = IPv4Address("TCP", "192.0.2.7", 1)
        for carried, name in (
            (own, "192.0.2.7:1"),
            (IPv4Address("TCP", "198.51.100.7", 2), "192.0.2.7:1 for 198.51.100.7:2"),
            (IPv6Address("TCP", "2001:db9::7", 2), "192.0.2.7:1 for [2001:db9::7]:2"),
            (IPv4Address("TCP", "\n2026 a forged line", 2), "192.0.2.7:1"),
        ):
            guest = self.connect(own)
            transport = guest.transport
            assert isinstance(transport, StringTransport)
            transport.peerAddr = carried
            self.assertEqual(guest.peer, name)

    def test_any_address_has_a_name(self) -> None:
        self.assertEqual(address_name(HostnameAddress(b"relay.example", 1)), repr(HostnameAddress(b"relay.example", 1)))

    def test_without_networks_everybody_may(self) -> None:
        self.registry.allowed = ()
        self.assertIsNone(self.connect(IPv4Address("TCP", "198.51.100.7", 1)).reason)
