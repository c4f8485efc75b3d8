"""Channels: messages and sockets go from one process to the other."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from relay.net.pair import make_pair
from relay.workers.messages import Ask, Connect, Ready
from tests.kit.workers import SocketReactor, Told, turn


class ChannelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = SocketReactor()
        self.addCleanup(self.reactor.close)
        one, other = make_pair()
        self.one, self.other = Told(one, self.reactor), Told(other, self.reactor)

    def given(self) -> tuple[socket.socket, socket.socket]:
        """A socket that was given away, and the one that it is connected to."""
        near, far = make_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        self.one.channel.send_socket(far)
        return far, near

    def test_messages_come_in_order_both_ways(self) -> None:
        self.one.channel.tell(Ask(1))
        self.one.channel.tell(Ask(2))
        self.other.channel.tell(Ready())
        turn(self.reactor)
        self.assertEqual(self.other.take(), [Ask(1), Ask(2)])
        self.assertEqual(self.one.take(), [Ready()])

    def test_a_socket_comes_with_the_message_that_says_so(self) -> None:
        _, near = self.given()
        turn(self.reactor)
        self.assertEqual(self.other.take(), [Connect()])
        [came] = self.other.channel.sockets
        self.addCleanup(came.close)
        near.send(b"hello")
        self.assertEqual(came.recv(5), b"hello")
        self.assertFalse(came.getblocking())

    def test_a_socket_is_kept_until_the_other_process_has_it(self) -> None:
        given, _ = self.given()
        turn(self.reactor)
        self.assertNotEqual(given.fileno(), -1)
        self.one.channel.forget_sockets()
        self.assertEqual(given.fileno(), -1)
        for came in self.other.channel.sockets:
            came.close()

    def test_when_one_process_is_gone_the_other_is_told_once_and_nothing_is_said_any_more(self) -> None:
        given, _ = self.given()
        assert self.other.channel.transport is not None
        self.other.channel.transport.loseConnection()
        turn(self.reactor)
        self.assertEqual(self.one.gone, 1)
        self.assertEqual(given.fileno(), -1)
        self.one.channel.tell(Ask(1))
        late, _ = self.given()
        self.assertEqual(late.fileno(), -1)
