"""Where a subscriber's messages come from: the hub itself, or a feed that encodes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from relay.core.cursor import NO_LAG, NOTHING, Lag, Tally
from relay.core.hub import Hub
from relay.core.subscription import Consumer, Subscription
from relay.core.timing import Clock


class Source(Protocol):
    """One subscriber's way to its messages."""

    @property
    def hub(self) -> Hub:
        """The hub that delivers to the subscriber."""
        ...

    @property
    def subscription(self) -> Subscription | None:
        """The subscriber as that hub has it; None before it is attached."""
        ...

    @property
    def live(self) -> bool:
        """Whether that hub has all messages, so that who has everything of it has everything."""
        ...

    def attach(self, consumer: Consumer, greeting: Callable[[int], bytes]) -> bool:
        """Have messages delivered from now on.

        `greeting`: what is sent before the message of a position, when that is the first. Returns False, and does
        nothing, if the messages that are wanted cannot be had.
        """
        ...

    def tally(self) -> Tally:
        """What the subscriber was given so far."""
        ...

    def behind(self) -> Lag:
        """How far that hub itself is behind."""
        ...


def lag_of(source: Source, clock: Clock) -> Lag | None:
    """How far a subscriber is behind, at most a batch more than it really is; None if it is not, or is detached."""
    subscription = source.subscription
    if subscription is None or not subscription.attached:
        return None
    own = None if subscription.cursor.live else subscription.cursor.lag(clock, exact=False)
    return own if source.live else (own or NO_LAG) + source.behind()


class HubSource:
    """The messages as publishers sent them."""

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

    def tally(self) -> Tally:
        return NOTHING if self.subscription is None else self.subscription.given()

    def behind(self) -> Lag:
        return NO_LAG
