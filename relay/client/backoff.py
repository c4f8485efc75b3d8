"""How long to wait before the next try: longer each time, and never the same for all."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """The waits between tries. `tries` counts those that failed in a row."""

    def __init__(
        self,
        first: float = 0.1,
        factor: float = 2.0,
        most: float = 30.0,
        jitter: float = 0.5,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`first`, `most`: seconds. `jitter`: the part of a wait that is left to `chance`, a number from 0 to 1."""
        self.first, self.factor, self.most, self.jitter = first, factor, most, jitter
        self._chance = chance
        self._wait = first
        self.tries = 0

    def succeeded(self) -> None:
        """Begin again with the shortest wait."""
        self._wait = self.first
        self.tries = 0

    def failed(self, retry: float | None = None) -> float:
        """Count a failure. Returns the seconds to wait; at least `retry`, if the relay told how long."""
        wait = self._wait * (1 - self.jitter * self._chance())
        self._wait = min(self.most, self._wait * self.factor)
        self.tries += 1
        if retry is not None:  # those who were told the same must not all come at once
            return max(retry, 0) + wait
        return wait
