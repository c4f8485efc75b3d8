"""The publisher's output: a line for each message while a person can follow, otherwise a line per second."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from tester.message import describe
from tester.tally import Tally

FOLLOWED = 10  # messages per second: nobody reads more lines than that


class Report:
    """Counts what is sent, and writes lines about it. `clock` is in seconds."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._total = Tally(clock)
        self._second = Tally(clock)
        self._until = 0.0
        self._flood = False  # whether the last second had too many messages to show, or this one has

    def sent(self, payload: bytes) -> None:
        """Count one more message, and write about it."""
        now = self._clock()
        if now >= self._until:
            self._start_second(now)
        self._total.add(len(payload))
        self._second.add(len(payload))
        if self._second.messages > FOLLOWED:
            self._flood = True
        if not self._flood:
            self._write(describe(self._total.messages, payload, datetime.now()))

    def _start_second(self, now: float) -> None:
        if self._flood:
            self._write(f"up to #{self._total.messages:,}: {self._second.summary()}")
        self._flood = self._second.messages > FOLLOWED
        self._second = Tally(self._clock)
        self._until = now + 1.0

    @property
    def messages(self) -> int:
        """How many were sent."""
        return self._total.messages

    def summary(self) -> str:
        """Everything that was sent, as part of a line for people."""
        return self._total.summary()
