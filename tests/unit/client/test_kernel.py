"""What the kernel says of sent bytes, over real sockets."""

from __future__ import annotations

import socket
import sys

from twisted.trial.unittest import SynchronousTestCase

from relay.client.kernel import on_its_way


class OnItsWayTests(SynchronousTestCase):
    def setUp(self) -> None:
        if sys.platform != "linux":
            raise self.skipTest("only Linux tells")
        listening = socket.create_server(("127.0.0.1", 0))
        self.here = socket.create_connection(listening.getsockname())
        self.there, _ = listening.accept()
        for one in (listening, self.here, self.there):
            self.addCleanup(one.close)

    def test_a_peer_that_answers_our_end_with_its_own_has_everything(self) -> None:
        self.here.sendall(b"hello")
        self.here.shutdown(socket.SHUT_WR)
        while self.there.recv(5):
            pass
        self.there.close()
        self.assertEqual(self.here.recv(1), b"")
        self.assertEqual(on_its_way(self.here.fileno()), 0)

    def test_what_a_peer_that_has_closed_was_sent_never_arrives(self) -> None:
        self.there.close()
        self.assertEqual(self.here.recv(1), b"")
        self.here.send(b"hello")
        self.assertEqual(on_its_way(self.here.fileno()), 5)

    def test_nobody_knows_it_of_a_closed_socket_or_on_other_systems(self) -> None:
        self.assertIsNone(on_its_way(-1))
        self.patch(sys, "platform", "darwin")
        self.assertIsNone(on_its_way(self.here.fileno()))
