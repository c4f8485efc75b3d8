"""Publishers: connections whose bytes are split into messages for the hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from relay.core.cursor import Tally
from relay.core.hub import Hub
from relay.core.state import State
from relay.peers.connection import Connection
from relay.peers.registry import Registry
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Frames, Framing, MessageTooLong
from relay.wire.signature import looks_like


class Publishers(Protocol):
    """What a publisher needs of the object that pauses and resumes all of them (`relay.peers.intake`)."""

    def add(self, publisher: Publisher) -> None:
        """Add a publisher. It may be paused at once."""
        ...

    def remove(self, publisher: Publisher) -> None:
        """Forget a publisher. It need not have been added."""
        ...


class Publisher(Connection):
    """One publisher's connection."""

    logger = Logger()

    def __init__(
        self, registry: Registry, address: IAddress | None, hub: Hub, framing: Framing, publishers: Publishers
    ) -> None:
        """`framing`: splits this connection's stream. `publishers`: told of this one's beginning and end."""
        super().__init__(registry, address)
        self.messages = 0
        self.bytes = 0
        self._hub = hub
        self._framing = framing
        self._publishers = publishers
        self._complete = 0  # messages that were complete at the last sweep that looked for an incomplete one
        self._incomplete_for: float | None = None  # at least so many seconds; None if no sweep has seen it

    def _begin(self) -> None:
        self.lifecycle.become(State.OPEN)
        self._publishers.add(self)

    def dataReceived(self, data: bytes) -> None:
        if self.reason is not None:
            return  # over TLS, bytes come until the peer has closed its side too
        try:
            frames = self._framing.receive(data)
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
        """Cut the publisher if a message has been incomplete for `timeout` seconds.

        `passed`: seconds since the last sweep, during which the publisher was read.
        """
        if not self._framing.partial or self.messages != self._complete:
            self._complete = self.messages
            self._incomplete_for = None
            return
        self._incomplete_for = 0.0 if self._incomplete_for is None else self._incomplete_for + passed
        if self._incomplete_for >= timeout:
            self.abort(CloseReason.FRAME_TIMEOUT, f"it began a message and did not complete it in {timeout:g} s")

    def pause(self) -> None:
        """Read no more from this publisher. Flow control stops it once the buffers in between are full."""
        if self.state is State.OPEN:
            self.lifecycle.become(State.HELD)
        self.link.pauseProducing()

    def resume(self) -> None:
        """Read from this publisher again."""
        if self.state is State.HELD:
            self.lifecycle.become(State.OPEN)
        self.link.resumeProducing()

    @property
    def tally(self) -> Tally:
        return Tally(self.messages, self.bytes, 0)

    def _end(self) -> None:
        self._publishers.remove(self)
        partial = self._framing.partial
        self._log_end(
            "{messages:,} messages, {bytes:,} bytes{lost}",
            messages=self.messages,
            bytes=self.bytes,
            partial=partial,
            lost=f", {partial:,} bytes of an incomplete message dropped" if partial else "",
        )


class PublisherFactory(Factory):
    """Accepts publishers, on any number of ports."""

    noisy = False

    def __init__(self, registry: Registry, hub: Hub, publishers: Publishers, framing: Callable[[], Framing]) -> None:
        """`framing`: makes the framing of one connection. `publishers`: told of each publisher's beginning and end."""
        self.registry = registry
        self._hub = hub
        self._publishers = publishers
        self._framing = framing

    def buildProtocol(self, addr: IAddress | None) -> Publisher:
        return Publisher(self.registry, addr, self._hub, self._framing(), self._publishers)
