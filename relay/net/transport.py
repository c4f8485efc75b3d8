"""What the transports of accepted connections have in common, whatever is below: TCP, a Unix socket, TLS, PROXY.

Twisted's interfaces are narrower than its transports: `ITransport` has neither `abortConnection` nor producers. What
only some transports have (`setTcpNoDelay`, half-closing, certificates) is not here: check for `ITCPTransport`,
`IHalfCloseableDescriptor` or `ISSLTransport` where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from twisted.internet.interfaces import IAddress, IPushProducer, ITransport
from zope.interface import implementer


@implementer(ITransport)
class AcceptedTransport(Protocol):
    """What the relay relies on in the transport of every connection that it accepts."""

    def write(self, data: bytes) -> None:
        """Send bytes, after those of earlier calls. The transport copies and never refuses; see `registerProducer`."""
        ...

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Like `write`, for bytes in several pieces."""
        ...

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Have `producer` told to pause when the transport's buffer is full, and to resume when it has been sent.

        `streaming`: True for a push producer. Its `pauseProducing` may be called in the middle of `write`.
        """
        ...

    def unregisterProducer(self) -> None:
        """Tell the producer nothing more. A `loseConnection` called before takes effect once everything is sent."""
        ...

    def pauseProducing(self) -> None:
        """Read no more from the peer. While a connection is not read, its end goes unnoticed."""
        ...

    def resumeProducing(self) -> None:
        """Read from the peer again."""
        ...

    def loseConnection(self) -> None:
        """Close the connection once everything written is sent. It waits for a peer that does not read."""
        ...

    def abortConnection(self) -> None:
        """Close the connection in the reactor's next turn. What was written but not sent is dropped."""
        ...

    def getPeer(self) -> IAddress:
        """The address of the other end, or the one that a PROXY header named."""
        ...

    def getHost(self) -> IAddress:
        """The address of this end, or the one that a PROXY header named."""
        ...

    def fileno(self) -> int:
        """The descriptor of the socket; -1 once it is closed."""
        ...
