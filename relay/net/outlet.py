"""How bytes leave a subscriber's connection: the one interface through which the hub sends, whatever the transport.

A transport that sends at once is an outlet itself, with nothing in between. Any other transport copies what it is given
and never refuses. `CopyingOutlet` writes small slices to such a transport until it says pause, so that what is copied
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
"""Most bytes in one write to a transport that copies. It says pause once it holds more than 64 KiB (`bufferSize` in
twisted.internet.abstract), so that it holds at most 96 KiB."""


class Outlet(Protocol):
    """Takes or refuses bytes at once. The producer that gives them is told when there is room again."""

    @property
    def sendmsg(self) -> Callable[[Sequence[Buffer]], int]:
        """Takes buffers, in order, and returns how many bytes it took. If it raises OSError it took none.

        If it took fewer bytes than all, or failed, call `await_room`.
        """
        ...

    @property
    def send(self) -> Callable[[Buffer], int]:
        """Like `sendmsg`, for one buffer."""
        ...

    def begin(self, producer: IPushProducer) -> None:
        """Have `producer` told when there is room (`resumeProducing`) and when there is none (`pauseProducing`)."""
        ...

    def await_room(self, error: OSError | None) -> bool:
        """Have the producer told when there is room, after a call took too little or failed with `error`.

        Returns False if the connection has failed and its transport will not report that by itself.
        """
        ...

    def finish(self) -> None:
        """End our half of the stream after what was taken; where there are no halves, the whole connection."""
        ...

    def close(self) -> None:
        """End the connection after what was taken."""
        ...

    def drop(self) -> None:
        """End the connection now. What the kernel has taken still goes out if possible."""
        ...


def outlet(transport: AcceptedTransport) -> Outlet:
    """The outlet of an accepted connection."""
    return direct(transport) or CopyingOutlet(transport)


def finish(transport: AcceptedTransport) -> None:
    """End our half of the stream after what was written; where there are no halves, the whole connection."""
    if ISSLTransport.providedBy(transport):
        transport.loseConnection()  # TLS has no halves
    else:
        cast(ITCPTransport, transport).loseWriteConnection()  # a Unix socket's transport has it too


@implementer(IPushProducer)
class CopyingOutlet:
    """The outlet of any transport of Twisted's that copies."""

    def __init__(self, transport: AcceptedTransport) -> None:
        self._transport = transport
        self._producer: IPushProducer | None = None
        self._writing = False
        self._full = False  # whether the transport has said pause since writing began

    def begin(self, producer: IPushProducer) -> None:
        self._producer = producer
        self._transport.registerProducer(self, True)

    def sendmsg(self, pieces: Sequence[Buffer]) -> int:
        """Write copies to the transport until it says pause. Returns how many bytes were written.

        The transport says pause, and if it sends at once also resume, inside its `write`. The producer is waiting for
        this call to return then, so it is told afterwards, and only if the transport is still paused.
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
        """Nothing to do: the transport is gone, and `connectionLost` follows."""

    def finish(self) -> None:
        finish(self._transport)

    def close(self) -> None:
        self._transport.loseConnection()

    def drop(self) -> None:
        self._transport.abortConnection()
