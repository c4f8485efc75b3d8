"""Subscribers that read when a test says so, and what is published meanwhile: far more than a small buffer holds."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from tests.kit.fakes import frame
from tests.kit.peers import connection
from tests.kit.process import Relay, roomy
from tests.kit.session_wires import READ, TcpWire

COUNT = 200
SIZE = 30_000
"""Messages, and bytes of each."""
LITTLE = 16 * 1024
"""Bytes that the kernel of a slow subscriber takes before it reads."""


def message(number: int) -> bytes:
    return number.to_bytes(4) + bytes(SIZE)


@contextmanager
def publishing(relay: Relay) -> Iterator[Future[None]]:
    """All messages are published meanwhile; the result comes when the relay has read them."""

    def publish() -> None:
        with connection(relay.publish_port) as publisher:
            for number in range(COUNT):
                publisher.sendall(frame(message(number)))
            publisher.shutdown(socket.SHUT_WR)
            assert publisher.recv(1) == b""

    with ThreadPoolExecutor() as pool:
        yield pool.submit(publish)


class Slow:
    """A subscriber that reads when the test says so. `numbers`: of its messages. `lost`: what it was told it lacks."""

    def __init__(self, relay: Relay, session: bool, stack: ExitStack) -> None:
        known, begun = len(relay.log.find("subscriber .* connected")), len(relay.log.find("begins a session"))
        self.peer = stack.enter_context(roomy(relay.subscribe_port, LITTLE))
        self.numbers: list[int] = []
        self.lost: list[tuple[int, int]] = []
        """How many, and the number of the first message that follows."""
        self.bye = ""
        self._wire = TcpWire()
        self._begin: int | None = None  # position of the message 0
        self._session = session
        if session:
            self.peer.sendall(self._wire.hello())
            relay.log.wait_for("begins a session", begun + 1)
        relay.log.wait_for("subscriber .* connected", known + 1)

    def read(self, size: int = READ) -> bool:
        """Read once, so many bytes at most; False at the end."""
        try:
            data = self.peer.recv(size)
        except ConnectionResetError:
            return False
        for part in self._wire.receive(data):
            if isinstance(part, bytes):
                assert part == message(int.from_bytes(part[:4])), "no whole message"
                self.numbers.append(int.from_bytes(part[:4]))
            elif part["type"] == "welcome":
                self._begin = int(part["next"].partition("-")[2])
            elif part["type"] == "gap":
                assert self._begin is not None
                self.lost.append((part["lost"], int(part["next"].partition("-")[2]) - self._begin))
            elif part["type"] == "bye":
                self.bye = part["reason"]
        return bool(data)

    def read_until(self, number: int) -> None:
        while not self.numbers or self.numbers[-1] != number:
            assert self.read(), f"it ended after {self.numbers[-1:]}"
