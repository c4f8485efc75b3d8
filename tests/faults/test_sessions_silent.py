"""Peers without sessions: they see the same bytes in the same order, whatever sessions there are beside them."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from struct import pack

import pytest

from tests.kit.peers import connection, receive
from tests.kit.process import Relay
from tests.kit.session_peers import sized
from tests.kit.session_wires import READ, TcpWire, control

PIECES = [b"".join(pack("!I", len(sized(n))) + sized(n) for n in range(at, at + 10)) for at in range(1, 2001, 10)]
"""What is published, piece by piece: 2,000 messages, some 220 KB."""
EVERY = 0.02
"""Seconds between two pieces: 4 seconds in all, long enough for heartbeats."""


class Session:
    """A connection with a session that is read in the end."""

    def __init__(self, peer: socket.socket, role: str, name: str = "") -> None:
        peer.sendall(control(relay=1, type=role, heartbeat=1, name=name))
        self._peer = peer
        self._wire = TcpWire()
        self.came: Counter[str] = Counter()
        """How many of each type of control frame, and of messages, have come."""

    def read(self, what: str, count: int = 1) -> None:
        """Read until there have been so many of them."""
        while self.came[what] < count:
            data = self._peer.recv(READ)
            assert data, f"the connection ended before {what}"
            for part in self._wire.receive(data):
                self.came[part["type"] if isinstance(part, dict) else "message"] += 1


@contextmanager
def sessions(relay: Relay, each: int) -> Iterator[list[Session]]:
    """So many subscribers and so many publishers with sessions, all welcomed, half of the publishers with a name."""
    with ExitStack() as stack:
        found = []
        for number in range(each):
            subscriber = stack.enter_context(connection(relay.subscribe_port))
            publisher = stack.enter_context(connection(relay.publish_port))
            found.append(Session(subscriber, "subscribe"))
            found.append(Session(publisher, "publish", f"sensor-{number}" if number % 2 else ""))
        for one in found:
            one.read("welcome")
        yield found


def seen_by_silent_peers(each: int) -> tuple[bytes, bytes, bytes]:
    """What two silent subscribers and a silent publisher are sent beside `each` sessions of both roles.

    One subscriber connects before the sessions, the other behind them.
    """
    size = sum(map(len, PIECES))
    with Relay() as relay, connection(relay.subscribe_port) as first, connection(relay.publish_port) as publisher:
        relay.log.wait_for("subscriber .* connected")
        with sessions(relay, each) as beside, connection(relay.subscribe_port) as last:
            if each:  # who is welcomed connected behind it
                with connection(relay.subscribe_port) as newer:
                    Session(newer, "subscribe").read("welcome")
            else:
                relay.log.wait_for("subscriber .* connected", 2)
            for piece in PIECES:
                publisher.sendall(piece)
                time.sleep(EVERY)
            silent = receive(first, size), receive(last, size)
            for one in beside:
                one.read("heartbeat", 3)
            for one in beside[::2]:
                one.read("message", 10 * len(PIECES))
            for peer in (first, last):
                peer.setblocking(False)
                with pytest.raises(BlockingIOError):
                    peer.recv(1)
        publisher.shutdown(socket.SHUT_WR)
        return *silent, publisher.recv(1)


def test_a_hundred_sessions_do_not_change_a_byte_of_what_silent_peers_are_sent() -> None:
    published = b"".join(PIECES)
    alone, beside = seen_by_silent_peers(0), seen_by_silent_peers(50)
    assert alone == (published, published, b"")
    assert beside == alone
