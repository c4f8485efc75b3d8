"""Ports that listen: of which class their connections are, how many wait, and what happens without room."""

from __future__ import annotations

import os
import resource
import socket
from errno import EMFILE, ENFILE
from typing import cast

from twisted.internet import main, tcp, unix
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.net.listening import BACKLOG, MAX_ACCEPTS, STEP, TCP_KEEPIDLE, ListeningSocket, equip
from relay.net.tcp import SubscriberTransport
from tests.kit.folders import temporary_folder
from tests.kit.transports import Collector, at_once


class EquipTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.exhausted: list[OSError] = []

    def listen(self, port: tcp.Port) -> tcp.Port:
        port.startListening()
        self.addCleanup(port.connectionLost, Failure(main.CONNECTION_DONE))
        return port

    def equipped(self, keepalive: int = 60) -> tcp.Port:
        port = self.listen(tcp.Port(0, Factory.forProtocol(Collector), interface="127.0.0.1", reactor=self.reactor))
        equip(port, transport=at_once, keepalive=keepalive, exhausted=self.exhausted.append)
        return port

    def connect(self, port: tcp.Port) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", port.getHost().port), timeout=10)
        self.addCleanup(peer.close)
        return peer

    def accept(self, port: tcp.Port) -> SubscriberTransport:
        self.connect(port)
        port.doRead()
        [transport] = [one for one in self.reactor.getReaders() if one is not port]
        self.addCleanup(transport.connectionLost, Failure(main.CONNECTION_DONE))
        assert isinstance(transport, SubscriberTransport)
        return transport

    def test_a_tcp_port_accepts_with_the_class_given(self) -> None:
        self.accept(self.equipped())

    def test_a_storm_is_accepted_in_several_turns(self) -> None:
        port = self.equipped()
        for _ in range(MAX_ACCEPTS + 10):
            self.connect(port)
        accepted = []
        for _ in range(MAX_ACCEPTS):
            port.doRead()
            accepted.append(len(self.reactor.getReaders()))
        for one in self.reactor.getReaders():
            if isinstance(one, SubscriberTransport):
                one.connectionLost(Failure(main.CONNECTION_DONE))
        self.assertTrue(STEP <= accepted[0] <= MAX_ACCEPTS + 1, accepted)
        self.assertGreaterEqual(accepted[-1], MAX_ACCEPTS + 10)

    def test_more_connections_may_wait_than_twisted_asks_for(self) -> None:
        port = self.equipped()
        with open("/proc/sys/net/core/somaxconn") as limit:
            most = min(BACKLOG, int(limit.read()))
        waiting = [self.connect(port) for _ in range(min(most, 200))]
        self.assertGreater(len(waiting), 50)

    def test_the_kernel_asks_whether_silent_peers_are_still_there(self) -> None:
        def option(transport: SubscriberTransport, level: int, name: int) -> int:
            return transport.socket.getsockopt(level, name)

        transport = self.accept(self.equipped(keepalive=90))
        self.assertEqual(option(transport, socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
        self.assertEqual(option(transport, socket.IPPROTO_TCP, TCP_KEEPIDLE), 90)
        self.assertEqual(option(transport, socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 10)
        self.assertEqual(option(transport, socket.IPPROTO_TCP, socket.TCP_KEEPCNT), 6)

    def test_it_does_not_if_nobody_wants_it(self) -> None:
        port = self.equipped(keepalive=0)
        self.assertEqual(port.fileno(), port.socket.fileno())
        transport = self.accept(port)
        self.assertEqual(transport.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 0)

    def test_it_waits_when_the_system_has_no_room_for_a_connection(self) -> None:
        port = self.equipped()
        self.connect(port)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            port.doRead()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual([error.errno for error in self.exhausted], [EMFILE])
        self.assertNotIn(port, self.reactor.getReaders())
        self.reactor.advance(1.0)
        self.assertIn(port, self.reactor.getReaders())
        port.doRead()
        [transport] = [one for one in self.reactor.getReaders() if one is not port]
        transport.connectionLost(Failure(main.CONNECTION_DONE))

    def test_a_port_that_was_closed_meanwhile_is_not_tried_again(self) -> None:
        port = tcp.Port(0, Factory(), interface="127.0.0.1", reactor=self.reactor)
        port.startListening()
        equip(port, transport=at_once, keepalive=0, exhausted=self.exhausted.append)
        cast(ListeningSocket, port.socket).exhausted(OSError(ENFILE, "too many"))
        port.connectionLost(Failure(main.CONNECTION_DONE))
        self.reactor.advance(1.0)
        self.assertEqual(self.reactor.getReaders(), [])

    def test_other_failures_are_twisted_s_to_handle(self) -> None:
        listening = ListeningSocket()
        self.addCleanup(listening.close)
        self.assertRaises(OSError, listening.accept)

    def test_a_unix_socket_keeps_its_own(self) -> None:
        folder = temporary_folder(self)
        port = self.listen(unix.Port(f"{folder}/port".encode(), Factory(), reactor=self.reactor))
        own = port.transport
        equip(port, transport=at_once, keepalive=60, exhausted=self.exhausted.append)
        self.assertIs(port.transport, own)

    def test_what_is_no_tcp_port_is_left_alone(self) -> None:
        port = self.reactor.listenTCP(1, Factory())
        equip(port, transport=at_once, keepalive=60, exhausted=self.exhausted.append)
        self.assertFalse(hasattr(port, "transport"))
