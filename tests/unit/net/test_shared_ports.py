"""Shared ports: one process makes the sockets, another accepts on them, and nobody is refused in between."""

from __future__ import annotations

import os
import socket

from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from relay.net.shared_ports import Inheriting, Reserved, ReservedPort, Reserving
from tests.kit.transports import Collector
from tests.kit.workers import SocketReactor, turn


class SharedPortTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = SocketReactor()
        self.addCleanup(self.reactor.close)

    def reserve(self, endpoint: str, count: int, only_ipv6: bool = False) -> list[ReservedPort]:
        reserving = Reserving(self.reactor, count, only_ipv6)
        serverFromString(reserving, endpoint).listen(Reserved())
        for port in reserving.made:
            self.addCleanup(port.socket.close)
        return reserving.made

    def connect(self, port: ReservedPort) -> None:
        peer = socket.create_connection(("127.0.0.1", port.getHost().port), timeout=10)
        self.addCleanup(peer.close)

    def test_all_have_the_number_that_the_system_chose_for_the_first(self) -> None:
        made = self.reserve("tcp:0:interface=127.0.0.1", 3)
        self.assertEqual(len(made), 3)
        self.assertEqual(len({port.getHost().port for port in made}), 1)

    def test_a_port_that_another_relay_has_is_taken_however_many_it_may_be_shared_by(self) -> None:
        for kind, host in (("tcp", "127.0.0.1"), ("tcp6", "\\:\\:1")):
            [first, _] = self.reserve(f"{kind}:0:interface={host}", 2)
            taken = f"{kind}:{first.getHost().port}:interface={host}"
            failed = serverFromString(Reserving(self.reactor, 2), taken).listen(Reserved())
            self.failureResultOf(failed, CannotListenError)

    def test_nothing_is_accepted_on_them_and_nobody_is_refused(self) -> None:
        [port] = self.reserve("tcp:0:interface=127.0.0.1", 1)
        self.connect(port)
        self.assertEqual(self.reactor.getReaders(), [])

    def test_who_inherits_one_accepts_those_who_waited(self) -> None:
        [port] = self.reserve("tcp:0:interface=127.0.0.1", 1)
        self.connect(port)
        inheriting, accepted = Inheriting(self.reactor, [os.dup(port.fileno())]), []

        class Accepting(Collector):
            def connectionMade(self) -> None:
                accepted.append(self)

        serverFromString(inheriting, "tcp:1").listen(Factory.forProtocol(Accepting))
        turn(self.reactor, times=1)
        self.assertEqual(len(accepted), 1)

    def test_when_the_first_is_closed_nobody_can_connect_to_any(self) -> None:
        made = self.reserve("tcp:0:interface=127.0.0.1", 3)
        address = ("127.0.0.1", made[0].getHost().port)
        made[0].stopListening()
        self.reactor.advance(0)
        for _ in range(5):
            self.assertRaises(ConnectionRefusedError, socket.create_connection, address)

    def test_a_port_that_was_inherited_and_is_closed_leaves_no_descriptor_behind(self) -> None:
        [port] = self.reserve("tcp:0:interface=127.0.0.1", 1)
        descriptor = os.dup(port.fileno())
        inherited = Inheriting(self.reactor, [descriptor]).listenTCP(1, Factory.forProtocol(Collector))
        self.assertRaises(OSError, os.fstat, descriptor)
        inherited.stopListening()
        self.reactor.advance(0)

    def test_ipv6_alone_where_ipv4_has_the_number(self) -> None:
        for only in (True, False):
            [port] = self.reserve("tcp6:0", 1, only)
            self.assertEqual(port.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY), only)

    def test_whatever_else_the_reactor_has_stays(self) -> None:
        self.assertEqual(Reserving(self.reactor, 1).seconds(), self.reactor.seconds())
        self.assertEqual(Inheriting(self.reactor, []).seconds(), self.reactor.seconds())
