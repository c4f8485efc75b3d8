"""Publishers: connections whose bytes are split into messages, which go to the hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from relay.core.cursor import Lag, Tally
from relay.core.hub import Hub
from relay.core.timing import SWEEP, Every
from relay.peers.connection import Accepted, Connection, looks_like
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Frames, Framing, MessageTooLong


class Publisher(Connection):
    """One publisher's connection."""

    log = Logger()

    def __init__(
        self, accepted: Accepted, address: IAddress | None, hub: Hub, framing: Framing, intake: Intake
    ) -> None:
        super().__init__(accepted, address)
        self.messages = 0
        self.bytes = 0
        self._hub = hub
        self._framing = framing
        self._intake = intake
        self._whole = 0  # messages that were complete when an incomplete one was last looked at
        self._late: float | None = None  # seconds that it has been incomplete for, at least

    def _begin(self) -> None:
        self._intake.add(self)

    def dataReceived(self, data: bytes) -> None:
        if self.reason is not None:
            return  # over TLS, bytes come until the peer has closed its side too
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
        hint = f"; it looks like {looks}, which does not belong on this port" if looks else ""
        self.abort(CloseReason.MESSAGE_TOO_LONG, f"it sent {error}{hint}")

    def sweep(self, passed: float, timeout: float) -> None:
        """The publisher was read for so many seconds: cut it if a message has been incomplete for the timeout."""
        if not self._framing.partial or self.messages != self._whole:
            self._whole = self.messages
            self._late = None
            return
        self._late = 0.0 if self._late is None else self._late + passed
        if self._late >= timeout:
            self.abort(CloseReason.FRAME_TIMEOUT, f"it began a message and did not complete it in {timeout:g} s")

    def pause(self) -> None:
        """Read no more from this publisher, and let its own system stop it when its buffers are full."""
        cast(IPushProducer, self.transport).pauseProducing()

    def resume(self) -> None:
        """Read from it again."""
        cast(IPushProducer, self.transport).resumeProducing()

    @property
    def tally(self) -> Tally:
        return Tally(self.messages, self.bytes, 0)

    @property
    def state(self) -> str:
        return "blocked" if self._intake.paused else "open"

    def _end(self) -> None:
        self._intake.remove(self)
        partial = self._framing.partial
        self._log_end(
            "{messages:,} messages, {bytes:,} bytes{lost}",
            messages=self.messages,
            bytes=self.bytes,
            partial=partial,
            lost=f", {partial:,} bytes of an incomplete message dropped" if partial else "",
        )


class Intake:
    """All publishers together: which `block` stops and starts, and of which none may leave a message incomplete."""

    log = Logger()

    def __init__(self, clock: Callable[[], float], frame_timeout: float = 30.0) -> None:
        """`clock` is in seconds and never goes back; `frame_timeout` in seconds, 0 for never."""
        self.frame_timeout = frame_timeout
        self._clock = clock
        self._publishers: dict[Publisher, None] = {}
        self._paused_since: float | None = None
        self._paused_before = 0.0  # seconds

    @property
    def paused(self) -> bool:
        return self._paused_since is not None

    @property
    def alone(self) -> bool:
        return len(self._publishers) == 1

    @property
    def seconds_paused(self) -> float:
        """For how long publishers were not read, in all."""
        return self._paused_before + (0.0 if self._paused_since is None else self._clock() - self._paused_since)

    def add(self, publisher: Publisher) -> None:
        """A publisher that connects while the others wait has to wait too."""
        self._publishers[publisher] = None
        if self.paused:
            publisher.pause()

    def remove(self, publisher: Publisher) -> None:
        self._publishers.pop(publisher, None)  # it may never have been one

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
        self._paused_before += waited
        self._paused_since = None
        for publisher in self._publishers:
            publisher.resume()
        self.log.info("publishers go on, after {seconds:.1f} s", seconds=waited)

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Cut publishers that leave a message incomplete; `passed` is the time since the last sweep, in seconds.

        Nobody can complete anything while we do not read.
        """
        if self.frame_timeout and not self.paused:
            for publisher in tuple(self._publishers):
                publisher.sweep(passed, self.frame_timeout)


class PublisherFactory(Factory):
    """Accepts publishers, on any number of ports."""

    noisy = False

    def __init__(self, accepted: Accepted, hub: Hub, intake: Intake, framing: Callable[[], Framing]) -> None:
        """`framing` makes what reads one connection's stream."""
        self.accepted = accepted
        self._hub = hub
        self._intake = intake
        self._framing = framing

    def register(self, every: Every) -> None:
        """Have swept what has to be."""
        self.accepted.register(every)
        self._intake.register(every)

    def buildProtocol(self, addr: IAddress | None) -> Publisher:
        return Publisher(self.accepted, addr, self._hub, self._framing(), self._intake)
