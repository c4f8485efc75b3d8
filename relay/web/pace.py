"""How fast subscribers that lag take what they are given, and when they will have fallen too far behind.

A slow reader takes nothing for seconds, and then much at once: its kernel gives room free in large pieces. So what it
has taken is compared with what it had taken `WINDOW` seconds ago, or twice that.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

WINDOW = 15.0
"""Seconds: longer than most slow readers pause, and short enough that the figure is of now."""
LEAST = 3.0
"""Seconds after which there is a first figure."""


class Mark(NamedTuple):
    """What was known of a subscriber at one moment."""

    time: float
    """Seconds of a steady clock."""
    given: int
    """Bytes that it had been given."""
    lacks: int
    """Bytes that it was behind."""


class Pace(NamedTuple):
    """How a subscriber has fared lately."""

    rate: float
    """Bytes a second that it has taken."""
    growth: float
    """Bytes a second by which it has fallen further behind; less than 0 if it catches up."""

    def words(self, room: int | None) -> str:
        """The pace, for people. `room`: bytes that it may yet fall behind before it is cut; None if it never is."""
        said = f"takes {self.rate / 1000:,.1f} kB/s, "
        if self.growth <= 0:
            return f"{said}and catches up"
        if room is None:
            return f"{said}less than it is sent"
        left = max(0.0, room / self.growth)
        many = f"{left:,.0f} s" if left < 100 else f"{left / 60:,.0f} min" if left < 6000 else f"{left / 3600:,.0f} h"
        return f"{said}less than it is sent: too far behind in about {many}"


class Paces:
    """The pace of each subscriber that is looked at again and again."""

    def __init__(self) -> None:
        self._marks: dict[int, tuple[Mark, Mark]] = {}  # by the number of the connection: the older and the newer one

    def see(self, number: int, mark: Mark) -> Pace | None:
        """The pace of the connection `number`, of which `mark` is known now; None if it was not seen for long yet."""
        older, newer = self._marks.get(number, (mark, mark))
        if mark.time - newer.time >= WINDOW:
            older, newer = newer, mark
        self._marks[number] = older, newer
        seconds = mark.time - older.time
        if seconds < LEAST:
            return None
        return Pace((mark.given - older.given) / seconds, (mark.lacks - older.lacks) / seconds)

    def keep(self, numbers: Collection[int]) -> None:
        """Forget all connections but these."""
        self._marks = {number: marks for number, marks in self._marks.items() if number in numbers}
