"""What the transports of accepted connections have in common, whatever is below: TCP, a Unix socket, TLS, PROXY.

Twisted's interfaces are narrower than its transports: `ITransport` knows neither `abortConnection` nor producers. What
only some transports have (`setTcpNoDelay`, half-closing, certificates) is not here: ask for `ITCPTransport`,
`IHalfCloseableDescriptor` or `ISSLTransport` where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from twisted.internet.interfaces import IAddress, IPushProducer, ITransport
from zope.interface import implementer


@implementer(ITransport)
class AcceptedTransport(Protocol):
    """What the relay relies on in every transport that a listening port of its own hands to a protocol."""

    def write(self, data: bytes) -> None:
        """Send bytes, after those of earlier calls. The transport copies and never refuses; see `registerProducer`."""
        ...

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """The same as `write` for bytes in several pieces."""
        ...

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Have a producer told to pause and to resume, as what was written exceeds the transport's buffer or goes out.

        With `streaming`, `pauseProducing` may come in the middle of `write`.
        """
        ...

    def unregisterProducer(self) -> None:
        """Tell the producer nothing more; a connection that is to be closed is closed once everything is sent."""
        ...

    def pauseProducing(self) -> None:
        """Read no more from the peer. The end of a connection that is not read goes unnoticed."""
        ...

    def resumeProducing(self) -> None:
        """Read from the peer again."""
        ...

    def loseConnection(self) -> None:
        """Close the connection after what was written has been sent, for which a peer that does not read is waited."""
        ...

    def abortConnection(self) -> None:
        """Close the connection in the reactor's next turn, and drop what was written and not sent."""
        ...

    def getPeer(self) -> IAddress:
        """The address of the other end, or the one that a PROXY header named."""
        ...

    def getHost(self) -> IAddress:
        """The address of this end, or the one that a PROXY header named."""
        ...

    def fileno(self) -> int:
        """The descriptor of the socket, or -1 once that is closed."""
        ...
