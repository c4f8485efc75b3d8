"""How bytes leave a subscriber's connection: the one way in which the hub hands them over, whatever the transport.

A transport that sends at once is an outlet itself, so that nothing of ours is in between. Any other copies what it is
given and never refuses: `CopyingOutlet` hands small slices to its `write` until it says pause, so that what is copied
for a peer that does not read stays below 100 KiB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, cast

from twisted.internet.interfaces import IPushProducer, ISSLTransport, ITCPTransport
from zope.interface import implementer

from relay.net.tls import direct
from relay.net.transport import AcceptedTransport
from relay.wire.framing import Buffer

SLICE = 32 * 1024
"""Bytes handed to a transport that copies. It says pause once it holds more than 64 KiB (`bufferSize` in
twisted.internet.abstract), so that it holds 96 KiB at most."""


class Outlet(Protocol):
    """Takes bytes, or not, at once. Whoever gives them is the producer: it is told when there is room again."""

    @property
    def sendmsg(self) -> Callable[[Sequence[Buffer]], int]:
        """Takes bytes, in order, and returns how many; an OSError says that it took none.

        After fewer bytes than all, or an error, `await_room` has to be called.
        """
        ...

    @property
    def send(self) -> Callable[[Buffer], int]:
        """The same for bytes in one piece."""
        ...

    def begin(self, producer: IPushProducer) -> None:
        """Have a producer told when there is room: `resumeProducing`, and `pauseProducing` where there is none."""
        ...

    def await_room(self, error: OSError | None) -> bool:
        """The last call took too little, or failed with `error`: say when there is room.

        Returns False if the connection has failed, and its transport will not say so by itself.
        """
        ...

    def finish(self) -> None:
        """End our half of the stream after what was taken; the whole of it, where there are no halves."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the kernel has all that was taken, and the end that `finish` makes."""
        ...

    def close(self) -> None:
        """End the connection after what was taken."""
        ...

    def drop(self) -> None:
        """End the connection now. What the kernel has taken still goes out where that is possible."""
        ...


def outlet(transport: AcceptedTransport) -> Outlet:
    """The outlet of an accepted connection."""
    return direct(transport) or CopyingOutlet(transport)


@implementer(IPushProducer)
class CopyingOutlet:
    """Any transport of Twisted's."""

    def __init__(self, transport: AcceptedTransport) -> None:
        self._transport = transport
        self._producer: IPushProducer | None = None
        self._writing = False
        self._full = False  # the transport said pause since the writing began

    def begin(self, producer: IPushProducer) -> None:
        self._producer = producer
        self._transport.registerProducer(self, True)

    def sendmsg(self, pieces: Sequence[Buffer]) -> int:
        """Hand copies to the transport until it says pause; returns how many bytes it was given.

        It says pause, and where it sends at once also resume, inside its `write`. The producer, which waits for this to
        return, is told what became of it.
        """
        self._full = False
        self._writing = True
        try:
            taken = self._write_slices(pieces)
        finally:
            self._writing = False
        if self._full and self._producer is not None:
            self._producer.pauseProducing()
        return taken

    def send(self, piece: Buffer) -> int:
        return self.sendmsg((piece,))

    def _write_slices(self, pieces: Sequence[Buffer]) -> int:
        taken = 0
        for piece in pieces:
            for start in range(0, len(piece), SLICE):
                if self._full:
                    return taken
                part = bytes(piece[start : start + SLICE])
                self._transport.write(part)
                taken += len(part)
        return taken

    def await_room(self, error: OSError | None) -> bool:
        return error is None

    def pauseProducing(self) -> None:
        if self._writing:
            self._full = True
        elif self._producer is not None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        if self._writing:
            self._full = False
        elif self._producer is not None:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""

    def finish(self) -> None:
        if ISSLTransport.providedBy(self._transport):
            self._transport.loseConnection()  # TLS has no halves
        else:
            cast(ITCPTransport, self._transport).loseWriteConnection()  # a Unix socket's has it too

    @property
    def finished(self) -> bool:
        return bool(getattr(self._transport, "_writeDisconnected", False))  # of Twisted's, where there are halves

    def close(self) -> None:
        self._transport.loseConnection()

    def drop(self) -> None:
        self._transport.abortConnection()
