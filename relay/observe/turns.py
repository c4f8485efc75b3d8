"""How long the reactor's turns are, which is how long anybody may have to wait: measured now and then, not always."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from relay.core.timing import Every

BOUNDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Seconds: from a turn in which little happens to one that everybody notices."""

MEASURE = 0.25
"""Seconds between two turns that are measured."""


class Turns:
    """Counts turns by their length."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], clock: Callable[[], float]) -> None:
        """`call_soon` runs a function in the next turn; `clock` is in seconds and never goes back."""
        self.counts = [0] * (len(BOUNDS) + 1)
        """How many were at most as long as each bound, but longer than the one before; the last: longer than all."""
        self.seconds = 0.0
        """How long all of them were together."""
        self._call_soon = call_soon
        self._clock = clock
        self._began = 0.0

    def register(self, every: Every) -> None:
        """Have `measure` called."""
        every(MEASURE, self.measure)

    def measure(self, passed: float) -> None:
        """Measure the turn that begins now; to be called by a timer, some times a second."""
        self._began = self._clock()
        self._call_soon(self._end)

    def _end(self) -> None:
        seconds = self._clock() - self._began
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
