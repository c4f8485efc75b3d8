"""Pairs: what one end sends at once the other reads, and connections come with sockets."""

from __future__ import annotations

import socket

from twisted.internet import main
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.net.pair import PairAddress, PairEndpoint, PairReader, PairSender, adopt, make_pair
from tests.kit.transports import Collector
from tests.kit.workers import SocketReactor, turn


class PairTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = SocketReactor()
        self.addCleanup(self.reactor.close)
        self.one, self.other = make_pair()
        self.addCleanup(self.one.close)
        self.addCleanup(self.other.close)

    def make_reader(self, sock: socket.socket, most: int = 2**18) -> Collector:
        protocol = Collector()
        protocol.makeConnection(PairReader(lambda: most, lambda: None, sock, protocol, "relay", self.reactor))
        return protocol

    def make_sender(self, sock: socket.socket) -> PairSender:
        protocol = Collector()
        sender = PairSender(sock, protocol, "1", self.reactor)
        protocol.makeConnection(sender)
        return sender

    def test_what_is_sent_at_once_is_read_in_pieces_as_large_as_allowed(self) -> None:
        sender, reader = self.make_sender(self.one), self.make_reader(self.other, 1000)
        sender.send(b"x" * 1500)
        turn(self.reactor)
        self.assertEqual([len(one) for one in reader.reads], [1000, 500])

    def test_the_end_of_one_is_the_end_of_the_other(self) -> None:
        sender, reader = self.make_sender(self.one), self.make_reader(self.other)
        sender.connectionLost(Failure(main.CONNECTION_DONE))
        turn(self.reactor)
        self.assertIsNotNone(reader.lost)

    def test_an_end_that_is_found_by_a_read_leaves_nothing_to_write(self) -> None:
        """The reactor asks for both, when a worker is killed that has not read everything."""
        sender = self.make_sender(self.one)
        sender.await_room(None)
        self.other.close()
        sender.doRead()
        self.assertIsNone(sender.doWrite())
        self.assertEqual((self.reactor.getReaders(), self.reactor.getWriters()), ([], []))

    def test_either_end_is_called_as_the_other_process(self) -> None:
        sender = self.make_sender(self.one)
        sender.setTcpNoDelay(True)
        self.assertEqual((repr(sender.getPeer()), repr(sender.getHost())), ("1", "1"))
        self.assertIsInstance(sender.getPeer(), PairAddress)

    def test_an_adopted_socket_belongs_to_the_protocol(self) -> None:
        protocol = Collector()
        adopt(self.one, protocol, self.reactor)
        self.assertEqual(self.one.fileno(), -1)
        self.other.send(b"hello")
        turn(self.reactor)
        self.assertEqual(protocol.reads, [b"hello"])


class EndpointTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = SocketReactor()
        self.addCleanup(self.reactor.close)
        self.endpoint = PairEndpoint(lambda: 2**18, lambda: None, "the relay", self.reactor)
        self.connected: list[IProtocol] = []

    def connect(self) -> None:
        self.endpoint.connect(Factory.forProtocol(Collector)).addCallback(self.connected.append)

    def give(self) -> socket.socket:
        one, other = make_pair()
        self.addCleanup(one.close)
        self.endpoint.give(other)
        return one

    def test_who_connects_waits_for_a_socket(self) -> None:
        self.connect()
        self.assertEqual(self.connected, [])
        far = self.give()
        far.send(b"one")
        turn(self.reactor)
        [protocol] = self.connected
        assert isinstance(protocol, Collector)
        self.assertEqual(protocol.reads, [b"one"])

    def test_a_socket_waits_for_who_connects_and_each_serves_once(self) -> None:
        self.give()
        self.connect()
        self.assertEqual(len(self.connected), 1)
        self.connect()
        self.assertEqual(len(self.connected), 1)
        self.give()
        self.assertEqual(len(self.connected), 2)
