"""A publisher's session: its messages are counted, under its name if it gave one, and acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPushProducer, ITCPTransport
from zope.interface import implementer

from relay.peers.heartbeat import Heartbeat
from relay.peers.sessions import SERVER, Sessions
from relay.wire import answer
from relay.wire.answer import Ack, Answer, Bye, Error, PublisherWelcome
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Frames
from relay.wire.hello import PublisherHello

if TYPE_CHECKING:
    from relay.peers.publisher import Publisher

RETRY = 1.0
"""Seconds after which the peers of a relay that stops should come back: often another relay runs by then."""


@implementer(IPushProducer)
class PublisherSession:
    """One publisher's session.

    It is the producer of its connection, so that a publisher that does not read its acks is sent no more of them.
    """

    def __init__(self, publisher: Publisher, hello: PublisherHello, sessions: Sessions) -> None:
        """Begin: take the name from who has it, and welcome the publisher."""
        self.name = hello.name
        self._publisher = publisher
        self._sessions = sessions
        self._full = False  # whether the transport has said pause
        self.key = publisher.subject, hello.name
        self._before = 0  # messages accepted under the name before this connection
        known = False
        if hello.name:
            known = self.key in sessions.names
            name, older = sessions.names.take(self.key, self)
            self._before = name.count
            if isinstance(older, PublisherSession):
                older.leave(CloseReason.REPLACED)
        self._acked = self._before
        sessions.open[publisher.role, publisher.feed] += 1
        publisher.link.registerProducer(self, True)
        if ITCPTransport.providedBy(publisher.transport):
            publisher.transport.setTcpNoDelay(True)  # an ack must not wait until the peer has acknowledged the last
        self._known = known
        self._accepted: int | None = None  # None until the publisher is welcomed
        self._heartbeat = Heartbeat(sessions.call_later, hello.heartbeat, self._beat)
        sessions.acks.begin(self)

    @property
    def accepted(self) -> int:
        """Messages of the name, or of the connection without one, that are accepted with the next flush."""
        return self._before + self._publisher.messages

    @property
    def sent(self) -> int:
        """Messages that the publisher has sent on this connection."""
        return self._publisher.messages

    def admit(self, known: bool, accepted: int) -> None:
        """Note whether the name was known, and what was accepted under it before this connection."""
        self._known, self._before, self._acked = known, accepted, accepted

    @property
    def unacknowledged(self) -> int:
        """Messages that the publisher has sent and was not told of."""
        return self.accepted - self._acked

    def publish(self, frames: list[Frames]) -> None:
        """Publish the frames of one read, and acknowledge them once they are accepted."""
        self._sessions.acks.publishing(self, frames)
        self._sessions.hub.publish(frames)
        self._sessions.acks.note(self)

    def acknowledge(self, accepted: int) -> None:
        """Tell the publisher that `accepted` messages are, if it does not know. The first time, welcome it."""
        welcomed, self._accepted = self._accepted is not None, accepted
        if not welcomed:
            self._acked = accepted
            sessions = self._sessions
            epoch = sessions.starts.epoch
            self._send(PublisherWelcome(accepted, self._known, sessions.ack, epoch, sessions.max_message, SERVER))
        elif accepted > self._acked and not self._full:
            self._sessions.acks_sent += 1
            self._acked = accepted
            self._send(Ack(accepted))

    def _look(self) -> int | None:
        """How much is accepted by now; None if the publisher is not welcomed yet."""
        if self._accepted is not None:
            self._accepted = self._sessions.acks.accepted(self, self._accepted)
        return self._accepted

    def _beat(self) -> None:
        if not self._full and (accepted := self._look()) is not None:
            self._acked = accepted
            self._send(answer.Heartbeat(accepted=accepted))

    def _send(self, said: Answer) -> None:
        self._publisher.link.write(self._sessions.frame(said.write()))

    # Its end

    def leave(self, reason: CloseReason, error: str = "") -> None:
        """End the connection for `reason`, after the last ack. `error`: what the peer did wrong, in words for it."""
        accepted = self._look()
        last: list[Answer] = [Ack(accepted)] if accepted is not None and accepted > self._acked else []
        self._sessions.acks_sent += len(last)
        if error:
            last.append(Error(error))
        elif reason is not CloseReason.PEER_CLOSED:
            retry = RETRY if reason is CloseReason.SHUTDOWN else None
            last.append(Bye(str(reason), accepted=accepted, retry=retry))
        self._acked = accepted or self._acked
        farewell = b"".join(self._sessions.frame(said.write()) for said in last)
        self._publisher.leave(reason, farewell, f"it sent {error}" if error else "")

    def stop(self) -> None:
        """Say nothing more: the connection has begun to end."""
        self._heartbeat.stop()
        self._sessions.acks.forget(self)
        self._publisher.link.unregisterProducer()

    def ended(self) -> None:
        """The connection is gone, and the name is free."""
        self._heartbeat.stop()
        self._sessions.acks.forget(self)
        self._sessions.open[self._publisher.role, self._publisher.feed] -= 1
        if self.name:
            self._sessions.names.release(self.key, self)

    # What the transport calls

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False
        if (accepted := self._look()) is not None:
            self.acknowledge(accepted)

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""
