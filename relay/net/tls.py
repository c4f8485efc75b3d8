"""TLS that sends at once, above a `SubscriberTransport`: it encrypts what it is given and passes that to the kernel.

Encrypted bytes cannot be taken back, so bytes are encrypted in small amounts, of which at most one waits in each
connection. Where that is impossible (Unix sockets, TLS behind a PROXY header) `direct` returns None, and Twisted's own
`write` is used.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

from OpenSSL.SSL import Error, WantReadError
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IOpenSSLServerConnectionCreator, IProtocolFactory, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from relay.core.chores import Lane
from relay.net.received import Received
from relay.net.tcp import SubscriberTransport, waiting
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
SLICE = 4 * 1024
"""Bytes in a piece of what a peer sends. Pieces take their turns until there was data in one, and for good from when a
peer has sent too much besides data: so that many peers together delay no message. What others send is decrypted at
once, but looked at between slices. The first slice has this size, too; each that held data makes the next one twice as
long, up to `MAX_SLICE`."""
MAX_SLICE = 64 * 1024
"""Looking every 16 KiB instead made decrypting 256 KiB, one read, take 107 µs instead of 65."""
MAX_BESIDE = 20 * 1024
"""Bytes in a second that a peer may send in TLS 1.3 besides data, more than a record: it is not read for a second after
that. KeyUpdates (RFC 8446, section 4.6.3) are 27 bytes each and cost 12 µs: 64 KiB of them hold a turn for 30 ms.
Honest peers send one in gigabytes. Records that are padded count too, so padding is slowed down."""
PAUSE = 1.0
"""Seconds in which that is counted, and for which a peer is not read."""
MAX_ANSWERS = 128 * 1024
"""Bytes that may wait below TLS when a peer has sent too much besides data: more than messages alone, which are at most
`MAX_ENCRYPTED` and a record, so they are answers to KeyUpdates that the peer does not read."""
RECORD = {"TLSv1.3": 32}
"""Bytes around the data of a record (22, RFC 8446, section 5.2), and some: by the protocol's version."""
OLD_RECORD = 1024
"""The same for other versions, which have more than one way and no KeyUpdates."""


class SecureTransport(TLSMemoryBIOProtocol):
    """A TLS connection that reads and sends large pieces.

    Everything that a read brought is passed on together, where Twisted passes on one record of at most 16 KiB at a
    time. A small message is sent at once, where Twisted takes a dozen function calls, and another turn of the reactor
    for whatever they leave.
    """

    transport: SubscriberTransport
    _received: Received | None = None  # what the peer sends while it is not trusted; None before it has sent anything
    _trusted = False  # whether what it sends is decrypted at once
    _brought = False  # whether there was data in that
    _suspected = False  # whether it has once sent too much besides data
    _slice = SLICE  # bytes decrypted until the next look
    _overhead = OLD_RECORD
    _beside = 0  # bytes since `_since` that were no data
    _since = 0.0
    _throttle: IDelayedCall | None = None  # set while the peer is not read because it sent too much of that

    def dataReceived(self, data: bytes) -> None:
        if self._trusted:
            self._take(data)
            return
        if self._received is None:
            if data[0] != HANDSHAKE:
                self.transport.write(NOT_TLS)
            link = cast(AcceptedTransport, self.transport)
            self._received = Received(cast(SecureFactory, self.factory).handshakes, link, self._take, SLICE)
        self._received.receive(data)
        self._trusted = self._brought and not self._suspected and not self._received.waits

    def _take(self, data: bytes) -> None:
        if self._handshakeDone and not self._appSendBuffer:
            self._decrypt(data)
        else:
            super().dataReceived(data)

    def pauseProducing(self) -> None:
        """Read no more, until `resumeProducing`."""
        if self._received is None:
            self.transport.pauseProducing()
        else:
            self._received.pause()

    def resumeProducing(self) -> None:
        """Read again, when nothing waits that was read."""
        if self._received is None:
            self.transport.resumeProducing()
        else:
            self._received.resume()

    def _checkHandshakeStatus(self) -> None:
        super()._checkHandshakeStatus()
        if self._handshakeDone:
            self._overhead = RECORD.get(self._tlsConnection.get_protocol_version_name(), OLD_RECORD)

    def _decrypt(self, data: bytes) -> None:
        """Pass on what `data` holds, unless too much of it is no data: then the peer is not read for a while."""
        records: list[bytes] = []
        failed, taken = False, 0
        while taken < len(data) and not failed and self._beside <= MAX_BESIDE:
            before = len(records)
            failed = self._read_records(data[taken : taken + self._slice], records)
            taken += self._slice
            if len(records) > before:
                self._slice = min(2 * self._slice, MAX_SLICE)
        if records and not self._aborted:
            self._brought = True
            cast(Protocol, self.wrappedProtocol).dataReceived(b"".join(records))
        if failed:
            self._flushReceiveBIO()  # which meets the error again, and knows how to treat it
        else:
            self._flushSendBIO()
            if self._beside > MAX_BESIDE and not self.disconnecting:
                self._slow_down(data[taken:])

    def _read_records(self, data: bytes, records: list[bytes]) -> bool:
        """Decrypt `data`, append what it holds to `records`, and count the rest. Returns whether TLS has ended."""
        tls, size = self._tlsConnection, len(data)
        tls.bio_write(data)
        try:
            while True:
                record = tls.recv(MAX_RECORD)
                records.append(record)
                size -= len(record) + self._overhead
        except WantReadError:
            self._count(size)
            return False
        except Error:
            return True

    def _count(self, beside: int) -> None:
        """Count bytes that were no data; fewer than none if the beginning of a record was counted before."""
        now = time.monotonic()
        if now - self._since >= PAUSE:
            self._since, self._beside = now, 0
        self._beside = max(self._beside + beside, -MAX_RECORD)

    def _slow_down(self, rest: bytes) -> None:
        """Read no more for `PAUSE` seconds. A peer that does not even take the answers is cut.

        `rest`: what was read and is not decrypted.
        """
        if waiting(self.transport) > MAX_ANSWERS:
            self.abortConnection()
            return
        self._suspected, self._trusted = True, False
        received = cast(Received, self._received)
        received.hold()
        received.receive(rest)
        self._throttle = cast(Any, self.transport).reactor.callLater(PAUSE, self._go_on)

    def _go_on(self) -> None:
        self._throttle = None
        self._beside = 0
        cast(Received, self._received).go_on()

    @property
    def waits(self) -> bool:
        """Whether something that the peer sent has not come to its turn."""
        return self._received is not None and self._received.waits

    @property
    def greeted(self) -> bool:
        """Whether the peer has sent anything."""
        return self._received is not None

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        if self._received is not None:
            self._received.drop()
        if self._throttle is not None:
            self._throttle.cancel()
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

    def close(self) -> None:
        """End the connection after what was taken, whether or not the peer answers to the end of the stream."""
        self.loseConnection()
        self.transport.loseConnection()

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
