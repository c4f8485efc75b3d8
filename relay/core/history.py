"""History: what the hub's log keeps for subscribers that come back, though nobody lags.

A subscriber that may come back and say where it stopped (a session, a browser) needs messages that everybody has been
given. For those the log keeps five eighths of the buffer once such a subscriber has been there. It does not in a flood:
the history would reach back less than two seconds, and memory that is not used again at once costs up to a tenth of the
rate. Then it keeps a little, which stays in the processor's cache.

Who comes back may begin at most so far back that there is room to catch up in while messages keep coming, also where
the log is full because somebody else lags.
"""

from __future__ import annotations

from relay.core.hub import Hub
from relay.core.timing import SWEEP, Every

KEPT = 5
"""Eighths of the buffer that the hub's log keeps for subscribers that come back."""
LEFT = 1
"""Eighths of the buffer, at least, between the oldest message that the hub's log can hold, when borrowers hold all that
they may, and where one that comes back may begin: the time to catch up in while messages keep coming."""
LITTLE = 1024 * 1024
"""Bytes of history that the hub's log keeps when more would not pay: they stay in the processor's cache."""
ENOUGH = 2.0
"""Seconds of traffic that the buffer must be able to hold for history to be kept. In a flood the history would be too
short to come back to, and memory that is not used again at once costs a tenth of the rate (64-byte messages to 10
subscribers)."""


class History:
    """Decides how much of a hub's log is kept for those who come back, and how far back they may begin."""

    def __init__(self, hub: Hub) -> None:
        """Keep nothing yet."""
        self._hub = hub
        self._loan = hub.budget.loan()
        self._used = False  # whether there ever was a subscriber that may come back
        self._size = 0  # bytes ever published, at the last sweep

    @property
    def size(self) -> int:
        """Bytes that the hub's log keeps where that pays."""
        return self._hub.budget.size * KEPT // 8

    @property
    def reach(self) -> int:
        """The newest bytes of the log in which one that comes back may begin, however much more the log holds now."""
        budget = self._hub.budget
        return max(0, min(self.size, budget.least - budget.size * LEFT // 8))

    @property
    def first(self) -> int:
        """Position of the oldest message with which one that comes back may begin."""
        return self._hub.reach(self.reach)

    def keep_little(self) -> None:
        """Keep a little from now on."""
        self._loan.keep(min(LITTLE, self.size))

    def use(self) -> None:
        """Keep history from now on: here is a subscriber that may come back."""
        if not self._used:
            self._used = True
            self._size = self._hub.log.size
            self._loan.keep(self.size)

    def excuse(self, size: int) -> None:
        """Note that `size` bytes that were published are no traffic: a mirror has fetched what is to be kept."""
        self._size += size

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Decide anew whether history pays. `passed`: seconds since the last sweep, as in `Hub.sweep`."""
        if not self._used:
            return
        size = self._hub.log.size
        grown, self._size = size - self._size, size
        if grown * ENOUGH < self._hub.budget.size * passed:
            self._loan.keep(self.size)
        else:
            self.keep_little()
