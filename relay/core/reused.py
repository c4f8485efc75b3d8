"""A value that is costly to make, and that many may ask for at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from relay.core.timing import Clock

Value = TypeVar("Value")

TIMES = 9
"""A value is given out again for so many times as long as it took to make: making it costs a tenth of the time at most,
however many ask. One that is made quickly is always new."""
MOST = 1.0
"""Most seconds for which a value is given out again."""


class Reused(Generic[Value]):
    """Makes a value when it is asked for, or gives out the last one again if that is new enough."""

    def __init__(self, make: Callable[[], Value], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._made: tuple[Value, float] | None = None  # the last value, and when another one is due

    def __call__(self) -> Value:
        begun = self._clock()
        if self._made is None or begun >= self._made[1]:
            value = self._make()
            ended = self._clock()
            self._made = (value, ended + min(TIMES * (ended - begun), MOST))
        return self._made[0]
