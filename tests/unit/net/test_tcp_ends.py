"""The ends of connections by TCP, which wait for their turn, over real sockets."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import directlyProvides

from relay.core.chores import Chore
from relay.net.tcp import SMALL_READ, PublisherTransport, SubscriberTransport
from tests.kit.transports import UNSENT, TransportTests


class EndingTests(TransportTests):
    """The end of a subscriber's connection, found by a read; it waits in a lane until the test says that it is due."""

    def setUp(self) -> None:
        self.waiting: list[Chore] = []
        self.set_up(lambda *args: self.make(self.lane, *args))

    def make(self, *args: Any) -> tcp.Server:  # Any: what Twisted passes
        return SubscriberTransport(UNSENT, *args)

    def lane(self, chore: Chore) -> bool:
        self.waiting.append(chore)
        return False

    def read(self) -> None:
        """What the reactor does when there is something to be read."""
        self.assertIsNone(self.transport.doRead())
        self.assertNotIn(self.transport, self.reactor.getReaders())

    def take_turn(self) -> None:
        self.waiting.pop()()
        self.assertEqual(self.waiting, [], "there was one end")

    def tell_of_halves(self) -> list[str]:
        """Have the protocol be told of the end of the peer's half; returns what it is told."""
        halves: list[str] = []
        self.protocol.readConnectionLost = lambda: halves.append("read")  # type: ignore[attr-defined]
        directlyProvides(self.protocol, IHalfCloseableProtocol)
        return halves

    def test_the_end_of_the_stream_is_the_end_when_it_is_its_turn(self) -> None:
        self.peer.close()
        self.read()
        self.assertIsNone(self.protocol.lost)
        self.take_turn()
        assert self.protocol.lost is not None
        self.assertTrue(self.protocol.lost.check(ConnectionDone))

    def test_a_reset_is_a_lost_connection(self) -> None:
        self.reset()
        self.read()
        self.take_turn()
        assert self.protocol.lost is not None
        self.assertTrue(self.protocol.lost.check(ConnectionLost))

    def test_who_is_not_read_and_whom_the_reactor_finds_gone_ends_when_it_is_its_turn_too(self) -> None:
        self.transport.pauseProducing()
        self.reset()
        for _ in range(2):
            self.transport.connectionLost(Failure(ConnectionLost()))  # as the reactor does, without a read
        self.assertIsNone(self.protocol.lost)
        self.take_turn()
        assert self.protocol.lost is not None
        self.assertTrue(self.protocol.lost.check(ConnectionLost))

    def test_one_that_ended_its_half_and_is_lost_before_its_turn_is_told_of_both(self) -> None:
        halves = self.tell_of_halves()
        self.peer.shutdown(socket.SHUT_WR)
        self.read()
        self.transport.connectionLost(Failure(ConnectionLost()))
        self.take_turn()
        assert self.protocol.lost is not None
        self.assertEqual((halves, bool(self.protocol.lost.check(ConnectionLost))), (["read"], True))

    def test_who_is_cut_by_us_has_had_its_turn(self) -> None:
        self.transport.abortConnection()
        self.reactor.advance(0)
        self.assertEqual((self.waiting, self.protocol.lost is not None), ([], True))

    def test_one_that_is_read_again_until_then_ends_once(self) -> None:
        self.peer.close()
        for _ in range(2):
            self.transport.resumeProducing()
            self.read()
        self.take_turn()
        self.assertIsNotNone(self.protocol.lost)

    def test_one_that_is_cut_until_then_is_not_ended_again(self) -> None:
        self.peer.close()
        self.read()
        self.transport.abortConnection()
        self.reactor.advance(0)
        lost = self.protocol.lost
        self.assertIsNotNone(lost)
        self.take_turn()
        self.assertIs(self.protocol.lost, lost)

    def test_the_end_of_the_peer_s_half_alone_is_told(self) -> None:
        halves = self.tell_of_halves()
        self.peer.shutdown(socket.SHUT_WR)
        self.read()
        self.assertEqual(halves, [])
        self.take_turn()
        self.assertEqual((halves, self.protocol.lost), (["read"], None))


class PublishersEndingTests(EndingTests):
    def make(self, *args: Any) -> tcp.Server:  # Any: as above
        return PublisherTransport(lambda: SMALL_READ, lambda: None, *args)
