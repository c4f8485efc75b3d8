"""What is said on a subscriber's connection besides messages: an answer before them, an end after them, and to whatever
the peer says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from relay.wire.close_reason import CloseReason
from relay.wire.signature import looks_like

if TYPE_CHECKING:
    from relay.peers.subscriber import Subscriber


class Dialogue(Protocol):
    """One subscriber's conversation with the relay."""

    def begin(self, subscriber: Subscriber) -> None:
        """The subscriber is about to be attached."""
        ...

    def greeting(self, first: int) -> bytes:
        """What is sent before all messages, the first of which will be the one at that position."""
        ...

    def farewell(self, reason: CloseReason) -> bytes:
        """What ends the stream, after a whole message."""
        ...

    def received(self, subscriber: Subscriber, data: bytes) -> None:
        """The peer sent something."""
        ...

    def cut(self, subscriber: Subscriber, reason: CloseReason) -> None:
        """The connection is about to be cut: say so, if the peer takes that at once."""
        ...

    def sweep(self, subscriber: Subscriber) -> None:
        """Do what has to be done every second."""
        ...


class Silence:
    """Nothing is said, and what the peer says is thrown away. The log says so once."""

    __slots__ = ("_heard", "_publish")

    def __init__(self, publish: str) -> None:
        """`publish`: where publishers connect, for those who took the wrong port."""
        self._heard = False
        self._publish = publish

    def begin(self, subscriber: Subscriber) -> None:
        """There is nothing to prepare."""

    def greeting(self, first: int) -> bytes:
        return b""

    def farewell(self, reason: CloseReason) -> bytes:
        return b""

    def received(self, subscriber: Subscriber, data: bytes) -> None:
        if self._heard:
            return
        self._heard = True
        looks = looks_like(data)
        subscriber.info(
            "subscriber {peer} sends data{hint}, which is thrown away: publishers belong on {publish}",
            hint=f" that looks like {looks}" if looks else "",
            publish=self._publish,
        )

    def cut(self, subscriber: Subscriber, reason: CloseReason) -> None:
        """The reset says it."""

    def sweep(self, subscriber: Subscriber) -> None:
        """There is nothing to do."""
