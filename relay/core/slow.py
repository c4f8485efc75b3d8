"""Slow policies: what happens to a subscriber that falls further behind than the log reaches.

A policy is asked at two moments. When a batch that a subscriber still needs is about to be dropped, the policy decides
what becomes of that subscriber (`overrun`). And if the policy `holds` publishers at all, it is asked whether they must
wait: after each delivery, and when subscribers have moved while publishers wait. A policy has no state, so that one
object serves every hub and can be replaced at any time.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from relay.core.cursor import Lag
from relay.core.subscription import Subscription
from relay.wire.close_reason import CloseReason


class Inflow(Protocol):
    """What the hub needs of all publishers together."""

    @property
    def alone(self) -> bool:
        """Whether there is only one publisher, so that no other can be read in the same turn."""
        ...

    def pause(self, lag: Lag) -> None:
        """Stop reading from all publishers, present and future: the slowest subscriber is `lag` behind."""
        ...

    def resume(self) -> None:
        """Read from all publishers again."""
        ...


class Overrunning(Protocol):
    """What a policy can ask the hub to do with a subscriber."""

    def end(self, subscription: Subscription, reason: CloseReason) -> None:
        """End the subscriber, whether or not it has everything."""
        ...

    def skip(self, subscription: Subscription) -> None:
        """Move the subscriber to the newest messages, and tell its consumer what it lost."""
        ...


class SlowPolicy:
    """Decides about subscribers that cannot keep up. The default is to end them, and never to hold publishers."""

    name: ClassVar[str] = "disconnect"
    holds: ClassVar[bool] = False
    """Whether it ever makes publishers wait, so that `hold` must be asked."""

    def overrun(self, hub: Overrunning, subscription: Subscription) -> None:
        """The log is about to drop what the subscriber needs next: end the subscriber, or move it."""
        hub.end(subscription, CloseReason.OVERRUN)

    def hold(self, behind: int, limit: int, held: bool) -> bool:
        """Whether publishers must wait.

        `behind`: bytes that the log keeps for the slowest subscriber. `limit`: bytes that the log may hold. `held`:
        whether publishers wait already.
        """
        return False


class Disconnect(SlowPolicy):
    """Ends slow subscribers: a gap that nobody is told of would be worse than a connection that ends."""


class Skip(SlowPolicy):
    """Moves slow subscribers on to the newest messages. The gap is counted."""

    name = "skip"

    def overrun(self, hub: Overrunning, subscription: Subscription) -> None:
        hub.skip(subscription)


class Block(SlowPolicy):
    """Makes publishers wait before anybody overruns: half of the log is left for what is already on its way."""

    name = "block"
    holds = True

    def hold(self, behind: int, limit: int, held: bool) -> bool:
        return behind >= limit // 4 if held else behind > limit // 2


SLOW_POLICIES: dict[str, SlowPolicy] = {policy.name: policy for policy in (Disconnect(), Skip(), Block())}
"""The values of `--slow`."""
