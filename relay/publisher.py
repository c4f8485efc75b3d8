"""Publishers: connections whose bytes are split into messages, which go to the hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.connection import Accepted, Connection, looks_like
from relay.cursor import Lag
from relay.framing import Frames, Framing, MessageTooLong
from relay.hub import Hub
from relay.reasons import CloseReason


class Publisher(Connection):
    """One publisher's connection."""

    role = "publisher"
    log = Logger()

    def __init__(self, accepted: Accepted, hub: Hub, framing: Framing, intake: Intake) -> None:
        super().__init__(accepted)
        self.messages = 0
        self.bytes = 0
        self._hub = hub
        self._framing = framing
        self._intake = intake

    def connectionMade(self) -> None:
        super().connectionMade()
        self._intake.add(self)

    def dataReceived(self, data: bytes) -> None:
        try:
            frames = self._framing.feed(data)
        except MessageTooLong as error:
            self._publish(error.frames)
            self._refuse(error)
        else:
            self._publish(frames)

    def _publish(self, frames: list[Frames]) -> None:
        if not frames:
            return
        for data, messages, _ in frames:
            self.messages += messages
            self.bytes += len(data)
        self._hub.publish(frames)

    def _refuse(self, error: MessageTooLong) -> None:
        looks = looks_like(error.start) if not self.messages else None
        self.log.warn(
            "publisher {peer} sent {error}{hint}",
            peer=self.peer,
            error=error,
            length=error.length,
            limit=error.limit,
            hint=f"; it looks like {looks}, which does not belong on this port" if looks else "",
        )
        self.abort(CloseReason.MESSAGE_TOO_LONG)

    def pause(self) -> None:
        """Read no more from this publisher, and let its own system stop it when its buffers are full."""
        cast(IPushProducer, self.transport).pauseProducing()

    def resume(self) -> None:
        """Read from it again."""
        cast(IPushProducer, self.transport).resumeProducing()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        super().connectionLost(reason)
        self._intake.remove(self)
        self.log.info(
            "publisher {peer} disconnected: {reason}, {messages:,} messages, {bytes:,} bytes{lost}",
            peer=self.peer,
            reason=self.reason,
            messages=self.messages,
            bytes=self.bytes,
            partial=self._framing.partial,
            lost=f", {self._framing.partial:,} bytes of an incomplete message dropped" if self._framing.partial else "",
        )


class Intake:
    """All publishers together, which the slow policy `block` stops and starts."""

    log = Logger()

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is in seconds and never goes back."""
        self._clock = clock
        self._publishers: dict[Publisher, None] = {}
        self._paused_since: float | None = None

    @property
    def paused(self) -> bool:
        return self._paused_since is not None

    def add(self, publisher: Publisher) -> None:
        """A publisher that connects while the others wait has to wait too."""
        self._publishers[publisher] = None
        if self.paused:
            publisher.pause()

    def remove(self, publisher: Publisher) -> None:
        del self._publishers[publisher]

    def pause(self, lag: Lag) -> None:
        """Read from no publisher, present or to come; the slowest subscriber is `lag` behind."""
        self._paused_since = self._clock()
        for publisher in self._publishers:
            publisher.pause()
        self.log.warn(
            "publishers wait: the slowest subscriber is {messages:,} messages, {bytes:,} bytes, {seconds:.1f} s behind",
            messages=lag.messages,
            bytes=lag.bytes,
            seconds=lag.seconds,
        )

    def resume(self) -> None:
        """Read from them again."""
        assert self._paused_since is not None
        waited = self._clock() - self._paused_since
        self._paused_since = None
        for publisher in self._publishers:
            publisher.resume()
        self.log.info("publishers go on, after {seconds:.1f} s", seconds=waited)


class PublisherFactory(Factory):
    """Accepts publishers, on any number of ports."""

    noisy = False

    def __init__(self, hub: Hub, intake: Intake, framing: Callable[[], Framing]) -> None:
        """`framing` makes what reads one connection's stream."""
        self.accepted = Accepted()
        self._hub = hub
        self._intake = intake
        self._framing = framing

    def buildProtocol(self, addr: IAddress | None) -> Publisher:
        return Publisher(self.accepted, self._hub, self._framing(), self._intake)
