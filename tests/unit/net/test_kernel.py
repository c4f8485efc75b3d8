"""What the kernel says of connections over real sockets."""

from __future__ import annotations

import contextlib
import socket
import sys
from types import SimpleNamespace
from typing import cast

from relay.net.kernel import failed, hung_up, unsent
from relay.net.transport import AcceptedTransport
from tests.kit.transports import ROOM, TransportTests, at_once


class UnsentTests(TransportTests):
    def fill(self) -> int:
        """Fill the kernel's buffers with all that it takes; returns what there is to read then."""
        if sys.platform != "linux":
            raise self.skipTest("only Linux tells")
        with contextlib.suppress(BlockingIOError):
            while True:
                self.transport.send(b"x" * 2**20)  # type: ignore[attr-defined]
        return unsent(self.transport)

    def test_it_gets_smaller_when_the_peer_reads(self) -> None:
        self.set_up(at_once)
        before = self.fill()
        while unsent(self.transport) == before:
            self.peer.recv(ROOM)
        self.assertLess(unsent(self.transport), before)

    def test_it_stays_where_it_is_while_the_peer_does_not(self) -> None:
        self.set_up(at_once)
        before = self.fill()
        self.assertEqual([unsent(self.transport) for _ in range(100)], [before] * 100)

    def test_it_is_nothing_where_it_cannot_be_known(self) -> None:
        self.assertEqual(unsent(cast(AcceptedTransport, object())), 0)

    def test_it_is_nothing_on_other_systems(self) -> None:
        self.set_up(at_once)
        self.patch(sys, "platform", "darwin")
        self.assertEqual(unsent(self.transport), 0)


class FailedTests(TransportTests):
    def test_a_reset_shows_without_a_read_or_a_write(self) -> None:
        self.set_up(at_once)
        self.peer.shutdown(socket.SHUT_WR)
        self.assertFalse(failed(self.transport))
        self.reset()
        self.assertTrue(failed(self.transport))


class HungUpTests(TransportTests):
    def pair(self) -> tuple[AcceptedTransport, socket.socket]:
        """The relay's end of a Unix socket, and its peer's."""
        ours, peer = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(peer.close)
        return cast(AcceptedTransport, SimpleNamespace(socket=ours, fileno=ours.fileno)), peer

    def test_who_closed_a_unix_socket_hung_up_and_who_closed_a_half_did_not(self) -> None:
        transport, peer = self.pair()
        self.assertFalse(hung_up(transport))
        peer.shutdown(socket.SHUT_WR)
        self.assertFalse(hung_up(transport))
        peer.close()
        self.assertTrue(hung_up(transport))
