"""Log lines that peers can cause: a limit for each kind of line, and a count of what was left out.

A peer that connects a thousand times a second must neither fill the disk nor, where somebody reads the log through a
pipe and is slow, stop the relay.
"""

from __future__ import annotations

from collections import Counter

from twisted.logger import Logger, LogLevel

from relay.core.timing import SWEEP, Every

MAX_LINES = 20
"""Lines of one kind between two sweeps: what somebody can still read as it comes."""


class RateLimitedLog:
    """Logs at most `most` lines of a kind between two sweeps, and counts the rest. The kind of a line is its format."""

    logger = Logger()

    def __init__(self, most: int = MAX_LINES) -> None:
        self.left_out = 0
        """Lines that were not logged, in all."""
        self._most = most
        self._counts: Counter[str] = Counter()  # of each kind since the last sweep

    def info(self, logger: Logger, line: str, **fields: object) -> None:
        """Log a line in the name of `logger`, unless there are too many of its kind."""
        self._log(logger, LogLevel.info, line, fields)

    def warn(self, logger: Logger, line: str, **fields: object) -> None:
        """The same for what an operator should know of."""
        self._log(logger, LogLevel.warn, line, fields)

    def _log(self, logger: Logger, level: LogLevel, line: str, fields: dict[str, object]) -> None:
        self._counts[line] += 1
        if self._counts[line] <= self._most:
            logger.emit(level, line, **fields)
        else:
            self.left_out += 1

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Say how many lines were left out since the last sweep, and begin to count anew."""
        counts, self._counts = self._counts, Counter()
        for line, count in counts.items():
            if count > self._most:
                self.logger.info(
                    "{count:,} more lines like this were left out: {line}", count=count - self._most, line=line
                )
