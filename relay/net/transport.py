"""TCP transports that do at once what Twisted's own put off, and the only file that touches Twisted's internals.

Twisted's `write` waits for the next writable event, which puts two `epoll_ctl` and one `epoll_wait` around every
`send`, and copies what is left over into a buffer for each connection. `SubscriberTransport.send` is the kernel's
own call and copies nothing: what the kernel does not take stays with the caller, who hears through `resumeProducing`
when there is room again.

`PublisherTransport` reads up to 256 KiB at once where Twisted reads 64, and as much as it is allowed at that moment.
A large `recv` that brings little keeps a page or more for it, so that small reads go through one buffer that is
used again, and are copied out to size.

Both are set with `equip` on a listening port, as the class of the connections that it accepts; that works below TLS
and below the PROXY protocol too. `SecureTransport` is the TLS above a `SubscriberTransport`: it encrypts what it is
given and sends that at once. Where none of this can be had (Unix sockets, TLS behind a PROXY header), `direct` says so,
and Twisted's own `write` serves: see `Subscriber.deliver`.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from errno import EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM
from fcntl import ioctl
from struct import Struct
from typing import Any, cast

from OpenSSL.SSL import Error, WantReadError
from twisted.internet import main, tcp
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IListeningPort, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from relay.peers.lines import Lines
from relay.wire.framing import Buffer

BACKLOG = 4096
"""Connections that the kernel may hold until they are accepted; Twisted asks for 50, too few for a reconnect of all."""
SMALL = 64 * 1024
"""Bytes of the buffer for small reads. A read that fills it makes the next one large."""
RECORD = 16 * 1024
"""Bytes in a record of TLS, at most (RFC 8446, section 5.1): OpenSSL takes no more at once."""
ENCRYPTED = 64 * 1024
"""Bytes that TLS encrypts before they are sent, and that may so be left over."""
KEEPALIVE_INTERVAL = 10
"""Seconds between two such questions, and"""
KEEPALIVE_PROBES = 6
"""how many may stay without an answer: a peer that vanished is gone after two minutes, and a minute without the
network is survived."""
ACCEPTS = 64
"""Connections accepted in a turn, so that nobody waits long for its end: with TLS, each costs half a millisecond.
Twisted goes by how many came the last time, and so would take all of a storm at once."""
BACK_OFF = 1.0
"""Seconds until accepting is tried again when the system had no room."""
SIOCOUTQ = 0x5411
"""Linux: bytes in the send queue that the peer has not acknowledged (tcp(7), unix(7))."""

TCP_NOTSENT_LOWAT: int = socket.TCP_NOTSENT_LOWAT if sys.platform == "linux" else 0x201
"""Linux: tcp(7). macOS: netinet/tcp.h, where it only delays the moment at which a peer counts as writable."""
TCP_KEEPIDLE: int = socket.TCP_KEEPIDLE if sys.platform == "linux" else 0x10
"""Linux: tcp(7). macOS calls it TCP_KEEPALIVE (netinet/tcp.h)."""

_log = Logger(namespace="relay.net.transport")
_INT = Struct("i")
_scratch = bytearray(SMALL)  # no read is under way while another begins: one buffer serves all connections


class SubscriberTransport(tcp.Server):
    """A connection that sends at once, from the caller's memory."""

    _failed = False
    _short = False

    def __init__(self, send_buffer: int, sock: socket.socket, *args: Any) -> None:  # args: what Twisted passes
        """The kernel takes `send_buffer` bytes while it cannot send them yet. Its own limit is some megabytes for each
        peer that never reads. Bytes on their way are not limited: a distant peer is sent as much as ever.
        """
        super().__init__(sock, *args)
        sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, send_buffer)

    @property
    def sendmsg(self) -> Callable[[Sequence[Buffer]], int]:
        """Gives bytes to the kernel, in order, and returns how many it took; an OSError says that it took none.

        It is the socket's own `sendmsg`: a delivery costs no Python function. It must not be mixed with `write`, and
        after fewer bytes than all, or an error, `await_room` has to be called.
        """
        return self.socket.sendmsg

    @property
    def send(self) -> Callable[[Buffer], int]:
        """The same for bytes in one piece."""
        return self.socket.send

    def await_room(self, error: OSError | None) -> None:
        """Have the registered producer's `resumeProducing` called when the kernel takes bytes again.

        An `error` other than that there is no room ends the connection instead, in the reactor's next turn: not in
        here, in the middle of the caller's loop.
        """
        self._short = True
        self._failed = error is not None and error.errno not in (EAGAIN, ENOBUFS)
        self.startWriting()

    def put(self, data: bytes) -> bool:
        """Send what cannot be taken back, and go on when there is room with what is left; returns whether nothing is.

        Nothing may be left of what was put before.
        """
        try:
            sent = self.socket.send(data)
        except OSError:
            sent = 0  # the reactor finds out what it was when it goes on
        if sent == len(data):
            return True
        self._tempDataBuffer.append(data[sent:])  # as `write`, which might say pause to a caller that is told anyway
        self._tempDataLen += len(data) - sent
        self.startWriting()
        return False

    @property
    def rest(self) -> int:
        """Bytes, about, that were put or written and the kernel has not taken."""
        return self._tempDataLen + len(self.dataBuffer)

    def finish(self) -> None:
        """End the stream now. Twisted would wait until the socket is writable, which it may never be again."""
        self.loseWriteConnection()
        if not self.rest:
            super().doWrite()

    def close(self) -> None:
        """Close now: what was given to the kernel still goes out, but for what a peer's unread bytes destroy."""
        if self.connected:
            self.connectionLost(Failure(main.CONNECTION_DONE))

    def doWrite(self) -> object:  # type: ignore[override]  # Twisted's own declarations contradict each other
        if self._failed:
            return main.CONNECTION_LOST
        producer = cast("IPushProducer | None", self.producer)
        if not self._short or producer is None:
            return super().doWrite()
        self._short = False
        producer.resumeProducing()
        if not self._short and self.connected and not self.disconnecting:
            self.stopWriting()
        return None


class SecureTransport(TLSMemoryBIOProtocol):
    """TLS that hands on together all that a read brought, and sends at once where that can be had: see `direct`.

    Twisted's own hands on record by record, of 16 KiB at most, and a small message takes a dozen functions on its way
    out, and a turn of the reactor for what they leave.
    """

    transport: SubscriberTransport

    def dataReceived(self, data: bytes) -> None:
        if not self._handshakeDone or self._appSendBuffer:
            super().dataReceived(data)
            return
        tls = self._tlsConnection
        tls.bio_write(data)
        records: list[bytes] = []
        try:
            while True:
                records.append(tls.recv(RECORD))
        except WantReadError:
            rest = self._flushSendBIO
        except Error:
            rest = self._flushReceiveBIO  # which looks at it again, and knows what it means
        if records and not self._aborted:
            cast(Protocol, self.wrappedProtocol).dataReceived(b"".join(records))
        rest()

    def send(self, piece: Buffer) -> int:
        """The same as `sendmsg` for bytes in one piece."""
        return self.sendmsg((piece,))

    def sendmsg(self, pieces: Sequence[Buffer]) -> int:
        """Encrypts bytes, in order, and gives them to the kernel; returns how many, and never raises an OSError.

        What was encrypted and the kernel did not take waits here, at most `ENCRYPTED` bytes; until it is gone no more
        is taken. It must not be mixed with `write`, and after fewer bytes than all `await_room` has to be called.
        """
        below = self.transport
        if below.rest or self._lostTLSConnection:
            return 0
        tls = self._tlsConnection
        taken = waiting = 0
        try:
            for piece in pieces:
                whole = piece if len(piece) <= RECORD else memoryview(piece)
                for start in range(0, len(whole), RECORD):
                    waiting += tls.send(whole[start : start + RECORD])
                    if waiting > ENCRYPTED - RECORD:
                        taken += waiting
                        waiting = 0
                        if not below.put(tls.bio_read(ENCRYPTED + RECORD)):
                            return taken
        except Error:
            self._tlsShutdownFinished(Failure())
            return taken
        if waiting:
            below.put(tls.bio_read(ENCRYPTED + RECORD))
        return taken + waiting

    def await_room(self, error: OSError | None) -> None:
        """Have the registered producer's `resumeProducing` called when nothing waits here any more."""
        cast(IPushProducer, self._producer).pauseProducing()
        self.transport.producerPaused = True
        self.transport.startWriting()


def direct(transport: object) -> SubscriberTransport | SecureTransport | None:
    """The transport, if it is one that sends at once."""
    below = transport.transport if isinstance(transport, SecureTransport) else transport
    return cast("SubscriberTransport | SecureTransport", transport) if isinstance(below, SubscriberTransport) else None


class PublisherTransport(tcp.Server):
    """A connection that reads as much at once as is good for everybody."""

    _large = False

    def __init__(self, begin: Callable[[], int], end: Callable[[], None], *args: Any) -> None:  # args: as above
        """`begin` says before each read how many bytes it may bring; `end` is called when they were handed on."""
        self._begin_read = begin
        self._end_read = end
        super().__init__(*args)

    def doRead(self) -> ConnectionLost | ConnectionDone | None:  # type: ignore[override]  # as above
        size = self._begin_read()
        try:
            try:
                data = self._read(size)
            except BlockingIOError:
                return None
            except OSError:
                return main.CONNECTION_LOST
            return self._dataReceived(data)
        finally:
            self._end_read()

    def _read(self, size: int) -> bytes:
        if self._large and size > SMALL:
            data = self.socket.recv(size)
            self._large = len(data) >= SMALL
            return data if self._large else bytes(memoryview(data))
        read = self.socket.recv_into(_scratch, min(size, SMALL))
        self._large = read == SMALL
        return bytes(memoryview(_scratch)[:read])


class ListeningSocket(socket.socket):
    """Accepts connections, and says when the system has no room for more, which Twisted would ask for at once again."""

    exhausted: Callable[[OSError], None]

    def accept(self) -> tuple[socket.socket, Any]:  # Any: an address, as socket declares it
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in (EMFILE, ENFILE, ENOBUFS, ENOMEM):
                raise
            self.exhausted(error)
            raise BlockingIOError(EAGAIN, "nothing to accept for now") from error


def equip(port: IListeningPort, transport: Callable[..., tcp.Server], keepalive: int, lines: Lines) -> None:
    """Let a port that listens already accept connections of that class, and more of them at once.

    After `keepalive` seconds of silence the kernel begins to ask whether the peer is still there; 0: it does not.
    A port that is not plain TCP (a Unix socket's is a `tcp.Port` too) keeps its own class.
    """
    if not isinstance(port, tcp.Port):
        return
    listening = port.socket = ListeningSocket(fileno=port.socket.detach())
    port.fileno = listening.fileno  # type: ignore[method-assign]  # as Twisted's own startListening does
    listening.listen(BACKLOG)
    listening.setblocking(False)
    internet = listening.family in (socket.AF_INET, socket.AF_INET6)
    if internet:  # what is accepted inherits it; a socket of systemd's has what the relay before wanted
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, bool(keepalive))
    if internet and keepalive:
        listening.setsockopt(socket.IPPROTO_TCP, TCP_KEEPIDLE, keepalive)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)

    def back_off(error: OSError) -> None:
        port.stopReading()
        cast(IReactorTime, port.reactor).callLater(BACK_OFF, lambda: port.connected and port.startReading())
        lines.warn(
            _log,
            "cannot accept connections: {error}; the next try is in {seconds:g} s",
            error=error.strerror,
            seconds=BACK_OFF,
        )

    listening.exhausted = back_off
    accept = port.doRead

    def accept_some() -> None:
        port.numberAccepts = ACCEPTS
        accept()

    port.doRead = accept_some  # type: ignore[method-assign]  # what the reactor calls
    if port.transport is tcp.Server:
        port.transport = cast("type[tcp.Server]", transport)  # Twisted only calls it


def failed(transport: object) -> bool:
    """Whether the kernel has given up a connection that is not watched: it was reset, or its peer does not answer."""
    return bool(transport.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))  # type: ignore[attr-defined]


def unsent(transport: object) -> int:
    """Bytes that the kernel holds for the peer; 0 where that cannot be known. Works below TLS and PROXY too."""
    if sys.platform != "linux":
        return 0
    try:
        return int(_INT.unpack(ioctl(transport.fileno(), SIOCOUTQ, bytes(_INT.size)))[0])  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return 0
