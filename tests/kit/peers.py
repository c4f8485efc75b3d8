"""Peers of a relay as plain sockets: those that publish, subscribe, read slowly, and leave."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.kit.fakes import frame
from tests.kit.process import DEADLINE, Relay, wait_until

CONNECTED = "subscriber .* connected"


def connection(port: int, source: str = "127.0.0.1") -> socket.socket:
    """A connection to a port of this machine, from one of its addresses. What is sent leaves at once."""
    peer = socket.create_connection(("127.0.0.1", port), DEADLINE, (source, 0))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


@contextmanager
def subscribers(relay: Relay, count: int = 1) -> Iterator[list[socket.socket]]:
    """So many subscribers, which the relay knows of."""
    known = relay.log.count(CONNECTED)
    with ExitStack() as stack:
        peers = [stack.enter_context(connection(relay.subscribe_port)) for _ in range(count)]
        wait_until(lambda: relay.log.count(CONNECTED) >= known + count, f"{count} subscribers are connected")
        yield peers


def receive(peer: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = peer.recv(min(size - len(data), 2**20))
        assert part, f"the connection ended after {len(data)} of {size} bytes"
        data += part
    return bytes(data)


def receive_all(peer: socket.socket) -> bytes:
    """Everything until the connection ends, in order or by a reset."""
    data = bytearray()
    try:
        while part := peer.recv(2**20):
            data += part
    except ConnectionResetError:
        pass
    return bytes(data)


def ends(peer: socket.socket) -> bool:
    """Whether the relay ends a connection before it sends a byte."""
    try:
        return peer.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:  # a reset, or what TLS says of a stream that ends
        return True


def wait_for_message(relay: Relay) -> None:
    """Publish until a new subscriber, who is given it after all others, has a message."""
    with connection(relay.subscribe_port) as last, connection(relay.publish_port) as publisher:
        publisher.sendall(frame(b""))
        receive(last, len(frame(b"")))


def refused(port: int, source: str = "127.0.0.1", says: bytes = b"") -> bool:
    """Whether a new connection, which `says` something first, ends before it is sent anything."""
    try:
        with connection(port, source) as peer:
            peer.sendall(says)
            return ends(peer)
    except (ConnectionResetError, BrokenPipeError):  # perhaps before our own kernel told us that it is there
        return True


MESSAGE = frame(b"m" * 1020)


@contextmanager
def slow_subscriber(relay: Relay) -> Iterator[socket.socket]:
    """One whose own kernel takes little before it reads, so that what it lacks stays with the relay."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        peer.settimeout(DEADLINE)
        known = relay.log.count(CONNECTED)
        peer.connect(("127.0.0.1", relay.subscribe_port))
        wait_until(lambda: relay.log.count(CONNECTED) > known, "the subscriber is connected")
        yield peer


def wait_until_attached(peers: list[socket.socket]) -> None:
    """Until each of the peers has something of the healthy publisher to read."""
    for peer in peers:
        peer.recv(1, socket.MSG_PEEK)
