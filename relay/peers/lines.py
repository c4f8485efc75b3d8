"""Log lines that peers can cause: so many of each kind in a second, and a count of what was left out.

A peer that connects a thousand times a second must neither fill the disk nor, where somebody reads the log through a
pipe and is slow, stop the relay.
"""

from __future__ import annotations

from collections import Counter

from twisted.logger import Logger, LogLevel

from relay.core.timing import SWEEP, Every

MOST = 20
"""Lines of one kind between two sweeps: what somebody can still read as it comes."""


class Lines:
    """Tells of events that peers cause. The kind of a line is its format."""

    log = Logger()

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._told: Counter[str] = Counter()
        self.left_out = 0
        """Lines that were not told, in all."""

    def info(self, log: Logger, line: str, **fields: object) -> None:
        """Log a line in the name of `log`, unless there are too many of its kind."""
        self._tell(log, LogLevel.info, line, fields)

    def warn(self, log: Logger, line: str, **fields: object) -> None:
        """The same for what an operator should know of."""
        self._tell(log, LogLevel.warn, line, fields)

    def _tell(self, log: Logger, level: LogLevel, line: str, fields: dict[str, object]) -> None:
        self._told[line] += 1
        if self._told[line] <= self._most:
            log.emit(level, line, **fields)
        else:
            self.left_out += 1

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Say how many lines were left out since the last sweep, and begin anew; to be called every second or so."""
        told, self._told = self._told, Counter()
        for line, count in told.items():
            if count > self._most:
                self.log.info(
                    "{count:,} more lines like this were left out: {line}", count=count - self._most, line=line
                )
