"""Holds publishers while the slowest subscriber is too far behind, if the slow policy says so (`--slow block`)."""

from __future__ import annotations

from collections.abc import Callable

from relay.core.cursor import Lag
from relay.core.slow import Inflow, SlowPolicy
from relay.core.timing import CallSoon


class Throttle:
    """Decides when publishers wait for subscribers."""

    def __init__(
        self,
        inflow: Inflow,
        call_soon: CallSoon,
        policy: Callable[[], SlowPolicy],
        backlog: Callable[[], tuple[int, int]],
        furthest: Callable[[], Lag],
    ) -> None:
        """`inflow`: all publishers. `policy`: the one in force. `furthest`: how far the slowest subscriber is behind.

        `backlog`: how many bytes are kept for the slowest subscriber, and how many may be.
        """
        self.holds = False
        """Whether publishers wait."""
        self._inflow = inflow
        self._call_soon = call_soon
        self._policy = policy
        self._backlog = backlog
        self._furthest = furthest
        self._scheduled = False

    def look(self) -> None:
        """Hold publishers or let them go on."""
        self._scheduled = False
        behind, limit = self._backlog()
        hold = self._policy().hold(behind, limit, self.holds)
        if hold and not self.holds:
            self.holds = True
            self._inflow.pause(self._furthest())
        elif self.holds and not hold:
            self.holds = False
            self._inflow.resume()

    def look_soon(self) -> None:
        """If publishers wait, look once a turn, however many subscribers moved in it."""
        if self.holds and not self._scheduled:
            self._scheduled = True
            self._call_soon(self.look)
