"""Who looks at the status page: each is sent the same, once a second, whatever the traffic."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.core.timing import SWEEP, Every
from relay.net.transport import AcceptedTransport
from relay.wire.events import chunk

PATIENCE = 30
"""Updates that may be left out because one does not take them, until it is cut."""


@implementer(IPushProducer)
class Viewer(Protocol):
    """A browser that shows the status page."""

    link: AcceptedTransport
    """The transport, as all that the relay accepts have it."""

    def __init__(self, viewers: Viewers, head: bytes) -> None:
        self._viewers = viewers
        self._head = head
        self._full = False
        self._left_out = 0

    def connectionMade(self) -> None:
        self.link = cast(AcceptedTransport, self.transport)
        self.link.registerProducer(self, True)
        self.link.write(self._head + self._viewers.update())
        self._viewers.present[self] = None

    def send(self, update: bytes) -> None:
        """Send an update, unless there is one that it has not taken."""
        self._left_out = self._left_out + 1 if self._full else 0
        if not self._full:
            self.link.write(update)
        elif self._left_out > PATIENCE:
            self.link.abortConnection()

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False

    def stopProducing(self) -> None:
        """`connectionLost` follows."""

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        self._viewers.present.pop(self, None)


class Viewers:
    """All viewers. What they are sent is only put together while there are some."""

    def __init__(self, status: Callable[[], dict[str, object]]) -> None:
        """`status`: what the relay does now, as JSON can have it."""
        self.present: dict[Viewer, None] = {}
        self._status = status

    def update(self) -> bytes:
        """What the relay does now, as an event in a chunk."""
        return chunk(f"data: {json.dumps(self._status(), separators=(',', ':'))}\n\n".encode())

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Send them an update."""
        if self.present:
            update = self.update()
            for viewer in tuple(self.present):
                viewer.send(update)
