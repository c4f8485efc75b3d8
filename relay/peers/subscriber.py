"""Subscribers: connections that are given every message.

A subscriber is made of three parts: an *outlet* takes its bytes (`relay.net.outlet`), a *source* is where its messages
come from (`relay.peers.source`), and a *dialogue* is what is said besides them (`relay.peers.dialogue`). Over TCP the
source is the hub and the dialogue is silence; a browser has a feed, and a dialogue in HTTP or WebSocket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.core.cursor import Lag, Tally
from relay.core.hub import Hub
from relay.core.state import State
from relay.core.timing import SWEEP, Every
from relay.net.kernel import acknowledged, failed, hung_up, probe_soon, unsent
from relay.net.outlet import CopyingOutlet, Outlet, outlet
from relay.peers.connection import Connection
from relay.peers.dialogue import Dialogue, Silence
from relay.peers.listening import Listening
from relay.peers.registry import Registry
from relay.peers.sessions import Sessions
from relay.peers.source import HubSource, Source, lag_of
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Buffer

QUIET = 10
"""Looks of the drain (0.2 s) without a byte from a peer whose kernel has everything, after which it is not waited for.
Many peers never close their side (`nc`, `curl`). What a peer sends after that is answered by a reset, which can make
its kernel drop what its program has not read yet. So one that still sends is read until it pauses for longer than most
round trips take."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class Subscriber(Connection):
    """One subscriber's connection.

    The protocol is half-closeable because a subscriber need not send: one that closes its sending half still receives.
    """

    logger = Logger()
    outlet: Outlet
    """What takes its bytes; set once the subscriber begins."""
    deliver: Callable[[Sequence[Buffer]], int]
    """The outlet's own `sendmsg`; set once the subscriber begins."""
    deliver_one: Callable[[Buffer], int]
    """The outlet's own `send`; set once the subscriber begins."""

    def __init__(self, registry: Registry, address: IAddress | None, source: Source, dialogue: Dialogue) -> None:
        super().__init__(registry, address)
        self.source = source
        self.dialogue = dialogue
        self._quiet = 0  # looks of the drain in a row at which there was nothing to wait for

    def _begin(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.outlet = outlet(self.link)
        self.deliver, self.deliver_one = self.outlet.sendmsg, self.outlet.send
        self.outlet.begin(self)
        self.dialogue.begin(self)
        if not self.source.attach(self, self.dialogue.greeting):
            self.abort(CloseReason.OVERRUN, "its feed is behind what it wants")

    # What the hub calls

    reads = False
    stalls = True

    def await_room(self, error: OSError | None) -> None:
        if not self.outlet.await_room(error):
            self.abort(CloseReason.CONNECTION_LOST)

    def unsent(self) -> int:
        """Bytes in the kernel that the peer has not acknowledged; 0 where that cannot be known."""
        return unsent(self.link)

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        self.warn(
            "subscriber {peer} skipped {messages:,} messages, {bytes:,} bytes: it was {seconds:.1f} s behind",
            messages=gap.messages,
            bytes=gap.bytes,
            seconds=gap.seconds,
        )
        return self.dialogue.skipped(gap, first, again)

    def end(self, reason: CloseReason, lag: Lag) -> None:
        if not self.lifecycle.ending:
            self.dialogue.cut(self, reason)
        self.abort(reason, f"it was {lag}" if lag.messages else "")

    @property
    def counts(self) -> bool:
        return self.in_session

    def fail(self, error: Exception) -> None:
        self.logger.failure("subscriber {peer}: delivery failed", failure=Failure(error), peer=self.who)
        self.abort(CloseReason.ERROR)

    # What the transport calls

    def pauseProducing(self) -> None:
        if self.source.subscription is not None:
            self.source.hub.pause(self.source.subscription)

    def resumeProducing(self) -> None:
        if self.source.subscription is not None:
            self.source.hub.resume(self.source.subscription)

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""

    def dataReceived(self, data: bytes) -> None:
        self._quiet = 0
        self.dialogue.received(self, data)

    def readConnectionLost(self) -> None:
        self._peer_finished = True
        if self.state is State.FINISHING:
            self.outlet.close()
        else:
            probe_soon(self.link)

    def writeConnectionLost(self) -> None:
        """We closed our half; `readConnectionLost` follows when the peer has closed its own."""

    # What the dialogue calls

    def insert(self, data: bytes) -> bool:
        """Send `data`, no message, between two messages. Returns False, without sending, while the tail is not sent."""
        subscription = self.source.subscription
        if subscription is None or self.lifecycle.ending:
            return True
        if subscription.cursor.tail:
            return False
        self.source.hub.insert(subscription, data)
        return True

    def move(self, position: int, data: bytes) -> None:
        """Send `data` after the current message, and go on with the message at `position` of the hub's log."""
        if self.source.subscription is not None:
            self.source.hub.move(self.source.subscription, position, data)

    def rest(self) -> bytes:
        """The unsent rest of the current message, and of what was inserted."""
        subscription = self.source.subscription
        return b"" if subscription is None else subscription.cursor.rest()

    def last_word(self, data: bytes) -> None:
        """Send `data` after the current message if the transport takes it at once: the connection is about to be cut.

        What a transport would only copy is not sent: cutting drops it.
        """
        if not isinstance(self.outlet, CopyingOutlet):
            with suppress(OSError):
                self.outlet.send(self.rest() + data)

    def leave(self, reason: CloseReason, farewell: bytes, why: str = "") -> None:
        if self.lifecycle.attached:
            super().leave(reason, self.rest() + farewell, why)

    # What the factory, the drain and the statistics call

    @property
    def state(self) -> State:
        """What the connection is doing. It counts as live only if its source is live too."""
        state = self.lifecycle.state
        return State.LAGGING if state is State.LIVE and not self.source.live else state

    @property
    def tally(self) -> Tally:
        return self.source.tally()

    def lag(self, clock: Callable[[], float]) -> Lag | None:
        return lag_of(self.source, clock)

    @property
    def next(self) -> int | None:
        return self.source.next(exact=False) if self.lifecycle.attached else None

    def sweep(self) -> None:
        """Notice the end of a peer that the reactor no longer watches, and cut one that does not take its end."""
        if self._peer_finished and failed(self.link):
            self.abort(CloseReason.CONNECTION_LOST)
        elif self._peer_finished and hung_up(self.link):
            self.abort(CloseReason.PEER_CLOSED)
        self.sweep_leave()
        self.dialogue.sweep(self)

    def drain(self) -> None:
        """End our half once the subscriber has everything. To be repeated until the connection is gone.

        The peer then closes its own half, or is closed when it has everything and is quiet. What it sends until then is
        read, because closing a socket with unread bytes in it destroys what is on its way to the peer.
        """
        state = self.state
        if state in (State.ACCEPTED, State.HANDSHAKE):
            self.abort(CloseReason.SHUTDOWN)
        elif state is State.FINISHING:
            self._close_if_quiet()
        elif state is State.LIVE:
            farewell = self.dialogue.farewell(CloseReason.SHUTDOWN)
            self._begin_end(CloseReason.SHUTDOWN, State.FINISHING)
            self._finish(farewell)

    def _close_if_quiet(self) -> None:
        """Close once the peer's kernel has everything and the peer has been silent for `QUIET` looks."""
        self._quiet = self._quiet + 1 if acknowledged(self.link) else 0
        if self._quiet > QUIET:
            self.outlet.close()

    def _finish(self, last: bytes) -> None:
        if last:
            self.link.write(last)
        if self._peer_finished:
            self.outlet.close()
        else:
            self.outlet.finish()

    def cut(self) -> None:
        subscription = self.source.subscription
        if self.state is State.FINISHING:
            self.lifecycle.become(State.CUT)
            self.outlet.drop()  # the kernel has everything, and still sends it
        elif self.lifecycle.attached and subscription is not None:
            self.source.hub.end(subscription, CloseReason.SHUTDOWN)
        else:
            super().cut()

    def _begin_end(self, reason: CloseReason, state: State) -> bool:
        first = super()._begin_end(reason, state)
        if first and self.source.subscription is not None:
            self.source.hub.detach(self.source.subscription)
            self.link.unregisterProducer()
            self.dialogue.ended()
        return first

    def _end(self) -> None:
        if self.source.subscription is not None:
            self.source.hub.detach(self.source.subscription)
        self.dialogue.ended()
        tally = self.tally
        self._log_end(
            "{messages:,} messages, {bytes:,} bytes{lost}",
            messages=tally.messages,
            bytes=tally.bytes,
            skipped=tally.skipped,
            lost=f", {tally.skipped:,} messages skipped" if tally.skipped else "",
        )
        self.__dict__.pop("deliver", None)  # they refer to us or to the socket
        self.__dict__.pop("deliver_one", None)

    def _reason_of_loss(self, failure: Failure) -> CloseReason:
        if self._peer_finished:
            return CloseReason.PEER_CLOSED  # it said that it would send no more, so our reset found it gone
        return super()._reason_of_loss(failure)


class SubscriberFactory(Factory):
    """Accepts subscribers, on any number of ports."""

    noisy = False

    def __init__(self, registry: Registry, hub: Hub, publish: str, sessions: Sessions | None = None) -> None:
        """`publish`: where publishers connect, as a hint for a peer that took the wrong port.

        `sessions`: what all sessions share; None for no sessions.
        """
        self.registry = registry
        self._hub = hub
        self._publish = publish
        self._sessions = sessions

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Sweep each subscriber."""
        for subscriber in tuple(self.registry.open):
            cast(Subscriber, subscriber).sweep()

    def buildProtocol(self, addr: IAddress | None) -> Subscriber:
        sessions, publish = self._sessions, self._publish
        dialogue = Silence(publish) if sessions is None else Listening(sessions, publish)
        return Subscriber(self.registry, addr, HubSource(self._hub), dialogue)
