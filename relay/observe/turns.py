"""Lengths of the reactor's turns, as a sample. A turn's length is how long everything else has to wait."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from relay.core.timing import Every

BOUNDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Seconds: from a turn in which little happens to one that everybody notices. `Turns.counts` has one count for each."""

MEASURE = 0.25
"""Seconds between two turns that are measured."""


class Turns:
    """Counts turns by their length."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], clock: Callable[[], float]) -> None:
        """`call_soon`: runs a function in the next turn. `clock`: in seconds; never goes back."""
        self.counts = [0] * (len(BOUNDS) + 1)
        """Turns at most as long as each bound but longer than the bound before; the last counts those above all."""
        self.seconds = 0.0
        """Total length of the turns that were measured."""
        self._call_soon = call_soon
        self._clock = clock
        self._began = 0.0

    def register(self, every: Every) -> None:
        """Have `measure` called."""
        every(MEASURE, self.measure)

    def measure(self, passed: float) -> None:
        """Measure from here to the beginning of the next turn."""
        self._began = self._clock()
        self._call_soon(self._end)

    def _end(self) -> None:
        seconds = self._clock() - self._began
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
