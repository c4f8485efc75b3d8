"""Subscribers: connections that are given every message, and whose own bytes are read and thrown away.

Where the transport sends at once, the hub's call goes straight to it. Any other transport copies what it is given and
never refuses: `Subscriber` hands small slices to its `write` until it says pause, so that what is copied for one that
does not read stays below 100 KiB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.core.cursor import Lag, Tally
from relay.core.hub import Hub
from relay.core.subscription import Subscription
from relay.core.timing import SWEEP, Every
from relay.net.kernel import failed, unsent
from relay.net.secure import SecureTransport, direct
from relay.net.tcp import SubscriberTransport
from relay.peers.connection import Accepted, Connection, looks_like
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Buffer

SLICE = 32 * 1024
"""Bytes handed to a transport that copies. It says pause once it holds more than 64 KiB (`bufferSize` in
twisted.internet.abstract), so that it holds 96 KiB at most."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class Subscriber(Connection):
    """One subscriber's connection.

    It is a half-closeable protocol because a subscriber never has to send: one that closes its sending half goes on
    receiving.
    """

    log = Logger()

    def __init__(self, accepted: Accepted, address: IAddress | None, hub: Hub, publish: str) -> None:
        super().__init__(accepted, address)
        self._hub = hub
        self._publish = publish
        self.subscription: Subscription | None = None
        self.deliver: Callable[[Sequence[Buffer]], int] = self._write
        self.deliver_one: Callable[[Buffer], int] = self._write_one
        self._half_closed = False
        self._sent_data = False
        self._direct: SubscriberTransport | SecureTransport | None = None
        self._writing = False
        self._full = False  # the transport said pause since the writing began
        self._given = False  # everything, and our half is closed

    def _begin(self) -> None:
        transport = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        self._direct = direct(transport)
        if self._direct is not None:
            self.deliver, self.deliver_one = self._direct.sendmsg, self._direct.send  # nothing of ours is in between
        transport.registerProducer(self, True)
        self._attach()

    def _attach(self) -> None:
        self.subscription = self._hub.attach(self)

    # What the hub calls

    def _write(self, pieces: Sequence[Buffer]) -> int:
        """Hand copies to the transport until it says pause; returns how many bytes it was given.

        It says pause, and where it sends at once also resume, inside its `write`: the hub, which waits for this to
        return, is told what became of it.
        """
        assert self.subscription is not None
        self._full = False
        self._writing = True
        try:
            taken = self._write_slices(pieces)
        finally:
            self._writing = False
        if self._full:
            self._hub.pause(self.subscription)
        return taken

    def _write_one(self, piece: Buffer) -> int:
        return self._write([piece])

    def _write_slices(self, pieces: Sequence[Buffer]) -> int:
        taken = 0
        for piece in pieces:
            for start in range(0, len(piece), SLICE):
                if self._full:
                    return taken
                part = bytes(piece[start : start + SLICE])
                self.transport.write(part)
                taken += len(part)
        return taken

    def await_room(self, error: OSError | None) -> None:
        if self._direct is not None:
            self._direct.await_room(error)
        elif error is not None:
            self.abort(CloseReason.CONNECTION_LOST)

    def unsent(self) -> int:
        """Bytes that the kernel holds for the peer, unacknowledged; 0 where that cannot be known."""
        return unsent(self.transport)

    def skipped(self, gap: Lag) -> None:
        self._lines.warn(
            self.log,
            "subscriber {peer} skipped {messages:,} messages, {bytes:,} bytes: it was {seconds:.1f} s behind",
            peer=self.peer,
            messages=gap.messages,
            bytes=gap.bytes,
            seconds=gap.seconds,
        )

    def end(self, reason: CloseReason, lag: Lag) -> None:
        self.abort(reason, f"it was {lag}")

    def fail(self, error: Exception) -> None:
        self.log.failure("subscriber {peer}: delivery failed", failure=Failure(error), peer=self.peer)
        self.abort(CloseReason.ERROR)

    # What the transport calls

    def pauseProducing(self) -> None:
        if self._writing:
            self._full = True
        elif self.subscription is not None:
            self._hub.pause(self.subscription)

    def resumeProducing(self) -> None:
        if self._writing:
            self._full = False
        elif self.subscription is not None:
            self._hub.resume(self.subscription)

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""

    def dataReceived(self, data: bytes) -> None:
        if self._sent_data:
            return
        self._sent_data = True
        looks = looks_like(data)
        self._lines.info(
            self.log,
            "subscriber {peer} sends data{hint}, which is thrown away: publishers belong on {publish}",
            peer=self.peer,
            hint=f" that looks like {looks}" if looks else "",
            publish=self._publish,
        )

    def readConnectionLost(self) -> None:
        self._half_closed = True
        if self._given:
            self._close()

    def writeConnectionLost(self) -> None:
        """We closed our half; `readConnectionLost` follows when the peer has closed its own."""

    # What the factory, the drain and the statistics call

    @property
    def tally(self) -> Tally:
        subscription = self.subscription
        if subscription is None:
            return Tally(0, 0, 0)
        return subscription.tally or subscription.cursor.tally(exact=False)

    @property
    def state(self) -> str:
        return "live" if self.subscription is not None and self.subscription.cursor.live else "lagging"

    def lag(self, clock: Callable[[], float]) -> Lag | None:
        if self.subscription is None or self.subscription.tally is not None or self.subscription.cursor.live:
            return None
        return self.subscription.cursor.lag(clock, exact=False)

    def sweep(self) -> None:
        """Notice the end of a peer that closed its sending half, and is not watched any more."""
        if self._half_closed and failed(self.transport):
            self.abort(CloseReason.CONNECTION_LOST)

    def drain(self) -> bool:
        """Close our half once everything was given. The peer closes its own then; what it sends until then is read,
        because to close a socket with something unread in it destroys what is on its way to the peer."""
        if self.subscription is None:
            self.abort(CloseReason.SHUTDOWN)  # in the middle of a handshake
        elif self.reason is None:
            if self.state != "live":
                return False
            self._begin_end(CloseReason.SHUTDOWN)
            self._given = True
            self._finish()
        return True

    def _finish(self) -> None:
        transport = self.transport
        if self._half_closed:
            self._close()
        elif isinstance(transport, SubscriberTransport):
            transport.finish()
        elif ISSLTransport.providedBy(transport):
            transport.loseConnection()  # TLS has no halves
        else:
            transport.loseWriteConnection()  # type: ignore[attr-defined]  # a Unix socket's has it

    def _close(self) -> None:
        """Both halves are done with."""
        if isinstance(self.transport, SubscriberTransport):
            self.transport.close()
        else:
            self.transport.loseConnection()

    def cut(self) -> None:
        if self._given and isinstance(self.transport, SubscriberTransport):
            self.transport.close()  # the kernel has everything, and goes on with it
        elif self.reason is None and self.subscription is not None:
            self._hub.end(self.subscription, CloseReason.SHUTDOWN)
        else:
            super().cut()

    def _begin_end(self, reason: CloseReason) -> bool:
        first = super()._begin_end(reason)
        if first and self.subscription is not None:
            self._hub.detach(self.subscription)
            self.transport.unregisterProducer()
        return first

    def _end(self) -> None:
        if self.subscription is not None:
            self._hub.detach(self.subscription)
        tally = self.tally
        self._log_end(
            "{messages:,} messages, {bytes:,} bytes{lost}",
            messages=tally.messages,
            bytes=tally.bytes,
            skipped=tally.skipped,
            lost=f", {tally.skipped:,} messages skipped" if tally.skipped else "",
        )
        del self.deliver, self.deliver_one  # they hold us, or the socket

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        if self._half_closed and self.reason is None:
            self.reason = CloseReason.PEER_CLOSED  # it said that it would send no more: our reset found it gone
        super().connectionLost(reason)


class SubscriberFactory(Factory):
    """Accepts subscribers, on any number of ports."""

    noisy = False

    def __init__(self, accepted: Accepted, hub: Hub, publish: str) -> None:
        """`publish` names the endpoints of publishers, for those who took the wrong port."""
        self.accepted = accepted
        self._hub = hub
        self._publish = publish

    def register(self, every: Every) -> None:
        """Have `sweep` called, and what is swept of all connections."""
        self.accepted.register(every)
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Notice who is gone without a word; to be called every second or so."""
        for subscriber in tuple(self.accepted.open):
            cast(Subscriber, subscriber).sweep()

    def buildProtocol(self, addr: IAddress | None) -> Subscriber:
        return Subscriber(self.accepted, addr, self._hub, self._publish)
