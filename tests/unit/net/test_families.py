"""IPv4 and IPv6 on one port number."""

from __future__ import annotations

import socket

from twisted.internet.protocol import ServerFactory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relay.net.families import IPv6Port, OwnFamily, ipv4_numbers, needs_own_family


class FamilyTests(SynchronousTestCase):
    def test_a_number_is_found_however_the_endpoint_is_written(self) -> None:
        found = ipv4_numbers(
            (
                "tcp:1",
                "tcp:2:interface=127.0.0.1",
                "tcp:port=3",
                "haproxy:tcp:4",
                "tcp6:5",
                "unix:/6",
                "systemd:domain=INET",
            )
        )
        self.assertEqual(found, {1, 2, 3, 4})

    def test_an_ipv6_port_needs_its_own_family_if_the_number_is_taken(self) -> None:
        for endpoint, needs in (
            *(("tcp6:1", True), ("tcp6:1:interface=\\:\\:1", True), ("haproxy:tcp6:1", True), ("tcp6:port=1", True)),
            *(("tcp6:2", False), ("tcp:1", False), ("unix:/tcp6/1", False), ("tcp6:11", False)),
        ):
            self.assertIs(needs_own_family(endpoint, frozenset({1})), needs, endpoint)

    def test_its_socket_is_for_ipv6_alone(self) -> None:
        port = IPv6Port(0, ServerFactory(), interface="::", reactor=MemoryReactorClock())
        made = port.createInternetSocket()
        self.addCleanup(made.close)
        self.assertEqual(made.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY), 1)

    def test_whatever_else_the_reactor_has_stays(self) -> None:
        reactor = MemoryReactorClock()
        self.assertEqual(OwnFamily(reactor).seconds(), reactor.seconds())
