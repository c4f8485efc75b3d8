"""The subscribers of a hub that have something to catch up on, and which of them is the slowest."""

from __future__ import annotations

from collections.abc import Iterator

from relay.core.cursor import Lag
from relay.core.log import Log
from relay.core.state import State
from relay.core.subscription import Subscription
from relay.core.timing import Clock


class Laggards:
    """Lagging subscribers. Their cursors stand in the log, or in the past."""

    def __init__(self, log: Log) -> None:
        """Begin with none. `log`: the hub's."""
        self.slowest = 0
        """No laggard needs a batch before this one; after `find_slowest`, the slowest needs it."""
        self._log = log
        self._members: dict[Subscription, None] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Subscription]:
        """All that there are now: some may be removed meanwhile."""
        return iter(tuple(self._members))

    def __contains__(self, subscription: Subscription) -> bool:
        return subscription in self._members

    def add(self, subscription: Subscription) -> None:
        """Note that a subscriber lags. Its cursor must stand already."""
        if not self._members:
            self.slowest = self._log.end
        self.moved(subscription)
        self._members[subscription] = None
        subscription.lifecycle.become(State.LAGGING)
        subscription.progress.begin()

    def moved(self, subscription: Subscription) -> None:
        """Note that the cursor of a subscriber was moved, which may be back."""
        self.slowest = min(self.slowest, subscription.cursor.needs(self._log))

    def remove(self, subscription: Subscription) -> None:
        """Note that a subscriber has everything, or is gone. Nothing happens if it does not lag."""
        self._members.pop(subscription, None)

    def find_slowest(self) -> int:
        """The oldest batch that a laggard needs; the end of the log if there is none."""
        self.slowest = min((one.cursor.needs(self._log) for one in self._members), default=self._log.end)
        return self.slowest

    def beyond(self, memory: int) -> bool:
        """Whether a laggard needs more of the log than its newest `memory` bytes."""
        behind = self._log.behind
        return bool(self._members) and behind(self.slowest) > memory and behind(self.find_slowest()) > memory

    def furthest(self, clock: Clock) -> Lag:
        """How far the slowest is behind. There must be one."""
        return min(self._members, key=lambda one: one.cursor.next(exact=False)).lag(clock)

    def stalled(self, timeout: float, passed: float) -> Iterator[Subscription]:
        """Those that have made no progress for `timeout` seconds, 0 for never. `passed`: seconds since it was asked."""
        for one in self:
            waiting = one.lifecycle.state is State.WAITING and one.consumer.stalls
            one.progress.look(waiting, one.consumer.unsent(), passed)
            if 0 < timeout <= one.progress.idle:
                yield one
