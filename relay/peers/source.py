"""Where a subscriber's messages come from: the hub itself, or a feed that encodes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from relay.core.cursor import NO_LAG, NOTHING, Lag, Tally
from relay.core.hub import Hub
from relay.core.subscription import Consumer, Subscription
from relay.core.timing import Clock


class Source(Protocol):
    """Where one subscriber gets its messages."""

    @property
    def hub(self) -> Hub:
        """The hub that delivers to the subscriber."""
        ...

    @property
    def subscription(self) -> Subscription | None:
        """The subscriber as its hub knows it; None before it is attached."""
        ...

    @property
    def live(self) -> bool:
        """Whether the subscriber's hub has every message, so that a live subscriber of it has everything too."""
        ...

    def attach(self, consumer: Consumer, greeting: Callable[[int], bytes]) -> bool:
        """Have messages delivered to `consumer` from now on.

        `greeting`: makes what is sent before all messages, from the position of the first. Returns False, and does
        nothing, if the messages that the subscriber wants cannot be had.
        """
        ...

    def next(self, *, exact: bool = True) -> int:
        """Position, in the log of the main hub, of the first message of which the subscriber was given nothing.

        `exact`: if False, no message is looked at, and the position may be too early by at most a batch.
        """
        ...

    def tally(self) -> Tally:
        """What the subscriber was given so far."""
        ...

    def behind(self) -> Lag:
        """How far the subscriber's hub itself is behind the newest message."""
        ...


def lag_of(source: Source, clock: Clock) -> Lag | None:
    """How far a subscriber is behind, too much by at most a batch; None if it is not behind, or not attached."""
    subscription = source.subscription
    if subscription is None or not subscription.attached:
        return None
    own = None if subscription.cursor.live else subscription.lag(clock, exact=False)
    return own if source.live else (own or NO_LAG) + source.behind()


class HubSource:
    """The messages as publishers sent them, from the hub itself."""

    __slots__ = ("hub", "subscription")

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.subscription: Subscription | None = None

    @property
    def live(self) -> bool:
        return True

    def attach(self, consumer: Consumer, greeting: Callable[[int], bytes]) -> bool:
        hub = self.hub
        hub.flush()
        first = hub.recent(hub.replay)
        self.subscription = hub.attach(consumer, first, greeting(first))
        return True

    def next(self, *, exact: bool = True) -> int:
        return self.hub.log.next if self.subscription is None else self.subscription.cursor.next(exact=exact)

    def tally(self) -> Tally:
        return NOTHING if self.subscription is None else self.subscription.given()

    def behind(self) -> Lag:
        return NO_LAG
