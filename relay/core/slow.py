"""Slow policies: what happens to a subscriber that falls further behind than the log reaches.

A policy is asked at two moments. When a batch is about to be dropped that a subscriber still needs, it says what
becomes of that subscriber (`overrun`). And, if it `holds` publishers at all, it is asked after each delivery, and
whenever subscribers have moved, whether publishers are to wait. It keeps nothing of its own, so that one object serves
every hub and another can take its place at any time.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from relay.core.cursor import Lag
from relay.core.subscription import Subscription
from relay.wire.close_reason import CloseReason


class Inflow(Protocol):
    """What the hub needs of the publishers, all together."""

    @property
    def alone(self) -> bool:
        """Whether there is but one of them, so that no other can be read in the same turn."""
        ...

    def pause(self, lag: Lag) -> None:
        """Read from no publisher, present or to come; the slowest subscriber is `lag` behind."""
        ...

    def resume(self) -> None:
        """Read from them again."""
        ...


class Overrunning(Protocol):
    """What a policy can have done about a subscriber: the hub does it."""

    def end(self, subscription: Subscription, reason: CloseReason) -> None:
        """End the subscriber, whether or not it has everything."""
        ...

    def skip(self, subscription: Subscription) -> None:
        """Move it to the newest messages, and tell it what it lost."""
        ...


class SlowPolicy:
    """Decides about subscribers that cannot keep up. One that says nothing else ends them, and holds no publishers."""

    name: ClassVar[str] = "disconnect"
    holds: ClassVar[bool] = False
    """Whether it ever has publishers wait, so that it has to be asked."""

    def overrun(self, hub: Overrunning, subscription: Subscription) -> None:
        """The log drops what that subscriber needs next: afterwards it must need it no more."""
        hub.end(subscription, CloseReason.OVERRUN)

    def hold(self, behind: int, limit: int, held: bool) -> bool:
        """Whether publishers are to wait.

        `behind`: bytes that the log keeps for the slowest subscriber, of `limit`. `held`: whether they wait already.
        """
        return False


class Disconnect(SlowPolicy):
    """Ends them: a gap that nobody is told of would be worse than a connection that ends."""


class Skip(SlowPolicy):
    """Goes on with the newest messages. The gap is counted."""

    name = "skip"

    def overrun(self, hub: Overrunning, subscription: Subscription) -> None:
        hub.skip(subscription)


class Block(SlowPolicy):
    """Has publishers wait, so that it does not come to an overrun: half of the log is left for what is on its way."""

    name = "block"
    holds = True

    def hold(self, behind: int, limit: int, held: bool) -> bool:
        return behind >= limit // 4 if held else behind > limit // 2


SLOW_POLICIES: dict[str, SlowPolicy] = {policy.name: policy for policy in (Disconnect(), Skip(), Block())}
"""What `--slow` may say."""
