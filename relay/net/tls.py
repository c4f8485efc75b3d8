"""TLS that sends at once, above a `SubscriberTransport`: it encrypts what it is given and passes that to the kernel.

Encrypted bytes cannot be taken back, so bytes are encrypted in small amounts, of which at most one waits in each
connection. Where that is impossible (Unix sockets, TLS behind a PROXY header) `direct` returns None, and Twisted's own
`write` is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from OpenSSL.SSL import Error, WantReadError
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from relay.core.chores import Lane
from relay.net.received import Received
from relay.net.tcp import SubscriberTransport
from relay.net.transport import AcceptedTransport
from relay.wire.framing import Buffer

MAX_RECORD = 16 * 1024
"""Most bytes in a TLS record (RFC 8446, section 5.1): OpenSSL takes no more at once."""
MAX_ENCRYPTED = 64 * 1024
"""Most bytes that are encrypted before they are sent, and that may be left over when the kernel is full."""
HANDSHAKE = 0x16
"""First byte of what a client sends (RFC 8446, section 5.1): the type of its first record."""
NOT_TLS = bytes.fromhex("15 0301 0002 02 0a")
"""What a client is told that does not speak TLS: a fatal alert, "unexpected message" (RFC 8446, section 6). OpenSSL
would end the connection in an orderly way, from which a publisher concludes that what it has sent was read."""


class SecureTransport(TLSMemoryBIOProtocol):
    """A TLS connection that reads and sends large pieces.

    Everything that a read brought is passed on together, where Twisted passes on one record of at most 16 KiB at a
    time. A small message is sent at once, where Twisted takes a dozen function calls, and another turn of the reactor
    for whatever they leave.
    """

    transport: SubscriberTransport
    _greeting: Received | None = None  # what the peer sends before the handshake is complete

    def dataReceived(self, data: bytes) -> None:
        if not self._handshakeDone:
            if self._greeting is None:
                if data[0] != HANDSHAKE:
                    self.transport.write(NOT_TLS)
                link = cast(AcceptedTransport, self.transport)
                lane = cast(SecureFactory, self.factory).handshakes
                self._greeting = Received(lane, link, super().dataReceived)
            self._greeting.receive(data)
            return
        if self._appSendBuffer:
            super().dataReceived(data)
            return
        tls = self._tlsConnection
        tls.bio_write(data)
        records: list[bytes] = []
        try:
            while True:
                records.append(tls.recv(MAX_RECORD))
        except WantReadError:
            go_on = self._flushSendBIO
        except Error:
            go_on = self._flushReceiveBIO  # which meets the error again, and knows how to treat it
        if records and not self._aborted:
            cast(Protocol, self.wrappedProtocol).dataReceived(b"".join(records))
        go_on()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        if self._greeting is not None:
            self._greeting.drop()
        super().connectionLost(reason)

    def send(self, piece: Buffer) -> int:
        """Like `sendmsg`, for one buffer."""
        return self.sendmsg((piece,))

    def sendmsg(self, pieces: Sequence[Buffer]) -> int:
        """Encrypt `pieces` in order, and pass them to the kernel. Returns how many bytes were encrypted.

        It never raises OSError. What the kernel does not take waits here: at most `MAX_ENCRYPTED` bytes of messages,
        encrypted. Until that is gone nothing more is encrypted. If fewer bytes than all were taken, call `await_room`.
        Do not use `write` on the same connection.
        """
        below = self.transport
        if below.rest or self._lostTLSConnection:
            return 0
        tls = self._tlsConnection
        taken = waiting = 0
        try:
            for piece in pieces:
                whole = piece if len(piece) <= MAX_RECORD else memoryview(piece)
                for start in range(0, len(whole), MAX_RECORD):
                    waiting += tls.send(whole[start : start + MAX_RECORD])
                    if waiting > MAX_ENCRYPTED - MAX_RECORD:
                        taken += waiting
                        waiting = 0
                        if not below.put(tls.bio_read(MAX_ENCRYPTED + MAX_RECORD)):
                            return taken
        except Error:
            self._tlsShutdownFinished(Failure())
            return taken
        if waiting:
            below.put(tls.bio_read(MAX_ENCRYPTED + MAX_RECORD))
        return taken + waiting

    def await_room(self, error: OSError | None) -> bool:
        """Have the registered producer's `resumeProducing` called when no encrypted bytes wait any more.

        `error`: always None here, because `sendmsg` raises no OSError.
        """
        cast(IPushProducer, self._producer).pauseProducing()
        self.transport.producerPaused = True
        self.transport.startWriting()
        return True

    def begin(self, producer: IPushProducer) -> None:
        """Have `producer` told when there is room again."""
        self.registerProducer(producer, True)

    def finish(self) -> None:
        """End the connection after what was taken: a TLS stream has no halves."""
        self.loseConnection()

    close = finish

    def drop(self) -> None:
        """End the connection now."""
        self.abortConnection()


class SecureFactory(TLSMemoryBIOFactory):
    """Makes a `SecureTransport` of each connection that is accepted."""

    protocol = SecureTransport  # Twisted's default waits for more to write, and ours come in large pieces

    def __init__(self, creator: IOpenSSLServerConnectionCreator, factory: IProtocolFactory, handshakes: Lane) -> None:
        """`creator`: makes OpenSSL's part. `factory`: of the protocols above. `handshakes`: where those take turns."""
        super().__init__(creator, False, factory)
        self.handshakes = handshakes


def direct(transport: object) -> SubscriberTransport | SecureTransport | None:
    """The transport itself if it sends at once, else None."""
    below = transport.transport if isinstance(transport, SecureTransport) else transport
    return cast("SubscriberTransport | SecureTransport", transport) if isinstance(below, SubscriberTransport) else None
