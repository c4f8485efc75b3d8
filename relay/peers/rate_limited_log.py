"""Rate limit for log lines that peers can cause: some of each kind are logged, and the rest are counted.

A peer that connects a thousand times a second must neither fill the disk nor, where the log is a pipe with a slow
reader, stop the relay.
"""

from __future__ import annotations

from collections import Counter

from twisted.logger import Logger, LogLevel, formatEvent

from relay.core.timing import SWEEP, Every

MAX_LINES = 20
"""Most lines of one kind between two sweeps: what a person can still read as it comes."""

Kind = tuple[str, LogLevel, object]
"""The format of a line, its level, and the reason that it gives, if any: the loss of one peer must be seen, however
many others come and go."""


class RateLimitedLog:
    """Logs at most `most` lines of each kind between two sweeps; the rest are counted."""

    logger = Logger()

    def __init__(self, most: int = MAX_LINES) -> None:
        self.left_out = 0
        """Lines that were ever left out."""
        self._most = most
        self._counts: Counter[Kind] = Counter()  # lines since the last sweep
        self._last: dict[Kind, dict[str, object]] = {}  # the fields of the line that was left out last

    def info(self, logger: Logger, line: str, **fields: object) -> None:
        """Log a line with format `line` through `logger`, unless there were too many of its kind."""
        self._log(logger, LogLevel.info, line, fields)

    def debug(self, logger: Logger, line: str, **fields: object) -> None:
        """The same as `info`, for those who look for a fault."""
        self._log(logger, LogLevel.debug, line, fields)

    def warn(self, logger: Logger, line: str, **fields: object) -> None:
        """The same as `info`, as a warning to the operator."""
        self._log(logger, LogLevel.warn, line, fields)

    def _log(self, logger: Logger, level: LogLevel, line: str, fields: dict[str, object]) -> None:
        kind = line, level, fields.get("reason")
        self._counts[kind] += 1
        if self._counts[kind] <= self._most:
            logger.emit(level, line, **fields)
        else:
            self.left_out += 1
            self._last[kind] = fields

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Log how many lines of each kind were left out since the last sweep, with the last of them, and count anew."""
        counts, self._counts = self._counts, Counter()
        last, self._last = self._last, {}
        for kind, fields in last.items():
            line, level, _ = kind
            (
                self.logger.warn
                if level is LogLevel.warn
                else self.logger.info
                if level is LogLevel.info
                else self.logger.debug
            )(
                "{count:,} more lines like this were left out: {line}",
                count=counts[kind] - self._most,
                line=formatEvent({"log_format": line, **fields}),
            )
