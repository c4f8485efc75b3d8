"""Who looks at the status page: each is told the same, once a second, whatever the traffic."""

from __future__ import annotations

import json
from collections.abc import Callable

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.wire.encoding import chunk

PATIENCE = 30
"""Updates that may be left out because one does not take them, until it is cut."""


@implementer(IPushProducer)
class Viewer(Protocol):
    """One of them."""

    def __init__(self, viewers: Viewers, head: bytes) -> None:
        self._viewers = viewers
        self._head = head
        self._full = False
        self._left_out = 0

    def connectionMade(self) -> None:
        transport = self.transport
        transport.registerProducer(self, True)  # type: ignore[union-attr]  # all that we accept have it
        transport.write(self._head + self._viewers.update())  # type: ignore[union-attr]
        self._viewers.present[self] = None

    def tell(self, update: bytes) -> None:
        """Send it, unless there is one that it has not taken."""
        assert self.transport is not None
        self._left_out = self._left_out + 1 if self._full else 0
        if not self._full:
            self.transport.write(update)
        elif self._left_out > PATIENCE:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False

    def stopProducing(self) -> None:
        """`connectionLost` follows."""

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        self._viewers.present.pop(self, None)


class Viewers:
    """All of them. What they are told is only put together while there are some."""

    def __init__(self, status: Callable[[], dict[str, object]]) -> None:
        """`status` is what they are told."""
        self.present: dict[Viewer, None] = {}
        self._status = status

    def update(self) -> bytes:
        """What there is to be told now, as an event in a chunk."""
        return chunk(f"data: {json.dumps(self._status(), separators=(',', ':'))}\n\n".encode())

    def sweep(self, passed: float) -> None:
        """Tell them; to be called once a second."""
        if self.present:
            update = self.update()
            for viewer in tuple(self.present):
                viewer.tell(update)
