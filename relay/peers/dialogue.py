"""What is said on a subscriber's connection besides messages: before them, after them, and in reply to the peer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from relay.core.cursor import Lag
from relay.wire.close_reason import CloseReason
from relay.wire.signature import looks_like

if TYPE_CHECKING:
    from relay.peers.subscriber import Subscriber


class Dialogue(Protocol):
    """One subscriber's conversation with the relay."""

    def begin(self, subscriber: Subscriber) -> None:
        """Prepare: `subscriber` is about to be attached."""
        ...

    def greeting(self, first: int) -> bytes:
        """What to send before all messages. `first`: position of the first message."""
        ...

    def farewell(self, reason: CloseReason) -> bytes:
        """What to send at the end of the stream, after a whole message."""
        ...

    def received(self, subscriber: Subscriber, data: bytes) -> None:
        """The peer sent `data`."""
        ...

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        """What to send about a gap, as `relay.core.subscription.Consumer.skipped` says."""
        ...

    def cut(self, subscriber: Subscriber, reason: CloseReason) -> None:
        """Tell the peer that its connection is about to be cut for `reason`, if it takes that at once."""
        ...

    def sweep(self, subscriber: Subscriber) -> None:
        """Do what is due every second (`SWEEP`)."""
        ...

    def ended(self) -> None:
        """The connection has begun to end: nothing can be said any more. May be called again."""
        ...


class Silence:
    """Nothing is said, and what the peer says is thrown away; the log says so once per connection."""

    __slots__ = ("_heard", "_publish")

    def __init__(self, publish: str) -> None:
        """`publish`: where publishers connect, as a hint for a peer that took the wrong port."""
        self._heard = False
        self._publish = publish

    def begin(self, subscriber: Subscriber) -> None:
        """Nothing to prepare."""

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

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        return b""

    def cut(self, subscriber: Subscriber, reason: CloseReason) -> None:
        """The reset of the connection tells the peer."""

    def sweep(self, subscriber: Subscriber) -> None:
        """Nothing is due."""

    def ended(self) -> None:
        """Nothing is held."""
