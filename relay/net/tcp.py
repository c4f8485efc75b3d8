"""TCP transports that do at once what Twisted's own put off.

Twisted's `write` waits for the next writable event, which puts two `epoll_ctl` and one `epoll_wait` around every
`send`, and copies what is left over into a buffer for each connection. `SubscriberTransport.send` is the kernel's own
call and copies nothing: what the kernel does not take stays with the caller, whose `resumeProducing` is called when
there is room again.

`PublisherTransport` reads up to 256 KiB at once where Twisted reads 64 KiB, and never more than `begin_read` allows at
that moment. A large `recv` that brings little keeps a page or more of memory for it, so small reads go into one buffer
that is used again and again, and are copied out of it. What is said to a publisher is sent at once too.

When a read finds that the peer has ended the connection, or the reactor finds it for one that is not read, the rest of
its end waits for its turn: it costs 25 to 50 µs, and 2,000 peers may end at the same moment.

Both are classes for the connections that a listening port accepts (see `accepting`). They work below TLS and below the
PROXY protocol too.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import EAGAIN, ENOBUFS
from typing import Any, cast

from twisted.internet import main, tcp
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure

from relay.core.chores import Lane
from relay.wire.framing import Buffer

SMALL_READ = 64 * 1024
"""Bytes in the buffer for small reads. A read that fills it makes the next one large."""

TCP_NOTSENT_LOWAT: int = socket.TCP_NOTSENT_LOWAT if sys.platform == "linux" else 0x201
"""Linux: tcp(7). macOS: netinet/tcp.h, where it only delays the moment at which a peer counts as writable."""

_small_read = bytearray(SMALL_READ)  # reads never overlap, so one buffer serves all connections


def waiting(transport: object) -> int:
    """About how many bytes passed to `write` a transport of Twisted's has not sent; 0 is exact."""
    written = cast(tcp.Server, transport)
    return written._tempDataLen + len(written.dataBuffer)


class _Transport(tcp.Server):
    """A connection whose end, when a read finds it, takes its turn."""

    _half = _whole = False  # whether the end of the peer's half was found, and that of the connection

    def __init__(self, ends: Lane, *args: Any) -> None:  # args: what Twisted passes
        """`ends`: where that takes its turn."""
        self._ends = ends
        super().__init__(*args)

    def _found_end(self, why: ConnectionLost | ConnectionDone) -> None:
        """End the connection when it is its turn. `why`: what a read would have returned.

        A reset may be found behind the end of the peer's half, when the peer is gone and was sent something.
        """
        self.stopReading()
        first = not (self._half or self._whole)
        self._half = self._half or why is main.CONNECTION_DONE
        self._whole = self._whole or why is main.CONNECTION_LOST
        if first:
            self._ends(self._end)

    def _end(self) -> None:
        half, self._half = self._half, False
        if self.connected and half:
            self.readConnectionLost(Failure(main.CONNECTION_DONE))
        if self.connected and self._whole:
            super().connectionLost(Failure(main.CONNECTION_LOST))

    def doWrite(self) -> object:  # type: ignore[override]  # Twisted's own declarations contradict each other
        """As Twisted's; a read in the same turn may have found the end already, in a lane where nothing waits."""
        return super().doWrite() if self.connected else None

    def connectionLost(self, reason: Failure) -> None:
        """End the connection; if the reactor has found it gone without a read, when it is its turn."""
        if type(reason.value) is ConnectionLost:
            self._found_end(main.CONNECTION_LOST)
        else:
            super().connectionLost(reason)


class SubscriberTransport(_Transport):
    """A connection that sends at once, from the caller's memory."""

    _failed = False
    _short = False

    def __init__(self, send_buffer: int, ends: Lane, sock: socket.socket, *args: Any) -> None:  # args: as above
        """`send_buffer`: bytes that the kernel takes although it cannot send them yet. `ends`: as in `_Transport`.

        The kernel's own limit is several megabytes for each peer that never reads. Bytes on their way to the peer do
        not count, so sending to a distant peer is not slowed down.
        """
        super().__init__(ends, sock, *args)
        sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, send_buffer)

    @property
    def sendmsg(self) -> Callable[[Sequence[Buffer]], int]:
        """Passes buffers to the kernel, in order, and returns how many bytes it took; none, if it raises OSError.

        If it took fewer bytes than all, or failed, call `await_room`. Do not use `write` on the same connection. This
        is the socket's own `sendmsg`, so that a delivery costs no call of a Python function.
        """
        return self.socket.sendmsg

    @property
    def send(self) -> Callable[[Buffer], int]:
        """Like `sendmsg`, for one buffer: the socket's own `send`."""
        return self.socket.send

    def await_room(self, error: OSError | None) -> bool:
        """Have the registered producer's `resumeProducing` called when the kernel takes bytes again.

        `error`: what the kernel refused bytes with, if it did. An error other than "no room" ends the connection, in
        the reactor's next turn and not in the middle of the caller's loop.
        """
        self._short = True
        self._failed = error is not None and error.errno not in (EAGAIN, ENOBUFS)
        self.startWriting()
        return True

    def put(self, data: bytes) -> bool:
        """Send encrypted bytes; keep what the kernel refuses. True if nothing is left.

        Call it only while nothing is left from before (`rest` is 0).
        """
        try:
            sent = self.socket.send(data)
        except OSError:
            sent = 0  # the reactor meets the error again when it sends the rest, and ends the connection
        if sent == len(data):
            return True
        self._tempDataBuffer.append(
            data[sent:]
        )  # as `write` does, but it may call pauseProducing, and our result says it
        self._tempDataLen += len(data) - sent
        self.startWriting()
        return False

    @property
    def rest(self) -> int:
        """About how many bytes passed to `put` or `write` the kernel has not taken; 0 is exact."""
        return waiting(self)

    def begin(self, producer: IPushProducer) -> None:
        """Have `producer` told when there is room again."""
        self.registerProducer(producer, True)

    def finish(self) -> None:
        """End our half of the stream, now if nothing is left to send: a socket may never be writable again."""
        self.loseWriteConnection()
        if not self.rest:
            super().doWrite()

    def close(self) -> None:
        """Close now. What the kernel has still goes out, unless bytes from the peer are unread: then it is lost."""
        if self.connected:
            self.connectionLost(Failure(main.CONNECTION_DONE))

    drop = close

    def doRead(self) -> None:
        why = super().doRead()
        if why is not None:
            self._found_end(why)

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


class PublisherTransport(_Transport):
    """A connection that reads as many bytes at once as `begin_read` allows."""

    _large = False

    def __init__(
        self, begin_read: Callable[[], int], end_read: Callable[[], None], ends: Lane, *args: Any
    ) -> None:  # args: as above
        """`begin_read`: called before each read; returns the most bytes that it may bring.

        `end_read`: called after each read, when its bytes have been passed on. `ends`: as in `_Transport`.
        """
        self._begin_read = begin_read
        self._end_read = end_read
        super().__init__(ends, *args)

    def doRead(self) -> None:
        size = self._begin_read()
        try:
            try:
                data = self._read(size)
            except BlockingIOError:
                return
            except OSError:
                self._found_end(main.CONNECTION_LOST)
                return
            why = self._dataReceived(data)
            if why is not None:
                self._found_end(why)
        finally:
            self._end_read()

    def write(self, data: bytes) -> None:
        """Send at once what the kernel takes, so that an ack costs one system call. The rest waits, as in Twisted."""
        if self.connected and not (self._writeDisconnected or self._tempDataLen or self.dataBuffer):
            with suppress(OSError):  # the reactor meets the error again when it sends, and ends the connection
                data = data[self.socket.send(data) :]
        if data:
            super().write(data)

    def _read(self, size: int) -> bytes:
        if self._large and size > SMALL_READ:
            data = self.socket.recv(size)
            self._large = len(data) >= SMALL_READ
            return data if self._large else bytes(memoryview(data))
        read = self.socket.recv_into(_small_read, min(size, SMALL_READ))
        self._large = read == SMALL_READ
        return bytes(memoryview(_small_read)[:read])
