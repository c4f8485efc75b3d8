"""What the relay says of itself now and then: totals in the log, and its status to the service manager."""

from __future__ import annotations

from twisted.logger import Logger

from relay.core.log import Log
from relay.core.timing import Every
from relay.daemon.systemd import Supervisor
from relay.observe.stats import Stats

TOTALS_INTERVAL = 60.0
"""Seconds between two lines of totals in the log."""
STATUS_INTERVAL = 5.0
"""Seconds between two lines of status for the service manager."""


class Totals:
    """Writes one line to the log every minute in which there was traffic."""

    logger = Logger()

    def __init__(self, log: Log, stats: Stats) -> None:
        """`log` is the one of all messages; `stats` counts everything else."""
        self._log = log
        self._stats = stats
        self._published = 0  # messages, when the last line was written

    def register(self, every: Every) -> None:
        """Have `report` called."""
        every(TOTALS_INTERVAL, self.report)

    def report(self, passed: float) -> None:
        """Write the line, unless nothing was published since the last one."""
        published = self._log.next - 1
        if published == self._published:
            return
        now = self._stats.snapshot()
        publishers, subscribers = connected(self._stats)
        self.logger.info(
            "totals: {new:,} messages in the last minute, {published:,} messages, {bytes:,} bytes since the start; "
            "{publishers:,} publishers, {subscribers:,} subscribers ({lagging:,} lagging); buffer {held:,} bytes",
            new=published - self._published,
            published=published,
            bytes=self._log.size,
            publishers=publishers,
            subscribers=subscribers,
            lagging=now.lagging,
            held=now.held,
        )
        self._published = published


class StatusLine:
    """Tells the service manager how many connections there are and how fast messages come, and that the relay lives."""

    def __init__(self, log: Log, stats: Stats, supervisor: Supervisor) -> None:
        """`log` is the one of all messages; `stats` counts everything else; `supervisor` is told."""
        self._log = log
        self._stats = stats
        self._supervisor = supervisor
        self._published = 0  # messages, when the status was last told

    def register(self, every: Every) -> None:
        """Have `report` called, and the supervisor's watchdog kept quiet, if it has one."""
        every(STATUS_INTERVAL, self.report)
        if self._supervisor.watchdog is not None:
            every(self._supervisor.watchdog, self._ping)

    def report(self, passed: float) -> None:
        """Tell the status now; `passed` is the time since it was last told, in seconds."""
        published = self._log.next - 1
        rate, self._published = (published - self._published) / passed, published
        publishers, subscribers = connected(self._stats)
        self._supervisor.status(f"{publishers:,} publishers, {subscribers:,} subscribers; {rate:,.0f} messages/s")

    def _ping(self, passed: float) -> None:
        self._supervisor.alive()


def connected(stats: Stats) -> tuple[int, int]:
    """How many publishers and how many subscribers are connected."""
    publishers, *subscribers = stats.registries
    return len(publishers.open), sum(len(registry.open) for registry in subscribers)
