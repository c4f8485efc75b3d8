"""What the relay reports at regular intervals: totals in the log, and its status to the service manager."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from relay.core.log import Log
from relay.core.timing import Every
from relay.daemon.systemd import Supervisor
from relay.net.listening import BACK_OFF
from relay.net.ports import Ports
from relay.observe.stats import Stats
from relay.peers.rate_limited_log import RateLimitedLog

TOTALS_INTERVAL = 60.0
"""Seconds between two lines of totals in the log."""
STATUS_INTERVAL = 5.0
"""Seconds between two lines of status for the service manager."""


class Totals:
    """Writes a line of totals to the log after every minute in which something was published."""

    logger = Logger()

    def __init__(self, log: Log, stats: Stats) -> None:
        """`log`: the hub's, which counts messages. `stats`: for everything else."""
        self._log = log
        self._stats = stats
        self._published = 0  # messages published before the last line

    def register(self, every: Every) -> None:
        """Have `report` called."""
        every(TOTALS_INTERVAL, self.report)

    def report(self, passed: float) -> None:
        """Write the line, unless nothing was published since the last one."""
        published = self._log.taken
        if published == self._published:
            return
        now = self._stats.snapshot()
        publishers, subscribers = connected(self._stats)
        self.logger.info(
            "totals: {new:,} messages in the last minute, {published:,} messages, {bytes:,} bytes since the start; "
            "{publishers:,} publishers, {subscribers:,} subscribers ({lagging:,} lagging); buffer {held:,} bytes, "
            "{needed:,} needed",
            new=published - self._published,
            published=published,
            bytes=self._log.size,
            publishers=publishers,
            subscribers=subscribers,
            lagging=now.lagging,
            held=now.held,
            needed=now.needed,
        )
        self._published = published


class StatusLine:
    """Tells the service manager the number of connections and the message rate, and that the relay is alive."""

    def __init__(self, log: Log, stats: Stats, supervisor: Supervisor) -> None:
        """`log`: the hub's, which counts messages. `stats`: counts connections. `supervisor`: the service manager."""
        self._log = log
        self._stats = stats
        self._supervisor = supervisor
        self._published = 0  # messages published before the last report

    def register(self, every: Every) -> None:
        """Have `report` called, and the supervisor's watchdog pinged if it has one."""
        every(STATUS_INTERVAL, self.report)
        if self._supervisor.watchdog is not None:
            every(self._supervisor.watchdog, self._ping)

    def report(self, passed: float) -> None:
        """Send the status; `passed`: seconds since the last report."""
        published = self._log.taken
        rate, self._published = (published - self._published) / passed, published
        publishers, subscribers = connected(self._stats)
        self._supervisor.status(f"{publishers:,} publishers, {subscribers:,} subscribers; {rate:,.0f} messages/s")

    def _ping(self, passed: float) -> None:
        self._supervisor.alive()


def connected(stats: Stats) -> tuple[int, int]:
    """The numbers of publishers and of subscribers that are connected."""
    return stats.connected("publisher"), stats.connected("subscriber")


def exhausted(lines: RateLimitedLog) -> Callable[[OSError], None]:
    """A function that logs, through `lines`, that the system has no room for another connection."""

    def tell(error: OSError) -> None:
        lines.warn(
            Ports.logger,
            "cannot accept connections: {error}; the next try is in {seconds:g} s",
            error=error.strerror,
            seconds=BACK_OFF,
        )

    return tell
