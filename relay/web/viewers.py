"""Browsers that show the status page: all are sent the same update, once a second, however much traffic there is."""

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
"""Updates in a row that a viewer may fail to take before it is cut."""


@implementer(IPushProducer)
class Viewer(Protocol):
    """The connection of a browser that shows the status page."""

    link: AcceptedTransport
    """The transport, with its type."""

    def __init__(self, viewers: Viewers, head: bytes) -> None:
        """`head`: of the HTTP response."""
        self._viewers = viewers
        self._head = head
        self._full = False  # the transport has not sent the last update yet
        self._left_out = 0  # updates, in a row

    def connectionMade(self) -> None:
        self.link = cast(AcceptedTransport, self.transport)
        self.link.registerProducer(self, True)
        self.link.write(self._head + self._viewers.update())
        self._viewers.present[self] = None

    def send(self, update: bytes) -> None:
        """Send `update`, unless an earlier one is still being sent. Cuts a viewer that has taken none for too long."""
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
    """All viewers. While there are none, no updates are made."""

    def __init__(self, status: Callable[[], dict[str, object]]) -> None:
        """`status`: returns what the relay does now, as JSON can represent it."""
        self.present: dict[Viewer, None] = {}
        self._status = status

    def update(self) -> bytes:
        """What the relay does now, as an event in a chunk."""
        return chunk(f"data: {json.dumps(self._status(), separators=(',', ':'))}\n\n".encode())

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Send an update to all viewers."""
        if self.present:
            update = self.update()
            for viewer in tuple(self.present):
                viewer.send(update)
